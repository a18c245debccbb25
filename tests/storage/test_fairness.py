from typing import Any

from hypothesis import given, strategies as st

from budflow.storage import fairness
from budflow.storage.fairness import Candidate, Turns, takeover

MINUTE = 60_000_000
NOW = 1_000 * MINUTE


def candidate(id_: str, workflow_id: str = "wf_a", **different: Any) -> Candidate:
    return Candidate(id_, "default", workflow_id, **{"priority": 0, "since": NOW, **different})


candidates = st.lists(
    st.builds(
        Candidate,
        id=st.uuids().map(str),
        project_id=st.just("default"),
        workflow_id=st.sampled_from("abc"),
        priority=st.integers(-2, 2),
        since=st.integers(NOW - 5 * MINUTE, NOW),
        gate=st.sampled_from(["", "x", "y"]),
        limit_max=st.integers(0, 3),
        suspect=st.booleans(),
    ),
    max_size=40,
    unique_by=lambda one: one.id,
)


@given(candidates, st.integers(0, 10), st.integers(0, 3))
def test_no_choice_goes_beyond_a_limit(given_: list[Candidate], limit: int, suspects: int) -> None:
    chosen = Turns().choose(given_, limit=limit, suspects=suspects, now=NOW, active={"x": 1})

    assert len(chosen) == len(set(chosen)) <= limit
    assert sum(one.suspect for one in chosen) <= suspects
    for gate, active in (("x", 1), ("y", 0)):
        passed = [one for one in chosen if one.gate == gate]
        assert all(active + place < (one.limit_max or 0) for place, one in enumerate(passed))


@given(candidates, st.integers(1, 10))
def test_only_the_first_streams_are_ever_chosen_from(given_: list[Candidate], limit: int) -> None:
    ordinary = [Candidate(one.id, "default", one.workflow_id, one.priority, one.since) for one in given_]
    turns = Turns()
    turns.serve(ordinary[:3], NOW - 2 * MINUTE)

    chosen = turns.choose(ordinary, limit=limit, suspects=0, now=NOW, active={})

    heads = {one.stream: one for one in sorted(ordinary, key=lambda one: (one.since, one.id), reverse=True)}
    assert {one.stream for one in chosen} <= {one.stream for one in turns.first_heads(heads.values(), limit, NOW)}


def test_who_was_served_least_recently_is_next() -> None:
    turns = Turns()
    turns.serve([candidate("1", "wf_a"), candidate("2", "wf_b")], NOW)
    waiting = [candidate("3", "wf_b"), candidate("4", "wf_a"), candidate("5", "wf_c")]

    chosen = turns.choose(waiting, limit=3, suspects=0, now=NOW, active={})

    assert [one.workflow_id for one in chosen] == ["wf_c", "wf_a", "wf_b"]


def test_a_low_priority_that_is_passed_over_comes_to_its_turn_though_its_workflow_is_served() -> None:
    turns = Turns()
    turns.serve([candidate("1", priority=5)], NOW)
    low = candidate("2", priority=0, since=NOW - 6 * MINUTE)

    assert turns.choose([candidate("3", priority=5), low], limit=1, suspects=0, now=NOW, active={}) == [low]


def test_only_so_many_turns_are_remembered(monkeypatch: Any) -> None:
    monkeypatch.setattr(fairness, "TURNS_MAX", 2)
    turns = Turns()
    turns.serve([candidate(str(i), f"wf_{i}") for i in range(3)], NOW)
    waiting = [candidate("4", "wf_1"), candidate("5", "wf_0")]

    assert turns.choose(waiting, limit=1, suspects=0, now=NOW, active={}) == [waiting[1]]


def test_the_back_off_of_a_suspect_doubles_with_every_takeover() -> None:
    assert takeover(0, -1, 0, NOW) == (1, None)
    assert takeover(1, 5, 5, NOW) == (2, NOW + 4_000_000)
    assert takeover(2, 5, 5, NOW) == (3, NOW + 8_000_000)
    assert takeover(2, 5, 6, NOW) == (1, None)
    assert takeover(99, 5, 5, NOW) == (100, NOW + 1_024_000_000)

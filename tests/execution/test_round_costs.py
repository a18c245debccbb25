"""What rounds cost decides where the others are computed: only what is known to take long goes elsewhere."""

import pytest

from budflow.execution import round_costs
from budflow.execution.round_costs import APART_SECONDS_MIN, CHUNK_SECONDS_MAX, BodyCost, RoundCosts
from tests.execution.burning_nodes import each
from tests.graph.test_plan import plan_of

SLOW, CHEAP = 0.050, 0.000_050


def known(each_seconds: float) -> BodyCost:
    cost = BodyCost()
    for _ in range(2):
        cost.note(10, 10 * each_seconds)
    return cost


def test_nothing_is_known_of_a_body_before_it_was_measured_twice() -> None:
    cost = BodyCost()
    cost.note(1, 10.0)

    assert cost.item_seconds is None
    assert not cost.pays_apart(1_000, 0.0)


def test_a_pause_of_the_process_makes_no_body_expensive() -> None:
    cost = BodyCost()
    cost.note(100, 100 * CHEAP)
    cost.note(100, 5.0)

    assert cost.item_seconds == pytest.approx(CHEAP)


def test_what_takes_long_in_all_goes_elsewhere() -> None:
    assert known(SLOW).pays_apart(2, 0.0)
    assert not known(CHEAP).pays_apart(256, 0.0)
    assert not known(APART_SECONDS_MIN / 10).pays_apart(9, 0.0)


def test_processes_are_started_only_for_more_than_twice_what_that_takes() -> None:
    assert not known(SLOW).pays_apart(10, 0.5)
    assert known(SLOW).pays_apart(30, 0.5)


def test_what_is_as_expensive_to_pack_stays() -> None:
    cost = known(0.001)
    assert cost.pays_apart(1_000, 0.0)
    cost.handling_guess = 0.0005
    assert not cost.pays_apart(1_000, 0.0)
    cost.handling_guess = 0.0001
    assert cost.pays_apart(1_000, 0.0)
    for _ in range(2):
        cost.note_handling(10, 10 * 0.0005)

    assert not cost.pays_apart(1_000, 0.0)


def test_chunks_are_as_large_as_is_worth_a_hop_and_smaller_at_the_end() -> None:
    cost = known(SLOW)
    assert cost.chunk_items(1_000, 2) == 1, "until it is known what handling takes"
    cost.note_handling(1, 0.0)
    cost.note_handling(1, 0.0)

    assert cost.chunk_items(1_000, 2) == CHUNK_SECONDS_MAX / SLOW
    assert cost.chunk_items(8, 2) == 2
    assert cost.chunk_items(1, 2) == 1
    assert known(0.001).chunk_items(1_000, 8) == 20


def test_the_bodies_that_were_unused_longest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(round_costs, "BODIES_MAX", 2)
    costs = RoundCosts()
    node = {"type": "flow.no_op"}
    loops = {f"loop{one}": each({f"n{one}": node}, f"in > n{one}", f"n{one} > out") for one in range(3)}
    plan = plan_of(loops, [f"start > {key}" for key in loops])
    for graph in (1, 2, 3):
        for _ in range(2):
            costs.of(plan, graph).note(1, float(graph))

    assert [costs.of(plan, graph).item_seconds for graph in (3, 2, 1)] == [3.0, 2.0, None]

"""What a retry and a fork begin with, folded by the pure core: nothing that ended well runs twice, all else runs."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from budflow.execution import state as s
from budflow.execution.advance import fold, resume
from budflow.execution.again import VersionDiffers
from budflow.execution.frames import around
from budflow.execution.repeat import NodeDidNotRun, fork_events, retry_events
from budflow.graph.parse import parse
from budflow.graph.plan import Plan, compile_plan
from budflow.model import event as e
from budflow.model.failure import Failure
from budflow.model.item import ItemList
from tests.execution.fakes import REGISTRY
from tests.execution.repeat_play import FAILURE, NOW, Play, random_plan, start

pytestmark = pytest.mark.generated

SEEDS = st.integers(0, 2**32 - 1)


def ended_well(plan: Plan, events: Sequence[e.Event]) -> list[s.At]:
    return [s.At(plan.index[one.node], one.rounds) for one in events if isinstance(one, e.NodeFinished)]


def check_journal(plan: Plan, events: Sequence[e.Event]) -> s.State:
    """Fold a beginning, and check that it is one: nothing has ended and runs, and what is due is what runs."""
    state = fold(plan, events)
    done = ended_well(plan, events)
    assert len(done) == len(set(done))
    running = {s.At(number, frame_id.rounds) for frame_id, frame in state.frames.items() for number in frame.running}
    assert not running & set(done)
    begun = {command.at for command in resume(state) if isinstance(command, s.StartNode)}
    assert begun == running - set(state.controls)
    calls = [(one.node, one.rounds, one.call) for one in events if isinstance(one, e.ChildStarted)]
    assert len(calls) == len(set(calls))
    return state


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_a_retry_runs_what_is_missing_and_nothing_twice(seed: int) -> None:
    random = Random(seed)
    plan = random_plan(random)
    first = Play(plan, random, [start()])
    end = first.run(failing=0.15, cancelling=random.choice((0.0, 0.03)))
    if end.status == "succeeded":
        return

    kept = retry_events(plan, first.events, start())
    state = check_journal(plan, [start(), *kept])

    assert state.phase == "running"
    assert not any(frame.stopping for frame_id, frame in state.frames.items() if frame_id == s.ROOT)
    second = Play(plan, random, [start(), *kept])
    assert second.run().status == "succeeded"
    assert not set(second.started) & set(ended_well(plan, kept))
    check_journal(plan, second.events[:-1])


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_a_retry_of_a_retry_keeps_more(seed: int) -> None:
    random = Random(seed)
    plan = random_plan(random)
    events: list[e.Event] = [start()]
    for _ in range(4):
        play = Play(plan, random, events)
        if play.run(failing=0.15).status == "succeeded":
            return
        kept = retry_events(plan, play.events, start())
        assert set(ended_well(plan, events)) <= set(ended_well(plan, kept))
        events = [start(), *kept]
        check_journal(plan, events)


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_a_fork_runs_its_node_and_what_is_behind_it(seed: int) -> None:
    random = Random(seed)
    plan = random_plan(random)
    first = Play(plan, random, [start()])
    first.run(failing=random.choice((0.0, 0.1)))
    ran = sorted(ended_well(plan, first.events))
    if not ran:
        return
    chosen = random.choice(ran)
    key = plan.nodes[chosen.node].key

    try:
        kept = fork_events(plan, first.events, start(), key, rounds=random.choice(((), chosen.rounds)))
    except NodeDidNotRun:
        assert plan.nodes[chosen.node].graph  # In a body that is not come to by what is kept.
        return
    state = check_journal(plan, [start(), *kept])
    second = Play(plan, random, [start(), *kept])

    assert key in {plan.nodes[one.at.node].key for one in resume(state) if isinstance(one, s.StartNode)}
    assert second.run().status == "succeeded"
    assert not set(second.started) & set(ended_well(plan, kept))


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_a_fork_of_one_round_runs_nothing_of_the_other_rounds_again(seed: int) -> None:
    random = Random(seed)
    plan = random_plan(random)
    first = Play(plan, random, [start()])
    first.run()
    inside = [at for at in ended_well(plan, first.events) if _only_in(plan, at, "flow.for_each")]
    if not inside:
        return
    chosen = random.choice(inside)
    key, rounds = plan.nodes[chosen.node].key, chosen.rounds

    kept = fork_events(plan, first.events, start(), key, rounds=rounds)
    second = Play(plan, random, [start(), *kept])
    assert second.run().status == "succeeded"

    loops = {container for container, _ in around(plan, chosen)}
    for at in second.started:
        for container, frame in around(plan, at):
            assert container not in loops or frame.rounds == rounds[: len(frame.rounds)]


def _only_in(plan: Plan, at: s.At, kind: str) -> bool:
    kinds = {plan.nodes[container.node].spec.name for container, _ in around(plan, at)}
    return kinds == {kind}


# --- by hand ----------------------------------------------------------------------------------------------------------

SET: dict[str, Any] = {"type": "data.set", "params": {"values": {"x": 1}}}
GET: dict[str, Any] = {"type": "http.request", "params": {"url": "https://outside.example/"}}


def plan_of(nodes: dict[str, Any], *edges: str) -> Plan:
    pairs = [edge.split(" > ") for edge in edges]
    document = {
        "format": 1,
        "name": "test",
        "nodes": {"start": {"type": "trigger.manual"}, **nodes},
        "edges": [{"from": source, "to": target} for source, target in pairs],
    }
    return compile_plan(parse(document), REGISTRY, workflow_id="wf_1", version=1)


def body(nodes: dict[str, Any], *edges: str) -> dict[str, Any]:
    pairs = [edge.split(" > ") for edge in edges]
    return {"nodes": nodes, "edges": [{"from": source, "to": target} for source, target in pairs]}


def items(count: int, lineage: Sequence[int] | None = None) -> ItemList:
    made = ItemList.of([{"n": number} for number in range(count)])
    return made if lineage is None else ItemList(made.items, lineage)


def finished(node: str, rounds: tuple[int, ...] = (), **ports: int) -> e.NodeFinished:
    outputs = {name: items(count) for name, count in (ports or {"main": 1}).items()}
    return e.NodeFinished(NOW, node, NOW, outputs, rounds=rounds)


def failed(node: str, rounds: tuple[int, ...] = ()) -> e.NodeFailed:
    return e.NodeFailed(NOW, node, NOW, FAILURE, rounds=rounds)


def kinds(events: Sequence[e.Event]) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(one.TYPE, getattr(one, "node", ""), getattr(one, "rounds", ())) for one in events]


def running(plan: Plan, state: s.State) -> set[tuple[str, tuple[int, ...]]]:
    return {
        (plan.nodes[number].key, frame_id.rounds)
        for frame_id, frame in state.frames.items()
        for number in frame.running
    }


END = e.Finished(NOW, "failed", FAILURE)


def test_the_items_of_a_failed_node_that_are_done_are_kept_and_the_others_begin_anew() -> None:
    plan = plan_of({"get": GET}, "start > get")
    journal = [
        start(),
        finished("start", main=2),
        e.NodeStarted(NOW, "get", 2, begun=2),
        e.ItemsFinished(NOW, "get", (0,), items(1, [0])),
        failed("get"),
        END,
    ]

    kept = retry_events(plan, journal, start())

    assert kinds(kept) == [
        ("node.finished", "start", ()),
        ("node.started", "get", ()),
        ("node.items_finished", "get", ()),
    ]
    assert isinstance(kept[1], e.NodeStarted)
    assert kept[1].begun == 0


def test_of_a_node_that_was_cut_off_only_what_is_done_is_kept_and_nothing_is_in_doubt_again() -> None:
    plan = plan_of({"get": GET, "bad": GET}, "start > get", "start > bad")
    cut_off = e.NodeCancelled(NOW, "get")
    journal = [
        start(),
        finished("start", main=3),
        e.NodeStarted(NOW, "get", 3, begun=2),
        e.ItemsStarted(NOW, "get", 3),
        e.ItemsFinished(NOW, "get", (1,), items(1, [1])),
        e.NodeStarted(NOW, "bad", 1, begun=1),
        failed("bad"),
        cut_off,
        END,
    ]

    kept = retry_events(plan, journal, start())

    assert kinds(kept) == [
        ("node.finished", "start", ()),
        ("node.started", "get", ()),
        ("node.items_finished", "get", ()),
    ]
    assert isinstance(kept[1], e.NodeStarted)
    assert kept[1].begun == 0


def test_of_a_node_that_was_cut_off_with_nothing_done_only_its_start_is_kept() -> None:
    plan = plan_of({"get": GET, "bad": GET}, "start > get", "start > bad")
    both = [e.NodeStarted(NOW, key, 1, begun=1) for key in ("get", "bad")]
    journal = [start(), finished("start"), *both, failed("bad"), e.NodeCancelled(NOW, "get"), END]

    _, begun = retry_events(plan, journal, start())

    assert isinstance(begun, e.NodeStarted)
    assert (begun.node, begun.begun) == ("get", 0)


def for_each(on_item_error: str = "stop", **fields: Any) -> dict[str, Any]:
    inner = body({"a": GET, "b": GET}, "$in > a", "a > b", "b > $out")
    params = {"concurrency": 3, "on_item_error": on_item_error}
    return {"type": "flow.for_each", "params": params, "bodies": {"body": inner}, **fields}


def loop(on_item_error: str = "stop") -> e.NodeStarted:
    return e.NodeStarted(NOW, "each", 3, {"batch_size": 1, "concurrency": 3, "on_item_error": on_item_error})


def test_of_a_loop_only_the_failed_round_and_those_that_were_stopped_go_on() -> None:
    plan = plan_of({"each": for_each(), "after": SET}, "start > each", "each > after")
    journal = [
        start(),
        finished("start", main=3),
        loop(),
        finished("a", (0,)),
        finished("a", (1,)),
        finished("b", (0,)),
        failed("b", (1,)),
        e.NodeCancelled(NOW, "a", (2,)),
        failed("each"),
        END,
    ]

    kept = retry_events(plan, journal, start())
    state = check_journal(plan, [start(), *kept])

    assert kinds(kept)[1:] == [
        ("node.started", "each", ()),
        ("node.finished", "a", (0,)),
        ("node.finished", "a", (1,)),
        ("node.finished", "b", (0,)),
    ]
    begun = {(plan.nodes[one.at.node].key, one.at.rounds) for one in resume(state) if isinstance(one, s.StartNode)}
    assert begun == {("b", (1,)), ("a", (2,))}


def test_a_failure_that_its_loop_went_on_after_stays_as_it_was() -> None:
    plan = plan_of({"each": for_each("continue"), "after": GET}, "start > each", "each > after")
    journal = [
        start(),
        finished("start", main=3),
        loop("continue"),
        failed("a", (0,)),
        finished("a", (1,)),
        e.CancelRequested(NOW, "test"),
        e.NodeCancelled(NOW, "b", (1,)),
        e.NodeCancelled(NOW, "a", (2,)),
        e.NodeCancelled(NOW, "each"),
        e.Finished(NOW, "cancelled"),
    ]

    kept = retry_events(plan, journal, start())

    assert kinds(kept)[2:] == [("node.failed", "a", (0,)), ("node.finished", "a", (1,))]


def test_rounds_that_ran_in_one_go_are_kept_but_for_those_that_failed() -> None:
    inner = body({"a": SET}, "$in > a", "a > $out")
    plan = plan_of({"each": {"type": "flow.for_each", "bodies": {"body": inner}}}, "start > each")
    rounds = e.RoundsFinished(NOW, "each", "body", 0, (1, 2, 0, 1), items(4, [0, 1, 1, 3]), {2: FAILURE})
    params = {"batch_size": 1, "concurrency": 1, "on_item_error": "stop"}
    journal = [start(), finished("start", main=4), e.NodeStarted(NOW, "each", 4, params), rounds, failed("each"), END]

    kept = retry_events(plan, journal, start())

    first, second = (one for one in kept if isinstance(one, e.RoundsFinished))
    assert (first.first, first.counts, list(first.items.lineage)) == (0, (1, 2), [0, 1, 1])
    assert (second.first, second.counts, list(second.items.lineage)) == (3, (1,), [3])


def test_calls_that_succeeded_are_not_made_again() -> None:
    call = {"type": "flow.sub_workflow", "params": {"workflow": "wf_2", "call": "per_item", "concurrency": 5}}
    plan = plan_of({"call": call}, "start > call")
    assert plan.nodes[1].params.fixed is not None
    failure = Failure("test.failed", "On purpose.")
    journal = [
        start(),
        finished("start", main=2),
        e.NodeStarted(NOW, "call", 2, plan.nodes[1].params.fixed.model_dump(mode="json")),
        e.ChildStarted(NOW, "call", 0, "exe_0", "wf_2"),
        e.ChildStarted(NOW, "call", 1, "exe_1", "wf_2"),
        e.ChildFinished(NOW, "call", 0, "succeeded", items(1)),
        e.ChildFinished(NOW, "call", 1, "failed", items(0), failure),
        failed("call"),
        END,
    ]

    kept = retry_events(plan, journal, start())
    state = check_journal(plan, [start(), *kept])

    assert [one.execution_id for one in kept if isinstance(one, e.ChildStarted)] == ["exe_0"]
    assert [one.call for one in resume(state) if isinstance(one, s.CallChild)] == [1]


def test_a_call_that_nobody_waits_for_and_could_not_be_made_is_made_again_and_no_other() -> None:
    call = {"type": "flow.sub_workflow", "params": {"workflow": "wf_2", "call": "per_item", "wait": False}}
    plan = plan_of({"call": call}, "start > call")
    assert plan.nodes[1].params.fixed is not None
    failure = Failure("test.failed", "On purpose.")
    journal = [
        start(),
        finished("start", main=2),
        e.NodeStarted(NOW, "call", 2, plan.nodes[1].params.fixed.model_dump(mode="json")),
        e.ChildFinished(NOW, "call", 0, "failed", items(0), failure),
        e.ChildStarted(NOW, "call", 1, "exe_1", "wf_2"),
    ]
    at = s.At(plan.index["call"])
    assert [*resume(fold(plan, journal))] == [s.FailControl(at, failure)]  # Whoever takes it up sees the same.
    assert [one.call for one in resume(fold(plan, journal[:-1])) if isinstance(one, s.CallChild)] == [1]

    kept = retry_events(plan, [*journal, failed("call"), END], start())
    state = check_journal(plan, [start(), *kept])

    assert [one.execution_id for one in kept if isinstance(one, e.ChildStarted)] == ["exe_1"]
    assert [one.call for one in resume(state) if isinstance(one, s.CallChild)] == [0]


def test_the_time_of_a_container_begins_anew() -> None:
    plan = plan_of({"each": for_each(timeout_seconds=5)}, "start > each")
    later = e.Admitted(NOW.replace(year=2031), "start", "api", "test", items(1))

    kept = retry_events(plan, [start(), finished("start"), loop(), failed("each"), END], later)

    [begun] = [one for one in kept if isinstance(one, e.NodeStarted)]
    assert begun.at == later.at


def test_a_fork_keeps_other_branches_and_other_rounds() -> None:
    plan = plan_of({"each": for_each(), "other": SET, "after": SET}, "start > each", "start > other", "each > after")
    whole = [finished(key, (number,)) for number in range(3) for key in ("a", "b")]
    journal = [start(), finished("start", main=3), finished("other"), loop(), *whole, finished("each")]
    journal += [finished("after"), e.Finished(NOW, "succeeded")]

    kept = fork_events(plan, journal, start(), "b", rounds=(1,))

    assert kinds(kept) == [
        ("node.finished", "start", ()),
        ("node.finished", "other", ()),
        ("node.started", "each", ()),
        *(("node.finished", "a", (0,)), ("node.finished", "b", (0,)), ("node.finished", "a", (1,))),
        *(("node.finished", "a", (2,)), ("node.finished", "b", (2,))),
    ]


def test_a_fork_of_one_round_keeps_those_that_began_when_it_had_ended() -> None:
    plan = plan_of({"each": for_each()}, "start > each")
    began = replace(loop(), items=4)
    order = [("a", 0), ("b", 0), ("a", 3), ("a", 1), ("b", 3), ("b", 1), ("a", 2), ("b", 2)]
    journal = [start(), finished("start", main=4), began, *(finished(key, (number,)) for key, number in order)]
    journal += [finished("each"), e.Finished(NOW, "succeeded")]

    kept = fork_events(plan, journal, start(), "b", rounds=(0,))

    assert [(key, rounds[0]) for _, key, rounds in kinds(kept) if rounds] == [
        *(("a", 3), ("a", 1), ("b", 3)),
        ("a", 0),  # Only now there is room for the round that is run again.
        *(("b", 1), ("a", 2), ("b", 2)),
    ]


@pytest.mark.parametrize("concurrency", [1, 2, 4])
def test_a_fork_of_one_round_keeps_all_others_however_many_may_be_open(concurrency: int) -> None:
    plan = plan_of({"each": for_each(), "after": SET}, "start > each", "each > after")
    began = replace(loop(), items=4, params={**(loop().params or {}), "concurrency": concurrency})
    whole = [finished(key, (number,)) for number in range(4) for key in ("a", "b")]
    journal = [start(), finished("start", main=4), began, *whole, finished("each"), finished("after"), END]

    kept = fork_events(plan, journal, start(), "b", rounds=(1,))

    state = check_journal(plan, [start(), *kept])
    others = {(key, (number,)) for key in ("a", "b") for number in range(4)} - {("b", (1,))}
    assert {(key, rounds) for _, key, rounds in kinds(kept) if rounds} == others
    assert running(plan, state) == {("each", ()), ("b", (1,))}


def test_a_fork_of_one_round_of_a_loop_that_failed_goes_on_with_one_round_at_a_time() -> None:
    plan = plan_of({"each": for_each()}, "start > each")
    began = replace(loop(), items=5, params={**(loop().params or {}), "concurrency": 1})
    whole = [finished(key, (number,)) for number in range(3) for key in ("a", "b")]
    journal = [start(), finished("start", main=5), began, *whole, failed("a", (3,)), failed("each"), END]

    kept = fork_events(plan, journal, start(), "a", rounds=(0,))

    state = check_journal(plan, [start(), *kept])
    assert [(key, rounds) for _, key, rounds in kinds(kept) if rounds] == [
        (key, (number,)) for number in (1, 2) for key in ("a", "b")
    ]
    assert running(plan, state) == {("each", ()), ("a", (0,))}
    second = Play(plan, Random(1), [start(), *kept])
    assert second.run().status == "succeeded"
    assert [at.rounds[0] for at in second.started if plan.nodes[at.node].key == "a"] == [0, 3, 4]


def test_a_fork_of_one_round_of_an_inner_loop_keeps_the_other_rounds_of_both() -> None:
    params = {"concurrency": 1}
    inner = {"type": "flow.for_each", "params": params, "bodies": {"body": body({"a": GET}, "$in > a", "a > $out")}}
    outer = {
        "type": "flow.for_each",
        "params": params,
        "bodies": {"body": body({"in": inner}, "$in > in", "in > $out")},
    }
    plan = plan_of({"out": outer}, "start > out")
    shape = {"batch_size": 1, "concurrency": 1, "on_item_error": "stop"}
    journal: list[e.Event] = [start(), finished("start", main=3), e.NodeStarted(NOW, "out", 3, shape)]
    for first in range(3):
        journal.append(e.NodeStarted(NOW, "in", 3, shape, (first,)))
        journal += [finished("a", (first, second)) for second in range(3)]
        journal.append(finished("in", (first,), main=3))
    journal += [finished("out", main=9), END]

    kept = fork_events(plan, journal, start(), "a", rounds=(0, 1))

    state = check_journal(plan, [start(), *kept])
    assert running(plan, state) == {("out", ()), ("in", (0,)), ("a", (0, 1))}
    ends = [finished("a", (0, 1)), finished("in", (0,), main=3), finished("out", main=9), END]
    again = fork_events(plan, [start(), *kept, *ends], start(), "a", rounds=(2, 2))
    assert running(plan, check_journal(plan, [start(), *again])) == {("out", ()), ("in", (2,)), ("a", (2, 2))}


def test_a_fork_of_one_round_of_a_while_runs_the_rounds_behind_it_again() -> None:
    inner = body({"a": GET}, "$in > a", "a > $out")
    loops = {"type": "flow.while", "params": {"condition": "{{ $json.n < 9 }}"}, "bodies": {"body": inner}}
    plan = plan_of({"loop": loops}, "start > loop")
    journal: list[e.Event] = [start(), finished("start"), e.NodeStarted(NOW, "loop", 1, {"condition": True})]
    for number in range(3):
        journal.append(finished("a", (number,)))
        journal.append(e.ParamsResolved(NOW, "loop", number, {"condition": number < 2}))
    journal += [finished("loop"), END]

    kept = fork_events(plan, journal, start(), "a", rounds=(1,))

    state = check_journal(plan, [start(), *kept])
    assert [rounds for kind, _, rounds in kinds(kept) if kind == "node.finished" and rounds] == [(0,)]
    assert running(plan, state) == {("loop", ()), ("a", (1,))}


def test_a_fork_from_a_node_that_never_ran_is_refused() -> None:
    plan = plan_of({"a": SET, "b": SET}, "start > a", "a > b")

    with pytest.raises(NodeDidNotRun, match="`b`"):
        fork_events(plan, [start(), finished("start"), failed("a"), END], start(), "b")


def test_a_fork_into_another_version_needs_what_leads_to_the_node_unchanged() -> None:
    old = plan_of({"a": SET, "b": SET, "c": SET}, "start > a", "a > b", "b > c")
    other = {"type": "data.set", "params": {"values": {"x": 2}}}
    journal = [start(), finished("start"), finished("a"), finished("b"), finished("c"), END]
    changed = plan_of({"a": SET, "b": other, "c": SET}, "start > a", "a > b", "b > c")

    with pytest.raises(VersionDiffers, match="`b`"):
        fork_events(changed, journal, start(), "c", before=old)

    assert kinds(fork_events(changed, journal, start(), "b", before=old)) == [
        ("node.finished", "start", ()),
        ("node.finished", "a", ()),
    ]


def test_a_fork_into_another_version_runs_again_what_changed_elsewhere() -> None:
    old = plan_of({"a": SET, "b": SET, "c": SET}, "start > a", "start > b", "b > c")
    new = plan_of({"a": SET, "b": GET, "d": SET, "c": SET}, "start > a", "start > b", "b > d", "d > c")
    journal = [start(), finished("start"), finished("a"), finished("b"), finished("c"), END]

    kept = fork_events(new, journal, start(), "a", before=old)

    assert kinds(kept) == [("node.finished", "start", ())]
    state = check_journal(new, [start(), *kept])
    assert {new.nodes[one.at.node].key for one in resume(state) if isinstance(one, s.StartNode)} == {"a", "b"}


def test_a_fork_inside_a_changed_body_keeps_what_leads_to_it() -> None:
    old = plan_of({"each": for_each()}, "start > each")
    inner = body({"a": GET, "b": SET}, "$in > a", "a > b", "b > $out")
    new = plan_of({"each": {**for_each(), "bodies": {"body": inner}}}, "start > each")
    whole = [finished(key, (number,)) for number in range(3) for key in ("a", "b")]
    journal = [start(), finished("start", main=3), loop(), *whole, finished("each"), END]

    kept = fork_events(new, journal, start(), "b", before=old)

    assert kinds(kept)[2:] == [("node.finished", "a", (number,)) for number in range(3)]

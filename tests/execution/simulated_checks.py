"""What must hold for every execution of a simulated world, and for those that nothing but a crash disturbed."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from budflow.execution.advance import advance, fold
from budflow.execution.projection import tell
from budflow.execution.state import ROOT, FrameId, State
from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.execution import TERMINAL, Execution
from budflow.model.item import ItemList
from tests.execution.oracle import Values, cut_off, expect, result_of
from tests.execution.simulated_world import World

#: Ends that come over an execution from outside, whatever of it was open.
ABRUPT = {"execution.poisoned", "execution.broken"}
Events = list[e.Event]


async def check_world(world: World) -> None:
    """Every execution ended once, everybody was told once, and nothing is left behind."""
    rows = {row.id: row for row in await world.store.rows()}
    journals = {id_: await world.journal(id_) for id_ in rows}
    assert set(world.acknowledged) <= rows.keys(), "something was acknowledged and is lost"
    for row in rows.values():
        plan = await world.plan(row)
        try:
            check_journal(row, journals[row.id], plan)
            assert not await world.store.signals_of(row.id), "a signal is left behind"
        except AssertionError as error:
            error.add_note("\n".join(map(str, journals[row.id])))
            error.add_note(str(row))
            raise
    check_children(rows, journals)
    await check_error_workflows(world, rows, journals)
    assert not world.store.faults, world.store.faults
    assert not set(world.dropped) & rows.keys(), "what was refused for its limit is stored"
    assert not world.outside.crowded, "more were at work side by side than their limit says"
    assert not world.outside.unannounced, "an effect happened before its start was durable"
    assert not await world.store.list_waits("default"), "a wait is left open"


def check_journal(row: Execution, events: Events, plan: Plan) -> None:
    """What holds for every journal, whatever went wrong."""
    ends = [event for event in events if isinstance(event, e.Finished)]
    assert row.status in TERMINAL, "it was left unfinished"
    assert len(ends) == 1, f"{len(ends)} ends"
    assert events[-1] is ends[0], "something was journaled after the end"
    assert row.status == ends[0].status
    started = Counter(_runs(events, e.NodeStarted))
    closed = Counter(_runs(events, e.NodeFinished, e.NodeFailed, e.NodeCancelled))
    waits = Counter((event.node, event.rounds, event.wait) for event in events if isinstance(event, e.WaitStarted))
    heard = Counter((event.node, event.rounds, event.wait) for event in events if isinstance(event, e.WaitEnded))
    for counts in (started, closed, waits, heard):
        assert all(count == 1 for count in counts.values()), f"something ran twice: {counts.most_common(1)}"
    assert heard.keys() <= waits.keys(), "a wait ended that never began"
    state = State()
    for event in events:
        if isinstance(event, e.NodeStarted):
            # Whatever is written, what it depends on was written before: from any point one can go on.
            index = plan.index[event.node]
            frame = FrameId(plan.nodes[index].graph, event.rounds)
            assert state.runs(frame, index), f"{event}, and what leads to it is not kept"
        state, _ = advance(plan, state, event)
    assert (state.phase, state.outcome) == ("ended", row.status)
    assert all(node.status not in ("pending", "running") for node in tell(plan, events).nodes)
    if not abrupt(events):
        assert started.keys() <= closed.keys(), "a node that had started has no end"
        if plan.settings.journal != "every_node" and row.status == "succeeded":
            return  # What would close the rest was not kept.
        before = fold(plan, events[:-1])
        assert set(before.frames) == {ROOT}, "the execution ended while a body was open"
        assert before.frames[ROOT].over, "the execution ended while a node ran"
        assert not before.controls, "the execution ended while a control node was open"


def check_children(rows: Mapping[str, Execution], journals: Mapping[str, Events]) -> None:
    """Each call has one execution, and each awaited one is heard of once."""
    made: defaultdict[tuple[str, str, int], list[str]] = defaultdict(list)
    for row in rows.values():
        if row.parent is not None:
            made[row.parent.execution_id, row.parent.node, row.parent.call].append(row.id)
    assert all(len(ids) == 1 for ids in made.values()), f"a call has two executions: {made}"
    for id_, events in journals.items():
        called = {
            (event.node, event.rounds, event.call): event.execution_id
            for event in events
            if isinstance(event, e.ChildStarted)
        }
        told = Counter((event.node, event.rounds, event.call) for event in events if isinstance(event, e.ChildFinished))
        assert all(count == 1 for count in told.values()), f"{id_} heard of a child twice"
        awaited = set()
        for key, child in called.items():
            parent = rows[child].parent
            assert parent is not None
            if parent.awaited:
                awaited.add(key)
        if not abrupt(events):
            assert awaited <= told.keys(), f"{id_} ended without hearing of a child"
        for event in events:
            if isinstance(event, e.ChildFinished) and (key := (event.node, event.rounds, event.call)) in called:
                assert rows[called[key]].status == event.status, "a caller was told something else"


async def check_error_workflows(world: World, rows: Mapping[str, Execution], journals: Mapping[str, Events]) -> None:
    """Once for each execution that failed, and never else."""
    followed: Counter[str] = Counter()
    for row in rows.values():
        admitted = journals[row.id][0]
        assert isinstance(admitted, e.Admitted)
        if row.mode == "error":
            followed[admitted.principal.removeprefix("execution:")] += 1
    for row in rows.values():
        plan = await world.plan(row)
        wanted = row.status == "failed" and plan.settings.error_workflow is not None and row.mode != "error"
        assert followed[row.id] == int(wanted), f"{followed[row.id]} error workflows for {row}"


async def check_outputs(world: World, documents: Mapping[str, Any]) -> list[str]:
    """Every execution gave what its definition says, whatever died on the way; how they ended."""
    ends = []
    for row in await world.store.rows():
        if row.mode == "error":
            continue
        events = await world.journal(row.id)
        admitted, end = events[0], events[-1]
        assert isinstance(admitted, e.Admitted)
        assert isinstance(end, e.Finished)
        if row.status == "cancelled" and row.parent is not None:
            continue  # Its caller failed meanwhile.
        plan = await world.plan(row)
        given = numbers_of(admitted.items)
        try:
            check_against_definition(
                documents[row.workflow_id], given, events, plan, lambda values: result_of(documents["callee"], values)
            )
        except AssertionError as error:
            error.add_note("\n".join(map(str, events)))
            error.add_note(str(documents[row.workflow_id]))
            raise
        ends.append(row.status)
    return ends


def check_against_definition(
    document: Mapping[str, Any],
    given: Values,
    events: Events,
    plan: Plan,
    call: Callable[[Values], Values | None],
) -> None:
    """The nodes that ran, and what they gave, are those that the oracle works out."""
    admitted = events[0]
    assert isinstance(admitted, e.Admitted)
    if admitted.until is not None:
        document = cut_off(document, admitted.until)
    expected = expect(document, given, call, pinned=admitted.pinned)
    end = events[-1]
    assert isinstance(end, e.Finished)
    outputs = {
        (event.node, event.rounds): _nonempty({port: numbers_of(items) for port, items in event.outputs.items()})
        for event in events
        if isinstance(event, e.NodeFinished)
    }
    for at, ports in outputs.items():
        assert at in expected.outputs, f"{at} ran"
        if plan.nodes[plan.index[at[0]]].spec.name == "data.deduplicate":
            given_on = Counter([*ports.get("main", ()), *ports.get("duplicates", ())])  # Which of them is not known.
            assert given_on == Counter(expected.outputs[at]["main"]), f"{at} lost or made items"
            continue
        assert ports == _nonempty(expected.outputs[at]), f"{at} gave {ports}, not {expected.outputs[at]}"
    if expected.stopped_by:
        assert end.status == "failed"
        assert end.failure is not None
        assert end.failure.node in expected.stopped_by, (end.failure, expected.stopped_by)
        return
    assert end.status == "succeeded", end.failure
    # What runs in a body that only computes has no events of its own.
    sure = {at for at in expected.sure if not plan.graphs[plan.nodes[plan.index[at[0]]].graph].light}
    if plan.settings.journal != "every_node":
        sure = {at for at in sure if plan.index[at[0]] in plan.sinks}
    assert sure <= outputs.keys(), f"{sure - outputs.keys()} did not run"


def abrupt(events: Events) -> bool:
    """Whether the execution ended without having been able to tidy up, or in the queue."""
    end = events[-1]
    if not any(isinstance(event, e.Started) for event in events):
        return True
    return isinstance(end, e.Finished) and end.failure is not None and end.failure.code in ABRUPT


def _runs(events: Iterable[e.Event], *kinds: type) -> Iterable[tuple[str, tuple[int, ...]]]:
    return ((event.node, event.rounds) for event in events if isinstance(event, kinds))  # type: ignore[union-attr] # kinds have both


def numbers_of(items: ItemList) -> Values:
    """The field `n` of each item."""
    return [item.json.get("n") for item in items.items]


def _nonempty(ports: Mapping[str, Values]) -> dict[str, Values]:
    return {port: values for port, values in ports.items() if values}

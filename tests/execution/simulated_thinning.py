"""Thinned journals in simulated worlds: what need not be kept is not, and what depends on something finds it."""

from typing import Any

from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.execution import Execution
from tests.execution.oracle import expect
from tests.execution.simulated_checks import check_outputs, check_world, numbers_of
from tests.execution.simulated_documents import WATCHER, Wanted, random_document
from tests.execution.simulated_life import live, use
from tests.execution.simulated_server import Faults
from tests.execution.simulated_world import World

CLASSES = (
    "segment",
    "end",
    "something is left out",
    "all is kept for an effect",
    "all is kept for a failure",
    "a success is not kept",
    "taken up in the middle",
)


async def thin(seed: int, faults: Faults) -> set[str]:
    """Workflows that mostly compute, and do not keep all of it."""
    world = World(seed, faults)
    world.snapshot_events = 1_000  # With a snapshot goes all that led to it.
    documents = {
        "callee": random_document(world.random, 1 + seed % 5, Wanted(calls=False, racing=False)),
        "caller": random_document(world.random, 3 + seed % 9, Wanted(racing=False, pure=0.5 + seed % 2 / 2)),
        "watcher": WATCHER,
    }
    for name in ("callee", "caller"):
        documents[name]["settings"]["journal"] = ["segment", "end"][seed % 2]
    no_trace = seed % 3 == 0
    if no_trace:
        documents["caller"]["settings"]["retention"] = {"succeeded_seconds": 0}
    await live(world, documents, [use(world) for _ in range(world.random.choice([1, 2, 3]))])
    await check_world(world)
    if not (faults.http or faults.cancel):
        await check_outputs(world, documents)
    seen = {["segment", "end"][seed % 2]}
    rows = await world.store.rows()
    for row in rows:
        events = await world.journal(row.id)
        seen |= check_kept(row, events, await world.plan(row), documents)
        if sum(isinstance(event, e.Started) for event in events) > 1:
            seen.add("taken up in the middle")
    if no_trace and any(row.id not in {one.id for one in rows} for row in world.started()):
        seen.add("a success is not kept")
    await world.close()
    return seen


def check_kept(row: Execution, events: list[e.Event], plan: Plan, documents: dict[str, Any]) -> set[str]:
    """Of what only computes and what nothing depended on, only what is to stay is there."""
    if plan.settings.journal == "every_node":
        return set()
    began = {(event.node, event.rounds) for event in events if isinstance(event, e.NodeStarted)}
    thin = [
        isinstance(event, e.NodeFinished) and (event.node, event.rounds) not in began and event.static is None
        for event in events
    ]
    if row.status != "succeeded":
        return {"all is kept for a failure"} if any(thin) else set()
    last = max(number for number, event in enumerate(events[:-1]) if not thin[number])
    for event in events[last + 1 : -1]:
        assert isinstance(event, e.NodeFinished)
        index = plan.index[event.node]
        ends = plan.settings.journal == "segment" and plan.segments[plan.segment_of[index]].nodes[-1] == index
        assert ends or index in plan.sinks, f"{event} was to be left out"
    seen = {"all is kept for an effect"} if any(thin[:last]) else set()
    admitted = events[0]
    assert isinstance(admitted, e.Admitted)
    if row.workflow_id == "caller":
        sure = expect(documents["caller"], numbers_of(admitted.items), lambda values: values).sure
        ended = {(event.node, event.rounds) for event in events if isinstance(event, e.NodeFinished)}
        if {at for at in sure if not at[1]} - ended:
            seen.add("something is left out")
    return seen

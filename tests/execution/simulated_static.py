"""Static data in simulated worlds: what is kept is what the journals say was done, each thing once.

The workflows run one at a time, as their authors would have it where executions change the same data.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import orjson

from budflow.graph.plan import PlanNode
from budflow.model import event as e
from budflow.model.item import ItemList
from tests.execution.simulated_checks import check_outputs, check_world, numbers_of
from tests.execution.simulated_documents import KINDS, STATIC, WATCHER, Wanted, random_document
from tests.execution.simulated_life import live, use
from tests.execution.simulated_server import Faults
from tests.execution.simulated_world import World

#: Which items others have seen before is a matter of who was faster, and callers go on with what they are given.
TALLIES = frozenset({"tally"})
CLASSES = ("a tally", "a tally fails", "a tally in a body", "items seen before", "kept by both workflows", "cancelled")


async def keep_static(seed: int, faults: Faults) -> set[str]:
    """Workflows that count and remember."""
    world = World(seed, faults)
    wanted = Wanted(racing=False, static=STATIC)
    documents = {
        "callee": random_document(world.random, 2 + seed % 5, Wanted(calls=False, racing=False, static=TALLIES)),
        "caller": random_document(world.random, 3 + seed % 10, wanted),
        "watcher": WATCHER,
    }
    for name in ("callee", "caller"):
        documents[name]["settings"]["max_concurrency"] = 1
    also(documents["callee"], "tally")
    also(documents["caller"], "tally", world.random.choice(["seen", "call", "call_each"]))
    world.patience_seconds = 2_500  # What sleeps long in a loop lets the others wait.
    await live(world, documents, [use(world) for _ in range(2 + seed % 3)])
    await check_world(world)
    if not (faults.http or faults.cancel):
        await check_outputs(world, documents)
    seen = await check_static(world)
    await world.close()
    return seen


def also(document: dict[str, Any], *kinds: str) -> None:
    """Let what comes into the workflow go through these nodes too, one after the other."""
    before = "start"
    for kind in kinds:
        name, params, _ = KINDS[kind]
        document["nodes"][kind] = {"type": name, "params": params, "on_error": "stop"}
        document["edges"].append({"from": f"{before}.main", "to": kind})
        before = kind


async def check_static(world: World) -> set[str]:
    """Compare what is kept of each workflow with the journals of its executions; what was seen of the classes."""
    seen: set[str] = set()
    expected: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for workflow_id, node, event in await _endings(world):
        kept = expected[workflow_id]
        if isinstance(event, e.NodeFailed) or _failed(node, event):
            seen.add("a tally fails")
        elif node.spec.name == "sim.tally":
            seen.add("a tally in a body" if node.graph else "a tally")
            for key in (node.key, ""):
                counted = kept.setdefault(key, {"runs": 0, "items": 0})
                counted["runs"] += 1
                counted["items"] += sum(map(len, event.outputs.values()))
        else:
            known = kept.setdefault(node.key, {"seen": []})["seen"]
            new, old = _digests(event.outputs["main"]), _digests(event.outputs["duplicates"])
            assert not set(new) & set(known), "an item was taken for new twice"
            known += new
            assert set(old) <= set(known), "a new item was taken for a duplicate"
            if old:
                seen.add("items seen before")
    for workflow_id in ("callee", "caller"):
        kept = dict(await world.store.get_static("default", workflow_id))
        assert kept == expected[workflow_id], f"{workflow_id} keeps {kept}, not {expected[workflow_id]}"
        if any(row.status == "cancelled" for row in await world.store.rows()):
            seen.add("cancelled")
    if expected["callee"] and expected["caller"]:
        seen.add("kept by both workflows")
    return seen


async def _endings(world: World) -> list[tuple[str, PlanNode, e.NodeFinished | e.NodeFailed]]:
    """How the nodes that keep static data ended, in the order in which that happened, with their workflows."""
    found: list[tuple[int, tuple[str, PlanNode, e.NodeFinished | e.NodeFailed]]] = []
    for row in await world.store.rows():
        _, plan = await world.plans.get("default", row.workflow_id, 1)
        for seq, event in own(await world.journal(row.id)):
            if isinstance(event, e.NodeFinished | e.NodeFailed):
                node = plan.nodes[plan.index[event.node]]
                if node.spec.static and not node.node.disabled:
                    found.append((world.store.order[row.id, seq], (row.workflow_id, node, event)))
    return [ending for _, ending in sorted(found, key=lambda one: one[0])]


def own(events: list[e.Event]) -> Iterator[tuple[int, e.Event]]:
    """The events, with their numbers, of what an execution did itself: what it repeats comes before its first start."""
    started = False
    for seq, event in enumerate(events):
        started = started or isinstance(event, e.Started)
        if started:
            yield seq, event


def _failed(node: PlanNode, event: e.NodeFinished) -> bool:
    """Whether it raised, and its items passed on all the same."""
    fails_at = node.node.params.get("fails_at")
    return fails_at is not None and any(fails_at in numbers_of(items) for items in event.outputs.values())


def _digests(items: ItemList) -> list[str]:
    return [hashlib.sha256(orjson.dumps(number)).hexdigest()[:24] for number in numbers_of(items)]

"""Credentials in simulated worlds: what is sent with one was journaled and audited before, and none of it stays."""

from collections import Counter
from dataclasses import replace
from typing import Any

from budflow.model import event as e
from budflow.model.credential import CredentialUse
from budflow.model.journal import encode
from budflow.model.path import path_of
from tests.execution.simulated_checks import check_world
from tests.execution.simulated_documents import URL, WATCHER, Wanted, random_document
from tests.execution.simulated_life import live, use
from tests.execution.simulated_server import Faults
from tests.execution.simulated_vault import ODDS, SECRET
from tests.execution.simulated_world import World
from tests.execution.story import body

CLASSES = (
    *ODDS,
    "sent",
    "in a loop",
    "refused for good",
    "given again to who took it up",
    "another one when it is tried again",
    "stopped before it was given",
)
USES_MAX = 1_000


async def use_credentials(seed: int, faults: Faults) -> set[str]:
    """Workflows of which most requests are signed."""
    often_tried = seed % 3 == 0
    world = World(seed, replace(faults, http=0.5) if often_tried else faults)
    if often_tried:
        world.outside.mischief = ("refused",)
    documents = {
        "callee": random_document(world.random, 1 + seed % 7, Wanted(calls=False)),
        "caller": random_document(world.random, 3 + seed % 12, Wanted()),
        "watcher": WATCHER,
    }
    also(documents["caller"], looped=world.random.random() < 0.5)
    for name in ("callee", "caller"):
        world.outside.signed |= {(name, key) for key in sign(world, documents[name])}
    await live(world, documents, [use(world) for _ in range(world.random.choice([1, 2, 3]))])
    await check_world(world)
    assert not world.outside.unsigned, "a request went out without its credential, or before its use was durable"
    seen = {*world.outside.vault.seen, *await check_uses(world)}
    if world.outside.signatures:
        seen.add("sent")
    await world.close()
    return seen


def also(document: dict[str, Any], *, looped: bool) -> None:
    """Let what comes into the workflow be sent by one more node, or by one in a loop."""
    params = {"url": URL + "extra", "method": "POST"}
    post: dict[str, Any] = {"type": "http.request", "params": params, "timeout_seconds": 60}
    post["retry"] = {"tries": 4, "wait_seconds": 1}
    loop = {"type": "flow.for_each", "bodies": {"body": body("extra", post)}}
    key, node = ("loop", loop) if looped else ("extra", post)
    document["nodes"][key] = node
    document["edges"].append({"from": "start.main", "to": key})


def sign(world: World, graph: dict[str, Any]) -> list[str]:
    """Give most nodes that send something a credential; their keys."""
    found: list[str] = []
    for key, node in graph["nodes"].items():
        if node["type"] == "http.request" and world.random.random() < 0.8:
            node["credentials"] = {"auth": "crm"}
            found.append(key)
        for inner in node.get("bodies", {}).values():
            found += sign(world, inner)
    return found


async def check_uses(world: World) -> set[str]:
    """The audit is what the journals say, and none of them holds a secret; the classes that were seen."""
    seen: set[str] = set()
    noted: Counter[tuple[str, ...]] = Counter()
    for row in await world.store.rows():
        events = await world.journal(row.id)
        assert not any(SECRET.encode() in encode(0, event).payload for event in events), "a journal has a secret"
        seen |= classes_of(world, row.workflow_id, events)
        admitted = events[0]
        assert isinstance(admitted, e.Admitted)
        for event in events:
            if isinstance(event, e.CredentialsUsed):
                path = path_of(event.node, event.rounds)
                for slot, id_ in event.credentials.items():
                    noted[id_, row.id, row.workflow_id, path, slot, "test", admitted.principal, str(event.at)] += 1
    uses = [one for id_ in {key[0] for key in noted} for one in await _uses(world, id_)]
    assert Counter(map(_told, uses)) == noted, "the audit is not what the journals say"
    return seen


def classes_of(world: World, workflow: str, events: list[e.Event]) -> set[str]:
    """What happened to an execution's signed nodes."""
    seen: set[str] = set()
    stopped: set[tuple[str, str]] = set()
    taken_up = 0
    given: dict[tuple[str, e.Rounds], tuple[int, str]] = {}
    for event in events:
        taken_up += isinstance(event, e.Started)
        if isinstance(event, e.CredentialsUsed):
            at, now = (event.node, event.rounds), (taken_up, event.credentials["auth"])
            before = given.get(at)
            if before is not None and before[0] != taken_up:
                seen.add("given again to who took it up")
            elif before is not None:
                seen.add("another one when it is tried again")
            given[at] = now
            if event.rounds:
                seen.add("in a loop")
        if isinstance(event, e.NodeFailed) and event.failure.code == "credential.refused":
            seen.add("refused for good")
        if isinstance(event, e.NodeCancelled) and (event.node, event.rounds) not in given:
            stopped.add((workflow, event.node))
    if stopped & world.outside.signed:
        seen.add("stopped before it was given")
    return seen


async def _uses(world: World, credential_id: str) -> tuple[CredentialUse, ...]:
    page = await world.store.list_credential_uses("default", credential_id, limit=USES_MAX)
    assert page.next_cursor is None
    return page.uses


def _told(use: CredentialUse) -> tuple[str, ...]:
    about = (use.credential_id, use.execution_id, use.workflow_id, use.node, use.slot)
    return (*about, use.author, use.principal, str(use.used_at))

"""Retries and forks in simulated worlds: what was done stays done, and in the end all is as the definition says."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from budflow.errors import BudflowError
from budflow.execution.repeat import NodeDidNotRun
from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.execution import Execution
from budflow.model.path import parse_path, path_of
from budflow.model.principal import OWNER
from budflow.services.fork_execution import ForkExecution, fork_execution
from budflow.services.resume_links import ResumeLinks
from budflow.services.retry_execution import RetryExecution, retry_execution
from budflow.services.use_case import Services
from tests.execution.oracle import result_of
from tests.execution.simulated_checks import abrupt, check_against_definition, check_world, numbers_of
from tests.execution.simulated_documents import WATCHER, Wanted, random_document
from tests.execution.simulated_life import go_on, live, use
from tests.execution.simulated_server import Faults, Server
from tests.execution.simulated_static import TALLIES, also, check_static, own
from tests.execution.simulated_types import TYPES
from tests.execution.simulated_world import World

CLASSES = (
    "retried",
    "a retry retried",
    "a called one retried",
    "succeeded in the end",
    "forked",
    "forked in a body",
    "a thinned one repeated",
    "effects were done",
    "static data",
    "what comes out is known",
)
ROUNDS = 2
Journals = Mapping[str, list[e.Event]]


async def repeat(seed: int, faults: Faults) -> set[str]:
    """Executions of which many fail or are cancelled; some are retried and forked, and so are those."""
    definite = seed % 3 != 0
    if definite:  # What fails outside fails its execution, so that a retry makes good all of it.
        faults = replace(faults, http=0.4, cancel=0)
    world = World(seed, faults)
    alone = seed % 2 == 0
    tallies = TALLIES if alone else frozenset[str]()
    calls = Wanted(calls=False, racing=not definite, handling=not definite, static=tallies)
    documents = {
        "callee": random_document(world.random, 1 + seed % 5, calls),
        "caller": random_document(world.random, 3 + seed % 9, replace(calls, calls=True)),
        "watcher": WATCHER,
    }
    if tallies:
        documents["callee"]["settings"]["max_concurrency"] = 1  # Its caller may have several called at once.
        also(documents["caller"], "tally")
    if alone:
        await live(world, documents, [one_by_one(world, world.random.choice([1, 2]))])
    else:
        await live(world, documents, [use(world) for _ in range(world.random.choice([1, 2]))])
    for _ in range(ROUNDS):
        if definite:
            world.outside.faults = replace(faults, http=0)
        rows = [row for row in await world.store.rows() if row.mode != "error"]
        bad = [row for row in rows if row.status != "succeeded"]
        chosen = [*world.random.sample(bad, min(len(bad), 2)), world.random.choice(rows)] if rows else []
        before = {row.id: await world.journal(row.id) for row in rows}
        if alone:
            await go_on(world, [in_turn(world, chosen)])
        else:
            await go_on(world, [repeat_one(world, row) for row in chosen])
        for id_, events in before.items():
            assert await world.journal(id_) == events, "what had ended was changed"
    await check_world(world)
    seen = await check_repeats(world, documents if definite else None)
    if alone and await check_tallies(world):
        seen.add("static data")
    await world.close()
    return seen


async def one_by_one(world: World, times: int) -> None:
    """Submit executions, each when the one before has ended."""
    for _ in range(times):
        await use(world)
        await _until_all_ended(world)


async def in_turn(world: World, rows: list[Execution]) -> None:
    """Repeat executions, each when what was before has ended."""
    for row in rows:
        await repeat_one(world, row)
        await _until_all_ended(world)


async def _until_all_ended(world: World) -> None:
    while await world.busy():  # noqa: ASYNC110 - virtual time costs nothing
        await asyncio.sleep(0.5)


async def repeat_one(world: World, row: Execution) -> None:
    """Retry what did not succeed, or fork it from some node on."""
    await asyncio.sleep(world.random.choice([0, 0, 0.1, 1]))
    server = await world.server()
    _, plan = await world.plans.get("default", row.workflow_id, 1)
    events = await world.journal(row.id)
    if row.status != "succeeded" and world.random.random() < 0.8:
        await retry(server, row)
        return
    ran = {(one.node, one.rounds) for one in events if isinstance(one, e.NodeFinished | e.NodeFailed)}
    inside = {at for at in ran if plan.nodes[plan.index[at[0]]].graph}
    ran = inside if inside and world.random.random() < 0.6 else ran
    node, rounds = world.random.choice(sorted(ran) or [("start", ())])
    if rounds and world.random.random() < 0.5:
        rounds = ()
    if await server.ask(_fork(server, row, path_of(node, rounds))):
        kept_all = plan.settings.journal == "every_node" or row.status != "succeeded"
        assert plan.nodes[plan.index[node]].graph or not kept_all, f"{node} ran in {row}, and cannot be forked from"


async def retry(server: Server, row: Execution) -> None:
    """Have a server retry an execution."""

    async def ask() -> None:
        try:
            await retry_execution(_services(server), OWNER, RetryExecution(execution_id=row.id))
        except BudflowError as error:
            _expect_absent(error)

    await server.ask(ask())


async def _fork(server: Server, row: Execution, path: str) -> bool:
    """Whether that was refused since the node did not run."""
    try:
        await fork_execution(_services(server), OWNER, ForkExecution(execution_id=row.id, node=path))
    except NodeDidNotRun:
        return True
    except BudflowError as error:
        _expect_absent(error)
    return False


def _expect_absent(error: BudflowError) -> None:
    assert error.http_status == 503, f"refused: {error!r}"


def _services(server: Server) -> Services:
    nothing = cast(Any, None)
    return Services(
        store=cast(Any, server.connection),
        plans=server.plans,
        supervisor=server.supervisor,
        registry=TYPES,
        triggers=nothing,
        settings=nothing,
        links=ResumeLinks(b"key", None, 60),
        lists=server.lists,
        blobs=nothing,
        credential_kinds=nothing,
        cipher=nothing,
        credentials=nothing,
        prober=nothing,
        leaders=nothing,
        wakes=nothing,
        sandbox=nothing,
    )


async def check_tallies(world: World) -> bool:
    """Whether static data was kept, which is then what the journals say."""
    await check_static(world)
    return any([await world.store.get_static("default", name) for name in ("caller", "callee")])


async def check_repeats(world: World, documents: Mapping[str, Any] | None) -> set[str]:
    """Whatever was repeated goes on from what it repeats; with `documents` it comes to what they say."""
    seen: set[str] = set()
    rows = {row.id: row for row in await world.store.rows()}
    journals = {id_: await world.journal(id_) for id_ in rows}
    check_keys(world, rows)
    for row in rows.values():
        if row.origin is None:
            continue
        origin = rows[row.origin.execution_id]
        _, plan = await world.plans.get("default", row.workflow_id, 1)
        if row.origin.kind == "retry":
            seen.add("a retry retried" if origin.origin is not None else "retried")
            seen |= {"a called one retried"} if origin.parent is not None else set()
            seen |= {"succeeded in the end"} if row.status == "succeeded" else set()
            done = check_nothing_again(world, row, journals, tidying(plan))
            seen |= {"effects were done"} if done else set()
        else:
            assert row.origin.node is not None
            key = row.origin.node.partition("[")[0]
            again = behind(plan, key)
            check_nothing_again(world, row, journals, again)
            own_graph = not plan.nodes[plan.index[key]].graph
            too_much = [event for event in repeated(journals[row.id]) if event.node in again]
            assert not own_graph or not too_much, "what is to run again is kept"
            seen |= check_other_rounds(row, plan, journals)
            seen.add("forked in a body" if plan.nodes[plan.index[key]].graph else "forked")
        if plan.settings.journal != "every_node":
            seen.add("a thinned one repeated")
        if documents is not None and row.status != "cancelled" and not abrupt(journals[row.id]):
            admitted = journals[row.id][0]
            assert isinstance(admitted, e.Admitted)
            seen.add("what comes out is known")
            check_against_definition(
                documents[row.workflow_id],
                numbers_of(admitted.items),
                journals[row.id],
                plan,
                lambda values: result_of(documents["callee"], values),
            )
    return seen


def check_keys(world: World, rows: Mapping[str, Execution]) -> None:
    """The same thing is always done with the same key, however often it is retried, and no other thing is."""
    keys: defaultdict[object, set[str]] = defaultdict(set)
    meanings: defaultdict[str, set[object]] = defaultdict(set)
    for execution_id, key, path, ordinal in world.outside.sent:
        meaning = (*_meaning(rows, rows[execution_id]), path, ordinal)
        keys[meaning].add(key)
        meanings[key].add(meaning)
    for kept in (keys, meanings):
        assert all(len(found) == 1 for found in kept.values()), "keys and effects do not belong together"


def _meaning(rows: Mapping[str, Execution], row: Execution) -> tuple[object, ...]:
    """What an execution is about: a retry, and what it calls, are about the same as what they repeat."""
    if row.origin is not None and row.origin.kind == "retry":
        return _meaning(rows, rows[row.origin.execution_id])
    if row.parent is not None and row.mode == "child":
        return (*_meaning(rows, rows[row.parent.execution_id]), row.parent.node, row.parent.call)
    return (row.id,)


def check_nothing_again(world: World, row: Execution, journals: Journals, again: set[str]) -> bool:
    """What had ended well is not run again, but for `again`; whether any effect was among it."""
    assert row.origin is not None
    before, mine = journals[row.origin.execution_id], journals[row.id]
    done = {(one.node, one.rounds) for one in before if isinstance(one, e.NodeFinished) and one.node not in again}
    if isinstance(before[-1], e.Finished) and before[-1].status == "succeeded":
        # What led to those that only compute may not have been kept; then they are computed again.
        done &= {(one.node, one.rounds) for one in before if isinstance(one, e.NodeStarted)}
    for _, event in own(mine):
        if isinstance(event, e.NodeStarted | e.NodeFinished | e.NodeFailed):
            assert (event.node, event.rounds) not in done, f"{event} again"
    effects = {(one.node, one.rounds) for one in before if isinstance(one, e.NodeStarted) and one.params is None}
    items: set[tuple[str, int | None]] = {(path_of(node, rounds), None) for node, rounds in done}
    for event in before:
        if isinstance(event, e.ItemsFinished) and event.node not in again:
            items |= {(path_of(event.node, event.rounds), ordinal) for ordinal in event.ordinals}
    if row.origin.kind == "retry":
        for execution_id, _, path, ordinal in world.outside.sent:
            if execution_id == row.id:
                assert (path, None) not in items and (path, ordinal) not in items, f"{path}, item {ordinal} again"
    return bool(done & effects) or len(items) > len(done)


def repeated(events: list[e.Event]) -> list[e.NodeFinished]:
    """The ends of nodes that an execution begins with."""
    kept = events[: next(own(events), (len(events), None))[0]]
    return [event for event in kept if isinstance(event, e.NodeFinished)]


def check_other_rounds(row: Execution, plan: Plan, journals: Journals) -> set[str]:
    """A fork of one round of a loop leaves the others as they are, however many may run at once."""
    assert row.origin is not None
    assert row.origin.node is not None
    key, rounds = parse_path(row.origin.node)
    container = plan.graphs[plan.nodes[plan.index[key]].graph].container
    if len(rounds) != 1 or container is None or plan.nodes[container].graph:
        return set()
    loop = plan.nodes[container]
    if loop.spec.name != "flow.for_each":
        return set()
    before = [one for one in journals[row.origin.execution_id] if isinstance(one, e.NodeFinished)]
    others = {(one.node, one.rounds) for one in before if one.rounds and one.rounds[0] != rounds[0]}
    others = {at for at in others if _root(plan, plan.index[at[0]]) == container}
    for _, event in own(journals[row.id]):
        if isinstance(event, e.NodeStarted | e.NodeFinished | e.NodeFailed):
            assert (event.node, event.rounds) not in others, f"{event} again"
    return {"forked in one of several rounds"} if others else set()


def tidying(plan: Plan) -> set[str]:
    """The nodes of `finally` bodies: of one that was stopped they ran already, and come last all the same."""
    return {
        node.key
        for node in plan.nodes
        if any(plan.graphs[number].name == "finally" for number in _graphs(plan, node.index))
    }


def behind(plan: Plan, key: str) -> set[str]:
    """The node of the workflow's own graph that the node is, or is inside of; what is reached from it, with all inside.

    Of a node inside that may be more than what runs again.
    """
    graph = plan.graphs[0]
    found = {_root(plan, plan.index[key])}
    for index in graph.ordered:
        node = plan.nodes[index]
        if any(source.node in found for port in node.inputs for source in port):
            found.add(index)
    return {node.key for node in plan.nodes if _root(plan, node.index) in found}


def _root(plan: Plan, index: int) -> int:
    """The node of the workflow's own graph that a node is, or is inside of."""
    *_, graph = _graphs(plan, index)
    inside = plan.graphs[graph].container
    return index if inside is None else inside


def _graphs(plan: Plan, index: int) -> list[int]:
    """The bodies that a node stands in, the innermost first; for one in none of them the workflow's own graph."""
    found = [plan.nodes[index].graph]
    while (container := plan.graphs[found[-1]].container) is not None and plan.nodes[container].graph:
        found.append(plan.nodes[container].graph)
    return found

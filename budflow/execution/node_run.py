"""One run of one node: the engine's loop around the author's function, with retries, time limit and failed items."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random

from budflow.errors import BudflowError
from budflow.expressions.evaluate import Scope
from budflow.graph.plan import PlanNode
from budflow.log import get_log
from budflow.model.failure import Failure, NodeError
from budflow.model.item import Item, ItemError, ItemList
from budflow.model.node import ERROR_PORT, Batch, Call, HttpCapability, Outputs
from budflow.model.workflow import Effect, Retry

BATCH_ITEMS_MAX = 1_000
BATCH_SECONDS = 0.010
FIRST_BATCH_ITEMS = 200
ITEM_CONCURRENCY = 20
RETRY_WAIT_SECONDS_MAX = 3_600.0

log = get_log(__name__)

#: Called before a pause: tries so far, failed items, seconds, the first failure.
OnRetry = Callable[[int, int, float, Failure], None]
Sleep = Callable[[float], Awaitable[None]]


class NodeCrashed(NodeError):
    """The node type raised an error that it should have turned into one of its own."""

    code = "node.crashed"
    hint = "This is a fault of the node type, not of the workflow; the server's log has the traceback."


class NodeTimedOut(NodeError):
    """The node did not finish within its `timeout_seconds`."""

    code = "node.timed_out"
    hint = "Raise `timeout_seconds`, which holds for all tries together, or give the node less to do at a time."


class ResultMalformed(NodeError):
    """The node type gave back something that is no item, or named a port or an item that does not exist."""

    code = "node.result_malformed"
    hint = "This is a fault of the node type, not of the workflow."


@dataclass(slots=True)  # Not frozen: one is made for every run of a node, and a frozen one takes four times as long.
class NodeRun:
    """What one run of a node needs. `scope(ordinal)` is what its expressions see for that input item (None: for none).

    `effect_scope` and the item's ordinal give the idempotency key and all randomness, so a repetition has the same.
    """

    node: PlanNode
    items: Sequence[Item]
    ports: Mapping[str, range]
    scope: Callable[[int | None], Scope]
    now: datetime
    effect_scope: str
    http: HttpCapability
    on_retry: OnRetry
    sleep: Sleep = asyncio.sleep

    def key(self, ordinal: int) -> str:
        """The idempotency key of one item: equal for every attempt at it."""
        return hashlib.sha256(f"{self.effect_scope}/{self.node.key}/{ordinal}".encode()).hexdigest()[:32]


@dataclass(slots=True)
class NodeResult:
    """What came of it: items by port, and the failed items by ordinal."""

    ports: dict[str, tuple[list[Item], list[int]]] = field(default_factory=dict)
    failed: dict[int, Failure] = field(default_factory=dict)
    tries: int = 1


async def run_node(run: NodeRun) -> NodeResult:
    """Run the node's function over its items. Never raises but asyncio.CancelledError: faults are in the result."""
    result = NodeResult()
    work = _WORK[run.node.spec.kind]
    if run.node.node.timeout_seconds is None:
        await work(run, result)
        return result
    try:
        async with asyncio.timeout(run.node.node.timeout_seconds):
            await work(run, result)
    except TimeoutError:
        settled = {source for _, lineage in result.ports.values() for source in lineage} | result.failed.keys()
        late = failure_of(run.node, NodeTimedOut())
        result.failed.update({i: late for i in range(max(len(run.items), 1)) if i not in settled})
    return result


def failure_of(node: PlanNode, error: BaseException) -> Failure:
    """What was raised on behalf of a node, as data: its own errors as they are, anything else as NodeCrashed."""
    if not isinstance(error, BudflowError):
        log.error("node.crashed", node=node.key, type=node.spec.name, exc_info=error)
        error = NodeCrashed(f"{type(error).__name__}: {str(error)[:500]}")
    failure = Failure.of(error, node.key)
    if failure.message.isascii():
        return failure
    # Half of a surrogate pair, quoted from an item, could not be journaled.
    return replace(failure, message=failure.message.encode("utf-8", "replace").decode())


def all_failed(items: Sequence[Item], failure: Failure) -> NodeResult:
    """The result of a run in which every item failed of the same cause; without items the run itself did."""
    return NodeResult(failed=dict.fromkeys(range(max(len(items), 1)), failure))


def settle(node: PlanNode, items: Sequence[Item], result: NodeResult) -> dict[str, ItemList] | Failure:
    """The node's outputs with every port named, or the failure that stops the execution, as `on_error` has it."""
    if result.failed:
        first = result.failed[min(result.failed)]
        if node.node.on_error == "stop":
            return first
        port = ERROR_PORT if node.node.on_error == "error_output" else node.output_names[0]
        kept, lineage = result.ports.get(port, ([], []))
        for ordinal, failure in sorted(result.failed.items()):
            json = items[ordinal].json if ordinal < len(items) else {}
            error = ItemError(failure.code, failure.message, failure.hint)
            binary = items[ordinal].binary if ordinal < len(items) else {}
            kept.append(Item(json, binary, error))
            lineage.append(ordinal if ordinal < len(items) else -1)
        if all(source >= 0 for source in lineage):
            # Items that failed pass on where they stood, not behind the others.
            by_source = sorted(range(len(kept)), key=lineage.__getitem__)
            kept, lineage = [kept[i] for i in by_source], [lineage[i] for i in by_source]
        result.ports[port] = (kept, lineage)
    return {name: ItemList(*result.ports[name]) if name in result.ports else ItemList() for name in node.output_names}


def effect_of(run: NodeRun) -> Effect:
    """What this run does to the world outside: the author's word, or what the type says of these parameters."""
    node = run.node
    if node.node.effect is not None:
        return node.node.effect
    if not callable(node.spec.effect):
        return node.spec.effect
    try:
        return node.spec.effect_of(node.params.resolve(run.scope(0 if run.items else None)))
    except Exception:  # noqa: BLE001 - the boundary of a node's call
        return "once"  # The run itself will report the fault; until then the worst is assumed.


async def _run_batches(run: NodeRun, result: NodeResult) -> None:
    start, size = 0, FIRST_BATCH_ITEMS
    while True:
        stop = min(start + size, len(run.items))
        began = time.perf_counter()
        _call_batch(run, result, start, stop)
        if stop >= len(run.items):
            return
        spent = time.perf_counter() - began
        size = max(1, min(BATCH_ITEMS_MAX, int(size * BATCH_SECONDS / max(spent, 1e-6))))
        start = stop
        await asyncio.sleep(0)


async def _run_list(run: NodeRun, result: NodeResult) -> None:
    _call_batch(run, result, 0, len(run.items))


def _call_batch(run: NodeRun, result: NodeResult, start: int, stop: int) -> None:
    params, scope = run.node.params, run.scope
    fixed = params.fixed  # Without expressions there is nothing to see, and nothing to evaluate for each item.
    items = run.items[start:stop]
    batch = Batch(
        items=items,
        # Only `batch` nodes are cut into slices, and those have one port.
        ports=run.ports if len(items) == len(run.items) else dict.fromkeys(run.ports, range(stop - start)),
        resolve=lambda index: (
            params.resolve(scope(None if index is None else start + index)) if fixed is None else fixed
        ),
        now=run.now,
    )
    try:
        outputs = run.node.spec.call(batch)
        _collect(run, result, items, outputs, start)
        for index, problem in {**batch.failed, **outputs.failed}.items():
            result.failed[start + index] = failure_of(run.node, problem)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the boundary of a node's call
        cause = failure_of(run.node, error)
        result.failed.update({start + i: cause for i in range(max(len(items), 1))})


def _collect(run: NodeRun, result: NodeResult, items: Sequence[Item], outputs: Outputs, start: int) -> None:
    given: dict[str, list[Item]] = {}
    for port, (new, sources) in outputs.ports.items():
        if port not in run.node.output_names:
            raise ResultMalformed(f"`{run.node.spec.name}` gave items to a port `{port}` that it does not have.")
        pairs = zip(new, sources, strict=True)
        given[port] = [items[source] if item is None else item for item, source in pairs]
        _check_items(run, given[port])
    for port, checked in given.items():  # Only when all is well: what is half kept would be there twice once it fails.
        kept, lineage = result.ports.setdefault(port, ([], []))
        kept.extend(checked)
        lineage.extend([source + start if source >= 0 else -1 for source in outputs.ports[port][1]])


def _check_items(run: NodeRun, items: Sequence[Item]) -> None:
    if not all(isinstance(item.json, dict) for item in items):
        raise ResultMalformed(f"`{run.node.spec.name}` gave back something that is no item.")


async def _run_items(run: NodeRun, result: NodeResult) -> None:
    retry = run.node.node.retry
    done: dict[int, list[Item]] = {}
    todo: Sequence[int] = range(len(run.items))
    port = run.node.output_names[0]
    try:
        while True:
            failed = await _try_items(run, todo, done)
            again = [ordinal for ordinal, failure in failed.items() if failure.retriable]
            if not again or result.tries >= retry.tries:
                result.failed.update(failed)
                return
            result.failed.update({ordinal: failed[ordinal] for ordinal in failed if ordinal not in again})
            pause = _pause(retry, result.tries, run.key(-result.tries))
            run.on_retry(result.tries, len(again), pause, failed[again[0]])
            result.tries += 1
            await run.sleep(pause)
            todo = again
    finally:
        # Also when the time is up: what was done stays done.
        pairs = [(item, ordinal) for ordinal in sorted(done) for item in done[ordinal]]
        if pairs:
            result.ports[port] = ([item for item, _ in pairs], [ordinal for _, ordinal in pairs])


async def _try_items(run: NodeRun, todo: Sequence[int], done: dict[int, list[Item]]) -> dict[int, Failure]:
    failed: dict[int, Failure] = {}
    waiting = iter(todo)

    async def work() -> None:
        task = asyncio.current_task()
        for ordinal in waiting:  # Shared by all workers: each takes the next.
            try:
                done[ordinal] = await _call_item(run, ordinal)
            except asyncio.CancelledError as error:
                if task is None or task.cancelling():
                    raise
                failed[ordinal] = failure_of(
                    run.node, error
                )  # Nobody cancelled this: it came out of the node's own call.
            except Exception as error:  # noqa: BLE001 - the boundary of a node's call
                failed[ordinal] = failure_of(run.node, error)

    if len(todo) == 1:
        await work()
    else:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(ITEM_CONCURRENCY, len(todo))):
                group.create_task(work())
    return failed


async def _call_item(run: NodeRun, ordinal: int) -> list[Item]:
    item = run.items[ordinal]
    params = run.node.params.resolve(run.scope(ordinal))
    given = await run.node.spec.call(Call(item, params, run.key(ordinal), run.now, run.http))
    several = given if isinstance(given, list) else [given]
    items = [value if isinstance(value, Item) else Item(value) for value in several]
    _check_items(run, items)
    return items


def _pause(retry: Retry, tries: int, seed: str) -> float:
    """Seconds before the next try; with jitter between half and all of it, the same for the same run."""
    pause = retry.wait_seconds * (2 ** (tries - 1) if retry.backoff == "exponential" else 1)
    pause = min(pause, RETRY_WAIT_SECONDS_MAX)
    return pause * (0.5 + Random(seed).random() / 2) if retry.jitter else pause  # noqa: S311 - spreads load only


_WORK = {"item": _run_items, "batch": _run_batches, "list": _run_list}

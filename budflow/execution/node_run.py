"""One run of one node: the engine's loop around the author's function, with retries, time limit and failed items."""

import asyncio
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence

from budflow.execution.at_hand import reach
from budflow.execution.blobs import BlobUnreadable, BlobUnwritable
from budflow.execution.list_work import run_batches, run_list, run_whole
from budflow.execution.masking import masked_items
from budflow.execution.node_log import Logging
from budflow.execution.node_result import (
    NodeResult,
    NodeRun,
    NodeTimedOut,
    check_items,
    failure_of,
    holds_much,
    relieve,
    store,
)
from budflow.expressions.evaluate import Scope
from budflow.model.failure import Failure
from budflow.model.item import Item
from budflow.model.journal import EventUnwritable
from budflow.model.node import Call
from budflow.model.secret import Secret
from budflow.model.spilled import Spilled
from budflow.model.workflow import Effect

ITEM_CONCURRENCY = 20
#: So many items are worked on, with all their retries, before what came of them may leave the memory.
ITEMS_AT_ONCE = 20_000
NO_SECRET = Secret("")


async def run_node(run: NodeRun) -> NodeResult:
    """Run the node's function over its items. Never raises but asyncio.CancelledError: faults are in the result."""
    result = NodeResult()
    work = _WORK[run.node.spec.kind]
    try:
        if run.node.node.timeout_seconds is None:
            await work(run, result)
        else:
            await _run_in_time(run, result, run.node.node.timeout_seconds)
        if holds_much(run, result):  # Most runs do not: they are not to wait for a coroutine that does nothing.
            await store(run, result)
    except (BlobUnreadable, BlobUnwritable, EventUnwritable) as error:
        result.fatal = failure_of(run.node, error, run.path)
    finally:
        if result.spill is not None:
            result.spill.close()
    return result


async def store_much(run: NodeRun, result: NodeResult) -> NodeResult:
    """The result that another process gave, with what is too much for memory in blobs, durable."""
    try:
        if holds_much(run, result):
            await store(run, result)
    except (BlobUnreadable, BlobUnwritable, EventUnwritable) as error:
        result.fatal = failure_of(run.node, error, run.path)
    finally:
        if result.spill is not None:
            result.spill.close()
    return result


def run_at_once(run: NodeRun) -> NodeResult:
    """The same for a `batch` or `list` node, all items in one call and without a pause; for few items."""
    result = NodeResult()
    run_whole(run, result)
    return result


async def _run_in_time(run: NodeRun, result: NodeResult, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await _WORK[run.node.spec.kind](run, result)
    except TimeoutError:
        late = failure_of(run.node, NodeTimedOut(), run.path)
        if result.spill is not None or isinstance(run.items, Spilled):
            result.fatal = late
            return
        settled = {source for _, lineage in result.ports.values() for source in lineage} | result.failed.keys()
        result.failed.update({i: late for i in range(max(len(run.items), 1)) if i not in settled})


def effect_of(run: NodeRun) -> Effect:
    """What this run does to the world outside: the author's word, or what the type says of these parameters."""
    node = run.node
    if node.node.effect is not None:
        return node.node.effect
    if not callable(node.spec.effect):
        return node.spec.effect
    try:
        # Asked before the credentials are opened; what a secret is has no bearing on it.
        return node.spec.effect_of(node.params.resolve(_scope(run, 0 if run.items else None, ANY_SECRETS)))
    except Exception:  # noqa: BLE001 - the boundary of a node's call
        return "once"  # The run itself will report the fault; until then the worst is assumed.


async def _run_items(run: NodeRun, result: NodeResult) -> None:
    result.failed.update(run.in_doubt)
    size = len(run.items)
    for start in range(0, size, ITEMS_AT_ONCE):
        stop = min(start + ITEMS_AT_ONCE, size)
        await _run_some(run, result, range(start, stop))
        if stop < size and result.failed and run.node.node.on_error == "stop":
            return
        if stop < size and holds_much(run, result):
            await relieve(run, result)


async def _run_some(run: NodeRun, result: NodeResult, ordinals: range) -> None:
    """Work on some of the items until each is done or has failed for good."""
    retry, tries = run.node.node.retry, 1
    done = {ordinal: items for ordinal, items in run.done.items() if ordinal in ordinals}
    todo: Sequence[int] = [n for n in ordinals if n not in done and n not in run.in_doubt]
    try:
        while True:
            run.log.attempt = tries
            failed = await _try_items(run, todo, done)
            again = [ordinal for ordinal, failure in failed.items() if failure.retriable]
            if not again or tries >= retry.tries:
                result.failed.update(failed)
                return
            result.failed.update({ordinal: failed[ordinal] for ordinal in failed if ordinal not in again})
            pause = run.pause_seconds(tries)
            run.on_retry(tries, len(again), pause, failed[again[0]])
            tries += 1
            result.tries = max(result.tries, tries)
            await run.sleep(pause)
            todo = again
            if run.reopen is not None and (refused := await _reopened(run)) is not None:
                result.failed.update(dict.fromkeys(again, refused))
                return
    finally:
        # Also when the time is up: what was done stays done.
        if done:
            items, lineage = result.ports.setdefault(run.node.output_names[0], ([], []))
            for ordinal in sorted(done):
                items.extend(done[ordinal])
                lineage.extend([ordinal] * len(done[ordinal]))


async def _reopened(run: NodeRun) -> Failure | None:
    """Open the credentials anew, which may have been taken away during the pause; why the node cannot have them."""
    assert run.reopen is not None  # noqa: S101 - its caller looked
    try:
        await run.reopen()
    except Exception as error:  # noqa: BLE001 - the boundary of a node's call
        return failure_of(run.node, error, run.path, run.redaction)
    return None


async def _try_items(run: NodeRun, todo: Sequence[int], done: dict[int, list[Item]]) -> dict[int, Failure]:
    failed: dict[int, Failure] = {}
    waiting = iter(todo)

    async def work() -> None:
        task = asyncio.current_task()
        for ordinal in waiting:  # Shared by all workers: each takes the next.
            try:
                if run.begin is not None:
                    await run.begin(ordinal + 1)
                done[ordinal] = await _call_item(run, ordinal)
                if run.on_done is not None:
                    run.on_done(ordinal, done[ordinal])
            except asyncio.CancelledError as error:
                if task is None or task.cancelling():
                    raise
                # Nobody cancelled this: it came out of the node's own call.
                failed[ordinal] = failure_of(run.node, error, run.path, run.redaction)
            except Exception as error:  # noqa: BLE001 - the boundary of a node's call
                failed[ordinal] = failure_of(run.node, error, run.path, run.redaction)

    if len(todo) == 1:
        await work()
    else:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(ITEM_CONCURRENCY, len(todo))):
                group.create_task(work())
    return failed


async def _call_item(run: NodeRun, ordinal: int) -> list[Item]:
    kept = await reach(run.items, ordinal)
    item = run.items[ordinal]
    params = run.node.params.resolve(_scope(run, ordinal))
    del kept
    call = Call(
        *(item, params, run.key(ordinal), run.now, run.http, run.files, run.traceparent, run.static, run.credentials),
        Logging(run.log, 0, ordinal),
        run.blobs,
    )
    given = await run.node.spec.call(call)
    several = given if isinstance(given, list) else [given]
    items = [value if isinstance(value, Item) else Item(value) for value in several]
    check_items(run.node, items)
    return items if run.redaction is None else masked_items(items, run.redaction)


def _scope(run: NodeRun, ordinal: int | None, secrets: Mapping[str, object] | None = None) -> Scope:
    """What the expressions see for an item, with `$secrets` for those that read it: by default the node's own."""
    scope = run.scope(ordinal)
    if "secrets" in run.node.params.names:
        own = {slot: credential.fields() for slot, credential in run.credentials.items()}
        scope.names = ChainMap({"secrets": secrets or own}, scope.names)  # type: ignore[arg-type] # it is only read
    return scope


class _AnySecret(Mapping[str, object]):
    """Stands for secrets where their values are of no account: there is one under every name."""

    def __init__(self, inner: object = NO_SECRET) -> None:
        self._inner = inner

    def __getitem__(self, name: str) -> object:
        return self._inner

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 1


#: Stands for the credentials of every slot.
ANY_SECRETS = _AnySecret(_AnySecret())


_WORK = {"item": _run_items, "batch": run_batches, "list": run_list}

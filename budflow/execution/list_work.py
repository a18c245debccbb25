"""The loop around nodes that see many items at once: batch after batch, or a whole list that comes in parts."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from budflow.execution.at_hand import reach, read_block
from budflow.execution.blobs import BlobUnreadable
from budflow.execution.node_log import Logging
from budflow.execution.node_result import (
    NodeResult,
    NodeRun,
    ResultMalformed,
    all_failed,
    check_items,
    error_of,
    failed_port,
    failure_of,
    holds_much,
    relieve,
)
from budflow.execution.spill import Gathered
from budflow.model.item import Item
from budflow.model.log import LogCapability
from budflow.model.node import PART_ITEMS, Batch, Outputs
from budflow.model.sandbox import CodePart, CodeTask, SandboxCapability
from budflow.model.spilled import Chunk, Spilled

BATCH_ITEMS_MAX = 1_000
BATCH_SECONDS = 0.010
FIRST_BATCH_ITEMS = 200


async def run_batches(run: NodeRun, result: NodeResult) -> None:
    """Call a `batch` node for one slice of its items after the other, each as large as takes some milliseconds."""
    start, size, count = 0, FIRST_BATCH_ITEMS, len(run.items)
    spilled = run.items if isinstance(run.items, Spilled) else None
    while True:
        items = run.items[start : start + size] if spilled is None else await read_block(spilled, start, size)
        began = time.perf_counter()
        _call_batch(run, result, items, start)
        start += len(items)
        if start >= count or (result.failed and run.node.node.on_error == "stop"):
            return
        spent = time.perf_counter() - began
        size = max(1, min(BATCH_ITEMS_MAX, int(size * BATCH_SECONDS / max(spent, 1e-6))))
        if holds_much(run, result):
            await relieve(run, result)
        await asyncio.sleep(0)


async def run_list(run: NodeRun, result: NodeResult) -> None:
    """Call a `list` node, which gives all at once or part after part; of one that fails in between nothing stays.

    One that is sandboxed, and fails as a whole, is called again as its `retry` has it where trying again may help.
    """
    if run.in_doubt:
        result.failed.update(run.in_doubt)
        return
    if run.done:
        return  # A person said that it happened.
    tries = run.node.node.retry.tries if run.node.spec.sandboxed else 1
    while (error := await _call_list(run, result)) is not None:
        failure = failure_of(run.node, error, run.path)
        if not failure.retriable or result.tries >= tries:
            failed = all_failed(run.items, failure)
            result.raised, result.fatal, result.failed = True, failed.fatal, failed.failed
            return
        pause = run.pause_seconds(result.tries)
        run.on_retry(result.tries, len(run.items), pause, failure)
        result.tries += 1
        await run.sleep(pause)
        run.log.attempt = result.tries


async def _call_list(run: NodeRun, result: NodeResult) -> BaseException | None:
    """Call it once; what it raised, after which the result is as if it had never been called."""
    task = asyncio.current_task()
    batch = _batch(run, run.items, 0)
    if run.node.spec.sandboxed:
        batch.sandbox = _Noting(run.sandbox, result)
    aside = run.open_aside() if run.open_aside is not None and isinstance(run.items, Spilled) else None
    if aside is not None:
        batch.put_aside = aside.put
    try:
        given = run.node.spec.call(batch)
        if isinstance(given, Outputs):
            _collect(run, result, batch, given, 0)
        else:
            await _take_parts(run, result, batch, _awaited(given, run) if run.node.spec.awaits else _paced(given, run))
    except BlobUnreadable:
        raise
    except (Exception, asyncio.CancelledError) as error:
        _discard(result)
        if isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling()):
            raise
        return error
    finally:
        if aside is not None:
            aside.close()
    return None


def run_whole(run: NodeRun, result: NodeResult) -> None:
    """Call a `batch` or `list` node with all its items, without a pause."""
    _call_batch(run, result, run.items, 0)


async def _take_parts(
    run: NodeRun, result: NodeResult, batch: Batch[Any], parts: AsyncGenerator[Outputs, None]
) -> None:
    async with aclosing(parts):
        async for outputs in parts:
            _collect(run, result, batch, outputs, 0)
            if result.failed and run.node.node.on_error == "stop":
                return
            if holds_much(run, result):
                await relieve(run, result)


async def _awaited(parts: AsyncGenerator[Outputs, None], run: NodeRun) -> AsyncGenerator[Outputs, None]:
    """The parts, each begun with the items at hand that it goes on with."""
    async with aclosing(parts):
        while True:
            kept = await _reach_next(run)
            outputs = await anext(parts, None)
            del kept
            if outputs is None:
                return
            yield outputs


async def _paced(parts: Iterable[Outputs], run: NodeRun) -> AsyncGenerator[Outputs, None]:
    """The same, with a pause for others whenever it is due."""
    began = time.perf_counter()
    given = iter(parts)
    while True:
        kept = await _reach_next(run)
        outputs = next(given, None)
        del kept
        if outputs is None:
            return
        yield outputs
        if time.perf_counter() - began > BATCH_SECONDS:
            await asyncio.sleep(0)
            began = time.perf_counter()


async def _reach_next(run: NodeRun) -> list[Chunk | None]:
    """The chunks that the next part begins and ends in; of very large items there may be others between."""
    items = run.items
    if not isinstance(items, Spilled):
        return []
    return [await reach(items, index) for index in (items.position, items.position + PART_ITEMS - 1)]


def _call_batch(run: NodeRun, result: NodeResult, items: Sequence[Item], start: int) -> None:
    batch = _batch(run, items, start)
    try:
        given = run.node.spec.call(batch)
        # Parts are collected only when all are well: what is half kept would be there twice once it fails.
        for outputs in (given,) if isinstance(given, Outputs) else list(given):
            _collect(run, result, batch, outputs, start)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the boundary of a node's call
        _fail_all(run, result, items, start, error)


def _batch(run: NodeRun, items: Sequence[Item], start: int) -> Batch[Any]:
    params, scope = run.node.params, run.scope
    fixed = params.fixed  # Without expressions there is nothing to see, and nothing to evaluate for each item.
    return Batch(
        items=items,
        # Only `batch` nodes are cut into slices, and those have one port.
        ports=run.ports if len(items) == len(run.items) else dict.fromkeys(run.ports, range(len(items))),
        resolve=lambda index: (
            params.resolve(scope(None if index is None else start + index)) if fixed is None else fixed
        ),
        now=run.now,
        files=run.files,
        static=run.static,
        log=Logging(run.log, start),
        blobs=run.blobs,
        key=run.key(-1) if run.node.spec.sandboxed else "",  # Of use to no other; it takes a microsecond.
        name=run.name,
    )


def _collect(run: NodeRun, result: NodeResult, batch: Batch[Any], outputs: Outputs, start: int) -> None:
    items = batch.items
    given: dict[str, tuple[list[Item], list[int]]] = {}
    for port, (new, sources) in outputs.ports.items():
        if port not in run.node.output_names:
            raise ResultMalformed(f"`{run.node.spec.name}` gave items to a port `{port}` that it does not have.")
        pairs = zip(new, sources, strict=True)
        checked = [items[source] if item is None else item for item, source in pairs]
        check_items(run.node, checked)
        given[port] = (checked, [source + start if source >= 0 else -1 for source in sources])
    if outputs.rejected:
        _reject(run, result, given, outputs)
    for port, (checked, origins) in given.items():
        kept, lineage = result.ports.setdefault(port, ([], []))
        kept.extend(checked)
        lineage.extend(origins)
    for index, problem in {**batch.failed, **outputs.failed}.items():
        result.failed[start + index] = failure_of(run.node, problem, run.path)
    batch.failed = {}


def _reject(run: NodeRun, result: NodeResult, given: Gathered, outputs: Outputs) -> None:
    """Do with new items that failed what `on_error` says; those that pass on by the same port keep their place."""
    target = failed_port(run.node)
    gone: dict[str, set[int]] = {}
    for port, place, problem in outputs.rejected:
        failure = failure_of(run.node, problem, run.path)
        items, lineage = given[port]
        if run.node.node.on_error == "stop":
            result.failed.setdefault(max(0, lineage[place]), failure)
        elif port == target:
            items[place] = items[place]._replace(error=error_of(failure))
        else:
            failed, sources = given.setdefault(target, ([], []))
            failed.append(items[place]._replace(error=error_of(failure)))
            sources.append(lineage[place])
            gone.setdefault(port, set()).add(place)
    for port, places in gone.items():
        items, lineage = given[port]
        left = [place for place in range(len(items)) if place not in places]
        given[port] = ([items[place] for place in left], [lineage[place] for place in left])


def _fail_all(run: NodeRun, result: NodeResult, items: Sequence[Item], start: int, error: BaseException) -> None:
    failed = all_failed(items, failure_of(run.node, error, run.path))
    result.fatal = failed.fatal
    result.failed.update({start + ordinal: failure for ordinal, failure in failed.failed.items()})


@dataclass(frozen=True, slots=True)
class _Noting:
    """Meets SandboxCapability: notes in the result where the code ran."""

    sandbox: SandboxCapability
    result: NodeResult

    async def run(self, task: CodeTask, log: LogCapability) -> AsyncGenerator[CodePart, None]:
        """See SandboxCapability."""
        async with aclosing(self.sandbox.run(task, log)) as parts:
            async for part in parts:
                self.result.code_place = part.place or self.result.code_place
                yield part


def _discard(result: NodeResult) -> None:
    result.ports, result.failed = {}, {}
    if result.spill is not None:
        result.spill.close()
        result.spill = None

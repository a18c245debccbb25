"""The work of one open node, up to the event that ends it: here, or in another process where it is heavy."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from budflow.execution.aside import Aside
from budflow.execution.heavy import Heavy
from budflow.execution.masking import mask_result
from budflow.execution.node_credentials import NodeCredentials
from budflow.execution.node_log import ExecutionLog, NodeLog
from budflow.execution.node_result import (
    NodeResult,
    NodeRun,
    NodeTimedOut,
    all_failed,
    failure_of,
    masked_failure,
    settle,
)
from budflow.execution.node_run import ITEM_CONCURRENCY, effect_of, run_node, store_much
from budflow.execution.open_node import Openings, OpenNode, Recorded
from budflow.execution.ports import Link, Work
from budflow.execution.spill import Spill
from budflow.execution.stored_blobs import StoredBlobs
from budflow.execution.tools import Tools
from budflow.model import event as e
from budflow.model.blobs import NO_BLOBS, BlobsCapability
from budflow.model.execution import Place
from budflow.model.failure import Failure
from budflow.model.item import EMPTY, Item, ItemList
from budflow.model.static_data import NO_STATIC, StaticData

LINGER_SECONDS = 0.02
#: Of a node with more items what is done is not kept in memory too, so that it can be given up while the node works.
ITEMS_NOTED_MAX = 10_000
ITEMS_NAMED_MAX = 10


def in_doubt_failure(opened: OpenNode, ordinals: Collection[int]) -> Failure:
    """Why these items of a node fail: nobody knows whether their effect happened."""
    named = [f"{ordinal}" for ordinal in sorted(ordinals)[:ITEMS_NAMED_MAX]]
    if len(ordinals) > len(named):
        named.append(f"{len(ordinals) - len(named):,} more")
    of = "item" if len(named) == 1 else "items"
    which = " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))
    where = f"`{opened.path}`" if opened.node.spec.kind == "list" else f"{of} {which} of `{opened.path}`"
    return Failure(
        "node.in_doubt",
        f"A server died over {where}; nobody knows whether that was done.",
        "Find out in the system that it was sent to. A retry of the execution does it again, with the same "
        "idempotency key; `settings.on_crash` says what becomes of such items.",
        opened.path,
    )


class NodeWork:
    """Works off the nodes of one execution."""

    def __init__(
        self,
        work: Work,
        link: Link,
        openings: Openings,
        tools: Tools,
    ) -> None:
        self._work, self._link, self._openings = work, link, openings
        self._static = dict(work.static)
        admitted = work.admitted
        #: A test run sees static data, and what it does to them is forgotten at its end.
        self._keeps_static = admitted is None or not admitted.is_test
        self._tools, self._now, lists = tools, tools.now, tools.lists
        self.log = ExecutionLog(tools.now, link.append)
        self._open_spill = None if lists is None else partial(Spill, lists, work.execution.project_id)
        self._open_aside = None if lists is None else partial(Aside, lists.blobs)
        self._blobs: BlobsCapability = NO_BLOBS
        if lists is not None:
            self._blobs = StoredBlobs(lists.blobs, work.execution.project_id)

    async def do(self, opened: OpenNode) -> e.NodeFinished | e.NodeFailed | e.NodeCancelled:
        """Work a light or heavy node off. Raises what a commit before an outside effect raises, and CancelledError."""
        node = opened.node
        if opened.cancelled:  # Before its first turn.
            return self.cancelled(opened)
        if (given := self.given(opened)) is not None:
            return given
        if node.spec.static:
            opened.static = StaticData.of(self._static, node.key)
        run = self.run_of(opened)
        effect = effect_of(run)
        progress: _Progress | None = None
        if node.node.credentials and (refused := await self._give_credentials(opened, run)) is not None:
            return await self._refused(opened, run, refused)
        if effect != "pure":
            progress = await self._announce(opened, run, once=effect == "once")
            opened.effect = effect  # Until here nothing has happened, so it could be cancelled on the spot.
        elif run.credentials:
            await self._link.commit()  # The author says that it has no effect; but what it is given leaves here.
        if node.weight == "heavy" and self._tools.heavy is not None:
            result, place = await self._elsewhere(self._tools.heavy, run)
            return self.outcome(opened, await store_much(run, result), place)
        try:
            result = await run_node(run)
        except asyncio.CancelledError:
            if progress is not None and opened.cancelled:
                progress.write()
            raise
        if progress is not None and result.failed:
            progress.write()  # A retry of the execution leaves out what was done.
        return self.outcome(opened, result)

    def given(self, opened: OpenNode) -> e.NodeFinished | None:
        """What the node gives without running: its input where it is disabled, in a test run what is pinned to it."""
        given = opened.given(pinned=self._work.pinned)
        return None if given is None else self.finished(opened, given)

    def in_doubt(self, opened: OpenNode) -> frozenset[int]:
        """The items of which nobody knows whether they were done before the last runner died."""
        recorded, kind = opened.recorded, opened.node.spec.kind
        if recorded is None or kind == "batch" or effect_of(self.run_of(opened)) != "once":
            return frozenset()
        if kind == "list":  # All or nothing: one ordinal stands for the whole.
            return frozenset({0}) - recorded.done.keys()
        return frozenset(range(min(recorded.begun, len(opened.items)))) - recorded.done.keys()

    def outcome(
        self, opened: OpenNode, result: NodeResult, place: Place | None = None
    ) -> e.NodeFinished | e.NodeFailed:
        """What a result means under the node's `on_error`."""
        if result.raised:
            opened.static = NO_STATIC  # Its items may pass on; what it did to static data is not kept.
        if (code := result.code_place) is not None:
            place = replace(place or self._tools.place, isolation=code.isolation, image=code.image or None)
        settled = settle(opened.node, opened.items, result, opened.path)
        if isinstance(settled, Failure):
            return e.NodeFailed(
                *(self._now(), opened.node.key, opened.started_at, settled, result.tries, place, opened.at.rounds),
                opened.logged(),
            )
        return self.finished(opened, settled, result.tries, place)

    def failed(self, opened: OpenNode, failure: Failure) -> e.NodeFinished | e.NodeFailed:
        """What it means that the node failed as a whole."""
        return self.outcome(opened, all_failed(opened.items, failure))

    def cancelled(self, opened: OpenNode) -> e.NodeCancelled:
        """The node was stopped."""
        return e.NodeCancelled(self._now(), opened.node.key, opened.at.rounds, opened.logged())

    def finished(
        self, opened: OpenNode, outputs: Mapping[str, ItemList], tries: int = 1, place: Place | None = None
    ) -> e.NodeFinished:
        """The node ran; a port that `outputs` leaves out is empty."""
        full = {name: outputs.get(name, EMPTY) for name in opened.node.output_names}
        key = opened.node.key
        # One that did not run has seen none, and so has changed none.
        static = None if opened.static is NO_STATIC else opened.static.changes(self._static, key)
        if static is not None:
            if opened.redaction is not None:
                static = {name: opened.redaction.data(value) for name, value in static.items()}
            self._static.update(static)
        if not self._keeps_static:
            static = None
        return e.NodeFinished(
            *(self._now(), key, opened.started_at, full, tries, place, opened.at.rounds, static), opened.logged()
        )

    async def _announce(self, opened: OpenNode, run: NodeRun, *, once: bool) -> "_Progress":
        """Make it durable that an effect is about to happen: what the world outside is to see must be known first."""
        size = len(opened.items)
        recorded = opened.recorded
        if recorded is None:
            # Of effects that may not be repeated, only those are said to be begun that really are about to be.
            begun = min(size, ITEM_CONCURRENCY) if once and opened.node.weight == "light" else size
            recorded = opened.recorded = Recorded(begun, started_at=opened.started_at)
            self._link.append(e.NodeStarted(opened.started_at, opened.node.key, size, None, opened.at.rounds, begun))
        await self._link.commit()
        progress = _Progress(opened, recorded, self._link, self._now)
        if opened.node.spec.kind == "item":
            progress.follow(run)
        return progress

    async def _give_credentials(self, opened: OpenNode, run: NodeRun) -> Failure | None:
        """Open what the node has in its slots; why it cannot have it. As long as the node may take, this may too."""
        node = opened.node
        credentials = NodeCredentials(opened, run, self._link, self._now)
        try:
            if node.node.timeout_seconds is None:
                await credentials.open()
            else:
                async with asyncio.timeout(node.node.timeout_seconds):
                    await credentials.open()
        except TimeoutError:
            return failure_of(node, NodeTimedOut(), opened.path)
        except Exception as error:  # noqa: BLE001 - the boundary of a node's call
            return failure_of(node, error, opened.path)
        run.reopen = credentials.reopen
        return None

    async def _refused(self, opened: OpenNode, run: NodeRun, failure: Failure) -> e.NodeFinished | e.NodeFailed:
        """What it means that the node may do nothing more: what was done of its items before a takeover stays done."""
        if not run.done:
            return self.failed(opened, failure)
        left = (ordinal for ordinal in range(len(run.items)) if ordinal not in run.done)
        run.in_doubt = {**dict.fromkeys(left, failure), **run.in_doubt}
        return self.outcome(opened, await run_node(run))

    async def _elsewhere(self, heavy: Heavy, run: NodeRun) -> tuple[NodeResult, Place | None]:
        try:
            result, place = await heavy.run(self._work, run)
        except Exception as error:  # noqa: BLE001 - the boundary of a node's call
            return all_failed(run.items, failure_of(run.node, error, run.path, run.redaction)), None
        if run.redaction is not None:
            mask_result(result, run.redaction)
        if self._tools.lists is not None and result.stored:  # There; here they are to be read too.
            open_list = partial(self._tools.lists.open, self._work.execution.project_id)
            result.stored = {port: open_list(items) for port, items in result.stored.items()}
        return result, place

    def run_of(self, opened: OpenNode, *, live: bool = True) -> NodeRun:
        """What the node's function is called with. With `live`, what it logs is journaled while it runs."""
        key, rounds = opened.node.key, opened.at.rounds
        log = opened.log = NodeLog(self.log, key, rounds, live=live)

        def on_retry(tries: int, failed: int, delay: float, failure: Failure) -> None:
            if opened.redaction is not None:
                failure = masked_failure(failure, opened.redaction)
            self._link.append(e.ItemsRetried(self._now(), key, tries, failed, delay, failure, rounds))

        recorded = opened.recorded
        run = NodeRun(
            node=opened.node,
            items=opened.items,
            ports=opened.ports,
            scope=self._openings.scope_of(opened),
            now=opened.started_at,
            effect_scope=self._work.execution.effect_scope,
            http=self._tools.http,
            on_retry=on_retry,
            log=log,
            path=opened.path,
            done=recorded.done if recorded is not None else {},
            in_doubt=opened.refused,
            traceparent=self._work.execution.traceparent,
            files=self._tools.files,
            blobs=self._blobs,
            open_spill=self._open_spill,
            open_aside=self._open_aside,
            static=opened.static,
        )
        if opened.node.spec.sandboxed:
            execution = self._work.execution
            run.sandbox = self._tools.sandbox_of(execution.project_id)
            run.name = f"{execution.workflow_id}/{execution.id}/{opened.path}"
        return run


class _Progress:
    """Journals the items of one node with an effect, as they are begun and done."""

    def __init__(self, opened: OpenNode, recorded: Recorded, link: Link, now: Callable[[], datetime]) -> None:
        self._opened, self._recorded, self._link, self._now = opened, recorded, link, now
        self._begun = self._durable = recorded.begun
        self._done: dict[int, list[Item]] = {}

    def follow(self, run: NodeRun) -> None:
        """From now on, until the node has ended."""
        if self._begun < len(run.items):
            run.begin = self._begin
        if len(run.items) > 1:
            run.on_done = self._on_done

    async def _begin(self, wanted: int) -> None:
        if wanted <= self._durable:
            return
        if wanted > self._begun:
            self._begun = min(len(self._opened.items), self._begun + ITEM_CONCURRENCY)
            self._append(e.ItemsStarted(self._now(), self._opened.node.key, self._begun, self._opened.at.rounds))
        begun = self._begun
        await self._link.commit()
        self._durable = max(self._durable, begun)

    def _on_done(self, ordinal: int, items: list[Item]) -> None:
        if not self._done:
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self.write)
        self._done[ordinal] = items

    def write(self) -> None:
        """Journal the items that were done since the last time, unless the node has ended."""
        done, self._done = self._done, {}
        if not self._opened.over and done:
            pairs = [(item, ordinal) for ordinal, items in done.items() for item in items]
            items = ItemList([item for item, _ in pairs], [ordinal for _, ordinal in pairs])
            self._append(
                e.ItemsFinished(self._now(), self._opened.node.key, tuple(done), items, self._opened.at.rounds)
            )

    def _append(self, event: e.ItemsStarted | e.ItemsFinished) -> None:
        self._link.append(event)
        if len(self._opened.items) <= ITEMS_NOTED_MAX:
            self._recorded.note(event)
        else:
            self._recorded.behind = True

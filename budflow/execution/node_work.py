"""The work of one open node, up to the event that ends it: here, or in another process where it is heavy."""

from collections.abc import Callable, Mapping
from datetime import datetime

from budflow.execution.node_run import NodeResult, NodeRun, all_failed, effect_of, failure_of, run_node, settle
from budflow.execution.open_node import Openings, OpenNode
from budflow.execution.ports import Heavy, Link, Work
from budflow.model import event as e
from budflow.model.execution import Place
from budflow.model.failure import Failure
from budflow.model.item import EMPTY, ItemList
from budflow.model.node import HttpCapability


class NodeWork:
    """Works off the nodes of one execution."""

    def __init__(
        self,
        work: Work,
        link: Link,
        openings: Openings,
        *,
        http: HttpCapability,
        heavy: Heavy | None,
        now: Callable[[], datetime],
    ) -> None:
        self._work, self._link, self._openings = work, link, openings
        self._http, self._heavy, self._now = http, heavy, now

    async def do(self, opened: OpenNode) -> e.NodeFinished | e.NodeFailed | e.NodeCancelled:
        """Work a light or heavy node off. Raises what a commit before an outside effect raises, and CancelledError."""
        node = opened.node
        if opened.cancelled:  # Before its first turn.
            return self.cancelled(opened)
        if node.node.disabled:
            return self.passed_through(opened)
        run = self._run_of(opened)
        effect = effect_of(run)
        if effect != "pure":
            self._link.append(e.NodeStarted(opened.started_at, node.key, len(opened.items)))
            await self._link.commit()  # What the world outside is about to see must be known first.
            opened.effect = effect  # Until here nothing has happened, so it could be cancelled on the spot.
        if node.weight == "heavy" and self._heavy is not None:
            return self.outcome(opened, *await self._elsewhere(self._heavy, run))
        return self.outcome(opened, await run_node(run))

    def outcome(
        self, opened: OpenNode, result: NodeResult, place: Place | None = None
    ) -> e.NodeFinished | e.NodeFailed:
        """What a result means under the node's `on_error`."""
        settled = settle(opened.node, opened.items, result)
        if isinstance(settled, Failure):
            return e.NodeFailed(self._now(), opened.node.key, opened.started_at, settled, result.tries, place)
        return self.finished(opened, settled, result.tries, place)

    def failed(self, opened: OpenNode, failure: Failure) -> e.NodeFinished | e.NodeFailed:
        """What it means that the node failed as a whole."""
        return self.outcome(opened, all_failed(opened.items, failure))

    def passed_through(self, opened: OpenNode) -> e.NodeFinished:
        """What a disabled node does: its input leaves by its first port."""
        return self.finished(opened, {opened.node.output_names[0]: opened.passed_through()})

    def cancelled(self, opened: OpenNode) -> e.NodeCancelled:
        """The node was stopped."""
        return e.NodeCancelled(self._now(), opened.node.key)

    def finished(
        self, opened: OpenNode, outputs: Mapping[str, ItemList], tries: int = 1, place: Place | None = None
    ) -> e.NodeFinished:
        """The node ran; a port that `outputs` leaves out is empty."""
        full = {name: outputs.get(name, EMPTY) for name in opened.node.output_names}
        return e.NodeFinished(self._now(), opened.node.key, opened.started_at, full, tries, place)

    async def _elsewhere(self, heavy: Heavy, run: NodeRun) -> tuple[NodeResult, Place | None]:
        try:
            return await heavy.run(self._work, run)
        except Exception as error:  # noqa: BLE001 - the boundary of a node's call
            return all_failed(run.items, failure_of(run.node, error)), None

    def _run_of(self, opened: OpenNode) -> NodeRun:
        key = opened.node.key

        def on_retry(tries: int, failed: int, delay: float, failure: Failure) -> None:
            self._link.append(e.ItemsRetried(self._now(), key, tries, failed, delay, failure))

        return NodeRun(
            node=opened.node,
            items=opened.items,
            ports=opened.ports,
            scope=self._openings.scope_of(opened),
            now=opened.started_at,
            effect_scope=self._work.execution.id,
            http=self._http,
            on_retry=on_retry,
        )

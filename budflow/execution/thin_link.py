"""A link for workflows whose `journal` is thinned: of nodes that only compute, what need not be kept is never written.

Such events are withheld until something is to be known that depends on them (an outside effect, a wait, a control node,
a failure): then all of them are written first, so that whatever is durable can be gone on from. What is left when the
execution succeeds is dropped, but for the nodes that lead nowhere and, with `segment`, the last of each segment.
"""

from collections.abc import Sequence

from budflow.execution.ports import ChildCall, ExecutionBroken, Link
from budflow.execution.records import RateAsk, Rest
from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.journal import EventUnwritable


class ThinLink:
    """Meets Link. `events` are in the journal already, of an execution that is taken up again."""

    def __init__(self, link: Link, plan: Plan, events: Sequence[e.Event] = ()) -> None:
        self._link, self._plan = link, plan
        self._withheld: list[e.NodeFinished] = []
        self._effects = {(event.node, event.rounds) for event in events if isinstance(event, e.NodeStarted)}

    def append(self, *events: e.Event) -> None:
        """See Link."""
        for event in events:
            if isinstance(event, e.NodeFinished) and (event.node, event.rounds) not in self._effects:
                self._withheld.append(event)
                continue
            if isinstance(event, e.NodeStarted):
                self._effects.add((event.node, event.rounds))
            if isinstance(event, e.Finished) and event.status == "succeeded":
                self._withheld = [one for one in self._withheld if self._stays(one)]
            self._write()
            self._link.append(event)

    async def commit(self) -> None:
        """See Link."""
        await self._link.commit()

    def flush(self) -> None:
        """See Link."""
        self._link.flush()

    def call(self, call: ChildCall) -> None:
        """See Link."""
        self._link.call(call)

    def cancel_call(self, node: str, call: int, rounds: tuple[int, ...] = ()) -> None:
        """See Link."""
        self._link.cancel_call(node, call, rounds)

    def reserve(self, ask: RateAsk) -> None:
        """See Link."""
        self._link.reserve(ask)

    def idle(self, rest: Rest | None) -> None:
        """See Link."""
        self._link.idle(rest)

    def _stays(self, event: e.NodeFinished) -> bool:
        if event.static is not None:
            return True
        number = self._plan.index[event.node]
        segment = self._plan.segments[self._plan.segment_of[number]]
        last = self._plan.settings.journal == "segment" and segment.nodes[-1] == number
        return last or number in self._plan.sinks

    def _write(self) -> None:
        withheld, self._withheld = self._withheld, []
        for event in withheld:
            try:
                self._link.append(event)
            except EventUnwritable as error:
                # Others have gone on with it by now: too late for the node to fail.
                raise ExecutionBroken(f"`{event.node}`: {error.message}") from error

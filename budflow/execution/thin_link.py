"""A link for workflows whose `journal` is thinned: of nodes that only compute, what need not be kept is never written.

Such events are withheld until something is to be known that depends on them (an outside effect, a wait, a control node,
a failure): then all of them are written first, so that whatever is durable can be gone on from. What is left when the
execution succeeds is dropped, but for the nodes that lead nowhere and, with `segment`, the last of each segment.
"""

from collections.abc import Iterable
from dataclasses import replace

from budflow.execution.link_around import LinkAround
from budflow.execution.ports import ExecutionBroken, Link
from budflow.execution.thinning import is_kept
from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.journal import EventUnwritable


class ThinLink(LinkAround):
    """Meets Link."""

    def __init__(self, link: Link, plan: Plan) -> None:
        super().__init__(link)
        self._plan = plan
        self._withheld: list[e.NodeFinished] = []
        self._effects: set[tuple[str, e.Rounds]] = set()

    def began(self, started: Iterable[tuple[str, e.Rounds]]) -> None:
        """The starts of these open nodes are in the journal already, of an execution that is taken up again."""
        self._effects.update(started)

    def append(self, *events: e.Event) -> None:
        """See Link."""
        for event in events:
            if isinstance(event, e.NodeLogged):
                self._link.append(event)  # Nothing depends on it, and it depends on nothing.
                continue
            if isinstance(event, e.NodeFinished) and (event.node, event.rounds) not in self._effects:
                self._withheld.append(self._unlogged(event))
                continue
            if isinstance(event, e.NodeStarted):
                self._effects.add((event.node, event.rounds))
            if isinstance(event, e.Finished) and event.status == "succeeded":
                self._withheld = [one for one in self._withheld if self._stays(one)]
            self.write()
            self._link.append(event)

    def write(self) -> None:
        """Write what is withheld, since something is to be known that depends on it."""
        withheld, self._withheld = self._withheld, []
        for event in withheld:
            try:
                self._link.append(event)
            except EventUnwritable as error:
                # Others have gone on with it by now: too late for the node to fail.
                raise ExecutionBroken(f"`{event.node}`: {error.message}") from error

    def _unlogged(self, event: e.NodeFinished) -> e.NodeFinished:
        """The event without what its node logged, which is written at once: it is kept in any case."""
        if not event.log:
            return event
        self._link.append(e.NodeLogged(event.at, event.node, event.log, event.rounds))
        return replace(event, log=())

    def _stays(self, event: e.NodeFinished) -> bool:
        return event.static is not None or is_kept(self._plan, self._plan.index[event.node])

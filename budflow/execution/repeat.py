"""Repeating an execution: which events of its journal a new one begins with, so that only what is missing runs. Pure.

Every event is folded into the new execution's state before it is kept: what has no place there is left out, so that
the result is a journal as any other. What ended well is kept with all that happened inside it, handled failures too.
Of a container that did not end well, what ended well inside is kept, and the rest of it goes on.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from budflow.errors import BudflowError
from budflow.execution import state as s
from budflow.execution.advance import advance
from budflow.execution.again import Again, again_from
from budflow.execution.frames import around
from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.execution import Place
from budflow.model.failure import Failure
from budflow.model.joined import part_of
from budflow.model.path import path_of

_Ending = e.NodeFinished | e.NodeFailed | e.NodeCancelled


class NodeDidNotRun(BudflowError):
    """The execution did not reach that node."""

    code = "execution.node_did_not_run"
    http_status = 409
    hint = "Fork from a node that ran, or failed; read the execution to see which did."


def retry_events(plan: Plan, events: Sequence[e.Event], admitted: e.Admitted) -> tuple[e.Event, ...]:
    """What a retry begins with behind `admitted`, its first event: all but what failed, was stopped or never ended.

    `events` are the journal of the execution that is retried, and `plan` is the one that it ran by. Of a node with an
    effect that failed, the items that were done are kept.
    """
    kept, _ = _Selection(plan, plan, events, admitted, Again(), effects=True).select(events)
    return kept


def fork_events(
    plan: Plan,
    events: Sequence[e.Event],
    admitted: e.Admitted,
    node: str,
    *,
    rounds: tuple[int, ...] = (),
    before: Plan | None = None,
) -> tuple[e.Event, ...]:
    """What a fork begins with: what ended well and is neither `node` nor behind it.

    Without `rounds`, all rounds of the loops around the node are meant. `before` is the plan that `events` came about
    by, where `plan` is another version's. Raises VersionDiffers, and NodeDidNotRun where the fork would not come to
    the node with what it is given.
    """
    again = again_from(plan, node, rounds or None, before)
    kept, state = _Selection(plan, before or plan, events, admitted, again, effects=False).select(events)
    index = plan.index[node]
    if not any(index in frame.running for frame in state.frames.values()):
        raise NodeDidNotRun(f"`{path_of(node, rounds)}` did not run in this execution.")
    return kept


class _Selection:
    """Chooses the events. `before` is the plan that they came about by.

    With `effects` the new execution goes on in the old one's effect scope: what was begun of an effect is kept.
    """

    def __init__(
        self,
        plan: Plan,
        before: Plan,
        events: Sequence[e.Event],
        admitted: e.Admitted,
        again: Again,
        *,
        effects: bool,
    ) -> None:
        self._plan, self._before, self._again, self._effects = plan, before, again, effects
        self._admitted = admitted
        self._endings: dict[s.At, _Ending] = {}
        self._called: set[tuple[s.At, int]] = set()  # Calls that succeeded.
        self._answered: set[tuple[s.At, int]] = set()  # Waits that are over.
        self._partial: set[s.At] = set()  # Nodes of which some items are done.
        self._handled: set[s.FrameId] = set()  # Runs of bodies that failed, and whose container went on.
        self._last: dict[s.At, int] = {}  # The last round of a loop that ended well, or failed and was handled.
        self._look(events)

    def select(self, events: Sequence[e.Event]) -> tuple[tuple[e.Event, ...], s.State]:
        """The events to keep, and the state that they come to."""
        state, _ = advance(self._plan, s.State(), self._admitted)
        kept: list[e.Event] = []
        early: dict[s.At, list[tuple[int, e.Event, Place | None]]] = {}
        place: Place | None = None
        for number, event in enumerate(events):
            if isinstance(event, e.Started):
                place = event.place
            due = [(number, event, place)]
            while due:
                due_number, one, where = heapq.heappop(due)
                now = self._run_of(one)
                if now is None or self._again.runs(self._plan, now):
                    continue
                if not state.runs(s.FrameId(self._plan.nodes[now.node].graph, now.rounds), now.node):
                    # Where a loop waits for what runs again, a round may begin later than it did then.
                    early.setdefault(now, []).append((due_number, one, where))
                    continue
                for piece in self._pieces(one, now, state):
                    if isinstance(piece, e.NodeFinished):
                        # Where the old one ran may not be where the new one is, and static data has gone on since.
                        piece = replace(piece, place=piece.place or where, static=None, log=())
                    elif isinstance(piece, e.NodeFailed | e.NodeCancelled) and piece.log:
                        piece = replace(piece, log=())
                    state, commands = advance(self._plan, state, piece)
                    kept.append(piece)
                    for command in commands:
                        if isinstance(command, s.StartNode):
                            for released in early.pop(command.at, ()):
                                heapq.heappush(due, released)
        return tuple(kept), state

    # --- what became of each ------------------------------------------------------------------------------------------

    def _look(self, events: Iterable[e.Event]) -> None:
        """Fold the old journal for what only hindsight knows."""
        state = s.State()
        for event in events:
            state, commands = advance(self._before, state, event)
            for closed in commands:
                if not isinstance(closed, s.CloseFrame):
                    continue
                handled = closed.failure is not None and _goes_on(state, closed.at)
                if handled:
                    self._handled.add(closed.frame)
                if handled or (closed.failure is None and not closed.stopped):
                    self._note_last(closed.at, closed.frame)
            node = getattr(event, "node", None)
            if node is None:
                continue
            at = s.At(self._before.index[node], getattr(event, "rounds", ()))
            match event:
                case e.NodeFinished() | e.NodeFailed() | e.NodeCancelled():
                    self._endings[at] = event
                case e.ChildFinished(status="succeeded"):
                    self._called.add((at, event.call))
                case e.WaitEnded():
                    self._answered.add((at, event.wait))
                case e.ItemsFinished():
                    self._partial.add(at)
                case e.RoundsFinished():
                    graph, handles = self._before.nodes[at.node].bodies[event.body], _goes_on(state, at)
                    for number in range(event.first, event.first + len(event.counts)):
                        frame = s.FrameId(graph, (*at.rounds, number))
                        if number in event.failures and handles:
                            self._handled.add(frame)
                        if number not in event.failures or handles:
                            self._note_last(at, frame)

    def _note_last(self, at: s.At, frame: s.FrameId) -> None:
        if len(frame.rounds) > len(at.rounds):
            self._last[at] = max(frame.rounds[-1], self._last.get(at, 0))

    def _ended_well(self, at: s.At) -> bool:
        return isinstance(self._endings.get(at), e.NodeFinished) and not self._again.opens(self._now(at))

    def _inside_whole(self, at: s.At) -> bool:
        """Whether it is part of something that is kept with everything inside."""
        return any(
            self._ended_well(container) or (frame in self._handled and not self._enters(frame))
            for container, frame in around(self._before, at)
        )

    def _now(self, at: s.At) -> s.At:
        """The run of the same node by the new plan."""
        return s.At(self._plan.index.get(self._before.nodes[at.node].key, -1), at.rounds)

    def _enters(self, frame: s.FrameId) -> bool:
        graph = self._before.graphs[frame.graph]
        if graph.container is None:
            return False
        container = self._plan.index.get(self._before.nodes[graph.container].key, -1)
        number = self._plan.nodes[container].bodies.get(graph.name, -1) if container >= 0 else -1
        return self._again.enters(s.FrameId(number, frame.rounds))

    # --- what is kept -------------------------------------------------------------------------------------------------

    def _run_of(self, event: e.Event) -> s.At | None:
        """The run of a node, by the new plan, that an event is about."""
        key = getattr(event, "node", None)
        if key is None or key not in self._plan.index:
            return None
        if isinstance(event, e.ResultIgnored | e.CredentialsUsed | e.NodeLogged):
            return None  # The new execution has used no credential so far, and logged nothing.
        return s.At(self._plan.index[key], getattr(event, "rounds", ()))

    def _pieces(self, event: Any, now: s.At, state: s.State) -> Iterator[e.Event]:
        """What of an event about a node that runs is kept: mostly all or nothing."""
        at = s.At(self._before.index[event.node], now.rounds)
        frame = s.FrameId(self._plan.nodes[now.node].graph, now.rounds)
        inside = self._inside_whole(at)
        whole = inside or self._ended_well(at)
        match event:
            case e.NodeFailed() | e.NodeCancelled() if not (inside or _is_stopped(state, frame, now)):
                return
            case (
                e.NodeFinished() | e.TimeIsUp() | e.ParamsResolved(failure=Failure()) | e.Reserved(failure=Failure())
            ) if not whole:
                return
            case e.NodeStarted() | e.ItemsStarted() | e.ItemsFinished() | e.ItemsRetried() if not whole:
                yield from self._begun(event, at, now)
            case e.RoundsFinished() if not whole:
                yield from self._rounds(event, at)
            case e.RoundsCollected():
                return  # Where the rounds are kept, they are collected again.
            case e.ChildFinished(failure=Failure()) if not whole:
                return  # It is called again, also where nobody waits for it and it could not be called.
            case e.ChildStarted() | e.ChildFinished() if not whole:
                ask = _ask(state, now, ("call", event.call))
                if (at, event.call) in self._called or (isinstance(ask, s.CallChild) and not ask.awaited):
                    yield from () if ask is None else (event,)
            case e.WaitStarted() | e.WaitEnded() if not whole:
                if (at, event.wait) in self._answered and _ask(state, now, ("wait", event.wait)) is not None:
                    yield event
            case e.ParamsResolved() | e.Reserved() if _ask(state, now, _key(event)) is None:
                return
            case _:
                yield event

    def _begun(
        self, event: e.NodeStarted | e.ItemsStarted | e.ItemsFinished | e.ItemsRetried, at: s.At, now: s.At
    ) -> Iterator[e.Event]:
        """The beginning of a node that did not end well."""
        if isinstance(event, e.NodeStarted) and event.params is not None:
            if self._again.opens(now):
                event = replace(event, postponed=self._postponed(at))
            limited = self._plan.nodes[now.node].node.timeout_seconds is not None
            yield replace(event, at=self._admitted.at) if limited else event  # Its time begins anew.
        elif not self._effects or isinstance(event, e.ItemsStarted | e.ItemsRetried):
            return
        elif at in self._partial or (self._in_items(now) and not isinstance(self._endings.get(at), e.NodeFailed)):
            # What is not done is begun again, also what is in doubt: a retry is a person's decision that it be. It has
            # the keys that it had and, where it was cut off, the `$now`.
            yield replace(event, begun=0) if isinstance(event, e.NodeStarted) else event

    def _in_items(self, now: s.At) -> bool:
        """Whether its items are begun one after the other, so that none of them may have been."""
        node = self._plan.nodes[now.node]
        return node.spec.kind == "item" and node.weight == "light"

    def _postponed(self, at: s.At) -> tuple[int, int] | None:
        """The one round of a loop that is run again, and the last that is kept: else it would take a kept one's place.

        `concurrency` allows only so many at once, and what of those behind it did not begin could not be kept.
        """
        rounds, last = self._again.rounds or (), self._last.get(at, 0)
        late = rounds[len(at.rounds)] if len(rounds) > len(at.rounds) else last
        return (late, last) if late < last else None

    def _rounds(self, event: e.RoundsFinished, at: s.At) -> Iterator[e.RoundsFinished]:
        """The rounds that ended well, as one event for each unbroken row of them."""
        graph = self._before.nodes[at.node].bodies[event.body]
        offset, row, start = 0, list[int](), 0
        for index, count in enumerate((*event.counts, 0)):
            frame = s.FrameId(graph, (*at.rounds, event.first + index))
            broken = event.first + index in event.failures and frame not in self._handled
            if index == len(event.counts) or broken or self._enters(frame):
                if row:
                    yield _part(event, index - len(row), row, start, offset)
                row, start = [], offset + count
            else:
                row.append(count)
            offset += count


def _goes_on(state: s.State, at: s.At) -> bool:
    """Whether a container takes a failure inside it for handled: it decides on, or has decided to settle."""
    control = state.controls.get(at)
    if control is None or control.stop is not None:
        return False
    return isinstance(control.asks.get(s.END), s.SettleControl | None)


def _is_stopped(state: s.State, frame: s.FrameId, at: s.At) -> bool:
    """Whether a node that runs is to be stopped, and nothing of it is open any more."""
    control = state.controls.get(at)
    return state.stops(frame) and (control is None or s.END in control.asks)


def _ask(state: s.State, at: s.At, key: tuple[str, int]) -> s.Command | None:
    control = state.controls.get(at)
    return None if control is None else control.asks.get(key)


def _key(event: e.ParamsResolved | e.Reserved) -> tuple[str, int]:
    return ("resolve" if isinstance(event, e.ParamsResolved) else "reserve", event.ask)


def _part(event: e.RoundsFinished, index: int, counts: list[int], start: int, stop: int) -> e.RoundsFinished:
    first = event.first + index
    items = part_of(event.items, start, stop)
    failures = {number: failure for number, failure in event.failures.items() if first <= number < first + len(counts)}
    return replace(event, first=first, counts=tuple(counts), items=items, failures=failures)

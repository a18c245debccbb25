"""The pure core: `advance(plan, state, event)` gives the next state and what to do now.

No clock, no database, no items: only how nodes settle. A port settles as delivered (at least one item), empty (its
node ran, no item) or dead (its node was skipped). A node runs when all its edges have settled and one delivered, or
one is empty and the node runs on empty; otherwise it is skipped and its ports are dead. So a join neither hangs nor
fires early.

A frame is one run of one graph: the workflow's own, or a round of a body. Each settles by itself; a body's end is told
to its container's function (budflow.execution.control), which may open more.
"""

from collections.abc import Iterable, Iterator

from budflow.execution import state as s
from budflow.execution.turn import Turn
from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.failure import Failure

Step = tuple[s.State, list[s.Command]]


def advance(plan: Plan, state: s.State, event: e.Event) -> Step:
    """Fold one event. Events that come after the end, or for nodes that do not run, change nothing."""
    if state.phase == "ended":
        return state, []
    match event:
        case e.Started() | e.ItemsStarted() | e.ItemsFinished() | e.ItemsRetried() | e.ResultIgnored():
            return state, []
        case e.CredentialsUsed() | e.WaitStarted() | e.RoundsCollected():
            return state, []
        case e.Responded():
            return state._replace(responded=True), []
        case e.Finished():
            # Not only what ran is over: an execution may end in the queue, and nothing of it is open any more.
            return s.State("ended", responded=state.responded, outcome=event.status, failure=event.failure), []
        case e.NodeStarted() if event.params is None:
            return state, []
    turn = Turn(plan, state, event.at)
    _take(plan, turn, event)
    return turn.done()


def fold(plan: Plan, events: Iterable[e.Event], state: s.State | None = None) -> s.State:
    """The state after these events (from `state` on), which is all that there is to know of an execution."""
    state = state or s.State()
    for event in events:
        state, _ = advance(plan, state, event)
    return state


def resume(state: s.State) -> Iterator[s.Command]:
    """What is to be done in this state by who takes it up: everything that was said before and has not happened."""
    for frame_id, frame in state.frames.items():
        if frame_id == s.ROOT and frame.over:
            yield s.end_of(frame)
        for number in sorted(frame.running):
            at = s.At(number, frame_id.rounds)
            control = state.controls.get(at)
            if control is None:
                if at not in state.held:
                    yield s.StartNode(at)
                continue
            yield from (ask for key, ask in control.asks.items() if key != s.END or not control.calling)
            if control.stop is not None:
                yield s.CancelNode(at)
                if control.stop.since is not None:
                    yield s.LimitLastBodies(at, control.stop.since)


def _take(plan: Plan, turn: Turn, event: e.Event) -> None:
    match event:
        case e.Admitted():
            turn.begin(plan.index[event.trigger])
        case e.NodeStarted():
            turn.control_begun(_at(plan, event), event.params or {}, event.items, event.postponed)
        case e.NodeFinished():
            turn.finished(_at(plan, event), event.outputs)
        case e.NodeFailed():
            turn.gave_up(_at(plan, event), event.failure)
        case e.NodeCancelled():
            turn.gave_up(_at(plan, event), None)
        case e.ChildStarted():
            turn.child_started(_at(plan, event), event.call)
        case e.ChildFinished():
            turn.child_finished(_at(plan, event), event.call, event.failure)
        case e.ParamsResolved():
            turn.resolved(_at(plan, event), event.ask, event.params, event.failure)
        case e.Reserved(failure=Failure() as refused):
            turn.time_is_up(_at(plan, event), refused, cleanup=False)  # It is stopped, for this reason.
        case e.Reserved():
            turn.reserved(_at(plan, event), event.ask, (event.due - event.at).total_seconds())
        case e.WaitEnded():
            turn.wait_over(_at(plan, event), event.wait, event.outcome, event.answer)
        case e.RoundsFinished():
            turn.rounds_over(_at(plan, event), event.body, event.first, event.counts, event.failures)
        case e.TimeIsUp():
            turn.time_is_up(_at(plan, event), event.failure, cleanup=event.cleanup)
        case e.CancelRequested():
            turn.stop_all(event.failure)
        case e.Paused():
            turn.pause()
        case e.Continued():
            turn.go_on()


def _at(
    plan: Plan,
    event: e.NodeStarted
    | e.NodeFinished
    | e.NodeFailed
    | e.NodeCancelled
    | e.ChildStarted
    | e.ChildFinished
    | e.ParamsResolved
    | e.Reserved
    | e.WaitEnded
    | e.RoundsFinished
    | e.TimeIsUp,
) -> s.At:
    return s.At(plan.index[event.node], event.rounds)

"""What comes from outside for a control node: whether it is still awaited, and the event that says that it was not."""

from datetime import datetime

from budflow.execution import state as s
from budflow.execution.signal import signal_key
from budflow.model import event as e

Arrival = e.ChildFinished | e.WaitEnded | e.Reserved


def is_awaited(state: s.State, at: s.At, arrival: Arrival) -> bool:
    """Whether the control node `at` waits for just this."""
    control = state.controls.get(at)
    if control is None:
        return False
    if isinstance(arrival, e.ChildFinished):
        return ("call", arrival.call) in control.asks
    if isinstance(arrival, e.Reserved):
        return ("reserve", arrival.ask) in control.asks
    return ("wait", arrival.wait) in control.asks


def ignored(now: datetime, arrival: Arrival) -> e.ResultIgnored:
    """It came too late."""
    return e.ResultIgnored(now, arrival.node, "the node no longer waits for it", arrival.rounds, signal_key(arrival))

"""Events that fit neither the workflow nor what came before them, as whoever folds a journal meets them."""

from budflow.execution.node_result import ResultMalformed
from budflow.model import event as e
from budflow.model.journal_row import EventUnreadable

#: What folding an event may raise that no run of the workflow ever wrote.
UNFIT = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, ResultMalformed)


def unfit(event: e.Event, seq: int | None) -> EventUnreadable:
    """What is said of such an event. Its number is None where only what came after a snapshot was folded."""
    which = event.TYPE if seq is None else f"{seq} ({event.TYPE})"
    message = f"Event {which} does not fit the workflow and what came before it."
    return EventUnreadable(message, seq=seq, type=event.TYPE)

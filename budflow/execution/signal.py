"""Signals: events that come from outside for an execution, kept in the store until its journal has them."""

from budflow.execution.records import Signal
from budflow.model import event as e
from budflow.model.journal import decode, encode
from budflow.model.path import path_of


def signal_key(event: e.Event) -> str | None:
    """What the signal that brings this event is known by; None for events that come from inside."""
    match event:
        case e.WaitEnded():
            return wait_key(path_of(event.node, event.rounds), event.wait)
        case e.ChildFinished():
            return f"child:{path_of(event.node, event.rounds)}:{event.call}"
        case e.Paused() | e.Continued():
            return "pause"
        case e.CancelRequested():
            return "cancel"
        case _:
            return None


def wait_key(path: str, wait: int) -> str:
    """What a wait is known by: the path of its node and its number."""
    return f"wait:{path}:{wait}"


def signal_of(execution_id: str, event: e.Event) -> Signal:
    """An event as a signal. Raises EventUnwritable."""
    key = signal_key(event)
    assert key is not None  # noqa: S101 - only events from outside are sent
    return Signal(execution_id, key, encode(0, event))


def event_of(signal: Signal) -> e.Event:
    """The event that a signal brings. Raises EventUnreadable."""
    return decode(signal.event)

"""`@leader_only`: what one process of an installation does for all of them, for as long as it leads.

A duty is one file of budflow/services/duties, found by walking that package (budflow.services.find_duties). Leading
saves work and decides nothing: a process that is paused just behind `require` acts late, beside its successor. So
whatever a duty does must be right though another does it too.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from budflow.services.leader_ports import Leading
from budflow.services.use_case import Services

Run = Callable[[Services, Leading], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Duty:
    """What only the leader does. `run` goes on for ever, calls `leading.require()` before each act, and is cancelled
    when the term is over. When it raises, it is logged and begun again after a pause.
    """

    name: str
    run: Run


def leader_only(run: Run) -> Duty:
    """Declare a duty: the one of its file, named like the file, with a docstring."""
    return Duty(run.__name__, run)

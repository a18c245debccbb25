"""A strike: when something was killed, whom it hit, and what the journals say of how soon they went on."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from tests.crash.orders import JournaledEvent

STARTED = "execution.started"


@dataclass(frozen=True, slots=True)
class Strike:
    """At the Unix time `at` these processes died or froze; None: what all need was gone, so that all are hit."""

    at: float
    pids: Set[int] | None

    def hits(self, events: Sequence[JournaledEvent]) -> bool:
        """Whether it may have held the execution up: who ran it was struck, or nobody had begun it.

        One that nobody had begun may have been claimed by who was struck, of which a journal tells nothing.
        """
        if self.pids is None:
            return True
        places = [event.data["place"]["pid"] for event in events if event.type == STARTED and event.at <= self.at]
        return not places or places[-1] in self.pids


def hits_of(strikes: Sequence[Strike], events: Sequence[JournaledEvent]) -> list[float]:
    """The times of the strikes that hit the execution of a journal."""
    return [strike.at for strike in strikes if strike.hits(events)]

"""Wake-ups within one process, for the one that owns an SQLite database: there is nobody else to tell."""

from collections.abc import Callable

from budflow.execution.wakes import Topic
from budflow.scaling.listeners import Listeners


class WakesHere:
    """Meets budflow.execution.wakes.Wakes."""

    #: Which way the others are told, for `budflow status`.
    name = "here"
    #: Whether what is told is heard.
    hears = True

    def __init__(self) -> None:
        self._listeners = Listeners()

    def tell(self, topic: Topic, subject: str = "") -> None:
        """See Wakes."""
        self._listeners.hear(topic, subject)

    def listen(self, topic: Topic, heard: Callable[[str], None]) -> Callable[[], None]:
        """See Wakes."""
        return self._listeners.listen(topic, heard)

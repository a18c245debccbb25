"""How processes tell each other that something changed: what executing needs of it, and adapters meet by shape."""

from collections.abc import Callable
from typing import Literal, Protocol

#: What is told: there is something in the queue (the subject is which, where it is one that nothing holds back); there
#: is a signal for an execution (the subject), or it is to be cancelled; triggers were armed or disarmed; an execution
#: has new events; somebody wants to be told of those, for some seconds; somebody else leads, or nobody.
Topic = Literal["queue", "signals", "triggers", "execution", "watch", "leader"]


class Wakes(Protocol):
    """Tells the processes of one installation, this one too, that something changed.

    Hearing of it only saves waiting: it may come late, twice or never, and whoever listens looks by itself as well.
    """

    @property
    def name(self) -> str:
        """Which way the others are told, for people: `here` where there are none."""
        ...

    @property
    def hears(self) -> bool:
        """Whether what others tell is heard here now, for people."""
        ...

    def tell(self, topic: Topic, subject: str = "") -> None:
        """Say so. Never waits, never raises; to be called after what it is about is durable."""
        ...

    def listen(self, topic: Topic, heard: Callable[[str], None]) -> Callable[[], None]:
        """Call `heard` on the event loop with each subject; with "" when some may have been missed. Returns the end of
        it.
        """
        ...

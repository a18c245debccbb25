"""Those in this process who listen to wake-ups, by topic: the end of the way of each one that was told or came in."""

import asyncio
from collections.abc import Callable
from itertools import count

from budflow.execution.wakes import Topic


class Listeners:
    """Calls each on the event loop, and not inside of whoever tells: what a listener does wrong is not the teller's."""

    def __init__(self) -> None:
        self._numbers = count()
        self._by_topic: dict[Topic, dict[int, Callable[[str], None]]] = {}

    def listen(self, topic: Topic, heard: Callable[[str], None]) -> Callable[[], None]:
        """See Wakes. After the end that is returned, `heard` is not called any more."""
        number = next(self._numbers)
        self._by_topic.setdefault(topic, {})[number] = heard

        def end() -> None:
            self._by_topic[topic].pop(number, None)

        return end

    def hear(self, topic: Topic, subject: str) -> None:
        """Let everybody know who listens to the topic."""
        listening = self._by_topic.get(topic)
        if listening:
            loop = asyncio.get_running_loop()
            for number in listening:
                loop.call_soon(self._call, topic, number, subject)

    def miss(self) -> None:
        """Let everybody know that some may have been missed."""
        for topic in self._by_topic:
            self.hear(topic, "")

    def _call(self, topic: Topic, number: int, subject: str) -> None:
        heard = self._by_topic[topic].get(number)
        if heard is not None:  # Else it ended meanwhile.
            heard(subject)

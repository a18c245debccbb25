"""A channel in memory, which can be cut, refuse, or swallow what is sent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager


class FakeAir:
    """What the channels of several processes share. `sent` are all texts that were carried."""

    def __init__(self) -> None:
        self.listening: list[FakeChannel] = []
        self.sent: list[str] = []
        self.down = self.deaf = False
        self.refused = 0

    def cut(self) -> None:
        """Everybody who listens is cut off, and may come back at once."""
        for channel in [*self.listening]:
            channel.cut.set_result(None)


class FakeChannel:
    """Meets Channel."""

    name = "fake"

    def __init__(self, air: FakeAir) -> None:
        self._air = air
        self.heard: Callable[[str], None] = lambda _: None
        self.cut: asyncio.Future[None]
        self.closed = False

    @asynccontextmanager
    async def listening(self, heard: Callable[[str], None]) -> AsyncIterator[Awaitable[None]]:
        self._refuse()
        self.heard, self.cut = heard, asyncio.get_running_loop().create_future()
        self._air.listening.append(self)
        try:
            yield self.cut
        finally:
            self._air.listening.remove(self)

    async def send(self, texts: Sequence[str]) -> None:
        await asyncio.sleep(0)
        self._refuse()
        self._air.sent.extend(texts)
        if not self._air.deaf:
            for channel in self._air.listening:
                for text in texts:
                    channel.heard(text)

    async def close(self) -> None:
        self.closed = True

    def _refuse(self) -> None:
        if self._air.down:
            self._air.refused += 1
            raise ConnectionRefusedError

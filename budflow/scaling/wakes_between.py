"""Wake-ups between processes over any channel that carries short texts: in batches, and opened again when it is cut.

What is told goes at once to the listeners of this process, and over the channel to those of the others. A burst shares
one text. Now and then a process tells itself something over the channel: where that does not come back the channel is
taken for cut, however alive it looks. When it carries again all listeners are told that they may have missed some.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from random import Random
from typing import Protocol, cast, get_args

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from budflow.execution.wakes import Topic
from budflow.log import get_log
from budflow.scaling.listeners import Listeners

#: PostgreSQL takes less than 8,000 bytes in a notification.
TEXT_BYTES_MAX = 7_900
#: Subjects are ids; of anything longer the others only hear that something changed.
SUBJECT_CHARS_MAX = 200
#: Beyond so many that wait to be sent, only their topics are told.
PENDING_MAX = 10_000
#: The next text gathers what is told for so long, once a process has sent so many texts faster than that.
GATHER_SECONDS = 0.005
AT_ONCE_MAX = 10
#: How often the channel is tried, and how long a text may take to come back.
CHECK_SECONDS = 15.0
ECHO_SECONDS = 5.0
RETRY_SECONDS = 0.1
RETRY_SECONDS_MAX = 5.0
#: A channel that takes texts and gives none back will not be better soon: something between is in the way.
DEAF_SECONDS = 60.0
#: For how long the last that was told is waited for at the end.
CLOSE_SECONDS = 1.0

_DEAF_HINT = "A proxy that pools transactions cannot carry it. Others find out by looking, which takes up to 2 s."

TOPICS = frozenset(get_args(Topic))

log = get_log(__name__)


class Channel(Protocol):
    """Carries texts to every process that listens, this one too. Where it is away it raises what its driver does."""

    name: str

    def listening(self, heard: Callable[[str], None]) -> AbstractAsyncContextManager[Awaitable[None]]:
        """Call `heard` on the event loop with every text. What is given ends, or raises, when the channel is cut."""
        ...

    async def send(self, texts: Sequence[str]) -> None:
        """Send texts of at most TEXT_BYTES_MAX; connects where it must."""
        ...

    async def close(self) -> None:
        """Let go of what `send` keeps open."""
        ...


class _Deaf(Exception):
    """What was sent did not come back."""


class _Message(BaseModel):
    """A text. `by` is the sender; of its own texts a process only wants to know that they came back."""

    model_config = ConfigDict(extra="ignore")  # A newer release may say more.

    by: str
    check: int | None = None
    told: list[tuple[str, str]] = []


class WakesBetween:
    """Meets budflow.execution.wakes.Wakes. It belongs to one event loop; see `open_between`."""

    def __init__(
        self, channel: Channel, *, check_seconds: float = CHECK_SECONDS, echo_seconds: float = ECHO_SECONDS
    ) -> None:
        self._channel, self.name = channel, channel.name
        self._check_seconds, self._echo_seconds = check_seconds, echo_seconds
        #: Whether what others tell is heard here now.
        self.hears = False
        self._listeners = Listeners()
        self._me = secrets.token_hex(8)
        self._random = Random(self._me)  # noqa: S311 - spreads attempts, guards nothing
        self._pending: dict[tuple[Topic, str], None] = {}
        self._told = asyncio.Event()
        self._sending = asyncio.Lock()
        self._at_once, self._sent_at = 0.0, 0.0  # How many texts may go at once, and when that was counted.
        self._checks = count()
        self._echo: tuple[int, asyncio.Future[None]] | None = None
        self._troubles: set[str] = set()  # What does not work, which was logged when it began.

    def tell(self, topic: Topic, subject: str = "") -> None:
        """See Wakes."""
        self._listeners.hear(topic, subject)
        if len(self._pending) >= PENDING_MAX:
            self._pending = {(topic, ""): None for topic, _ in self._pending}
        self._pending[topic, subject if _is_short(subject) else ""] = None
        self._told.set()

    def listen(self, topic: Topic, heard: Callable[[str], None]) -> Callable[[], None]:
        """See Wakes."""
        return self._listeners.listen(topic, heard)

    async def listen_forever(self) -> None:
        """Hear what others tell; open the channel again whenever it is cut."""
        pause = RETRY_SECONDS
        while True:
            try:
                async with self._channel.listening(self._heard) as cut:
                    await self._hear_until(asyncio.ensure_future(cut))
            except _Deaf:
                if "listen" in self._troubles:  # Once may be a busy machine.
                    pause = DEAF_SECONDS
                self._note_trouble("listen", "wakes.deaf", hint=_DEAF_HINT)
            except Exception as error:  # noqa: BLE001 - the worker's loop: whatever it was, the next turn tries again
                self._note_trouble("listen", "wakes.interrupted", reason=type(error).__name__)
            if self.hears:
                self.hears, pause = False, RETRY_SECONDS
            await asyncio.sleep(pause * self._random.uniform(0.5, 1))  # They were all cut at the same time.
            pause = min(pause * 2, RETRY_SECONDS_MAX)

    async def send_forever(self) -> None:
        """Send what is told. What could not be sent waits for the next attempt."""
        pause = RETRY_SECONDS
        while True:
            await self._told.wait()
            try:
                await self.send()
                pause = RETRY_SECONDS
                self._troubles.discard("send")
                if not self._may_send_at_once():
                    await asyncio.sleep(GATHER_SECONDS)
            except Exception as error:  # noqa: BLE001 - the worker's loop: whatever it was, the next turn tries again
                self._note_trouble("send", "wakes.interrupted", reason=type(error).__name__)
                await asyncio.sleep(pause * self._random.uniform(0.5, 1))
                pause = min(pause * 2, RETRY_SECONDS_MAX)

    def _may_send_at_once(self) -> bool:
        now = asyncio.get_running_loop().time()
        saved = self._at_once + (now - self._sent_at) / GATHER_SECONDS - 1
        self._at_once, self._sent_at = max(0.0, min(saved, AT_ONCE_MAX)), now
        return saved > 0

    async def send(self) -> None:
        """Send all that was told so far. Raises what the channel does; then it is still to be sent."""
        async with self._sending:
            self._told.clear()
            told, self._pending = self._pending, {}
            if not told:
                return
            try:
                await self._channel.send(_texts(self._me, told))
            except BaseException:
                self._pending = {**told, **self._pending}
                self._told.set()
                raise

    async def say_last(self) -> None:
        """Send what was told last, if the channel is there: nobody waits for it."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.send()
        except Exception as error:  # noqa: BLE001 - the worker's loop: others find out by looking
            log.debug("wakes.not_sent", channel=self.name, reason=type(error).__name__)

    async def _hear_until(self, cut: asyncio.Future[None]) -> None:
        """Listen until the channel is cut, which it raises, or is _Deaf."""
        while True:
            await self._check(cut)
            if not self.hears:
                self.hears = True
                if self._troubles:
                    log.info("wakes.restored", channel=self.name)
                self._troubles.discard("listen")
                self._listeners.miss()
            await asyncio.wait([cut], timeout=self._check_seconds)
            if cut.done():
                cut.result()
                raise ConnectionResetError

    async def _check(self, cut: asyncio.Future[None]) -> None:
        """See that what is sent comes back."""
        number, echo = next(self._checks), asyncio.get_running_loop().create_future()
        self._echo = (number, echo)
        async with self._sending:
            await self._channel.send([orjson.dumps({"by": self._me, "check": number}).decode()])
        await asyncio.wait([echo, cut], timeout=self._echo_seconds, return_when=asyncio.FIRST_COMPLETED)
        if not echo.done() and not cut.done():
            raise _Deaf

    def _heard(self, text: str) -> None:
        try:
            message = _Message.model_validate_json(text)
        except ValidationError:
            log.debug("wakes.unreadable", channel=self.name)  # Whoever may write there may write anything.
            return
        if message.by != self._me:
            for topic, subject in message.told:
                if topic in TOPICS:  # Else it is of a newer release.
                    self._listeners.hear(cast("Topic", topic), subject)
        elif self._echo is not None and self._echo[0] == message.check and not self._echo[1].done():
            self._echo[1].set_result(None)

    def _note_trouble(self, what: str, event: str, **fields: str) -> None:
        if what not in self._troubles:
            self._troubles.add(what)
            log.warning(event, channel=self.name, **fields)


@asynccontextmanager
async def open_between(channel: Channel, *, echo_seconds: float = ECHO_SECONDS) -> AsyncIterator[WakesBetween]:
    """Wake-ups over a channel, which is closed at the end. It need not be there: then it is tried again and again."""
    wakes = WakesBetween(channel, echo_seconds=echo_seconds)
    tasks = [asyncio.create_task(wakes.listen_forever()), asyncio.create_task(wakes.send_forever())]
    try:
        yield wakes
    finally:
        await wakes.say_last()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await channel.close()


def _is_short(subject: str) -> bool:
    return len(subject) <= SUBJECT_CHARS_MAX and subject.isascii() and subject.isprintable()


def _texts(by: str, told: Iterable[tuple[str, str]]) -> list[str]:
    """As few texts as hold it all."""
    head = f'{{"by":"{by}","told":['
    texts: list[str] = []
    parts: list[str] = []
    size = 0
    for one in told:
        part = orjson.dumps(one).decode()
        if parts and len(head) + size + len(part) + 2 > TEXT_BYTES_MAX:
            texts.append(f"{head}{','.join(parts)}]}}")
            parts, size = [], 0
        parts.append(part)
        size += len(part) + 1
    return [*texts, f"{head}{','.join(parts)}]}}"]

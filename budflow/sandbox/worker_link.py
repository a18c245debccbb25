"""The broker's end of the link to one worker: one task at a time, and nothing that the worker says is believed.

Every message is checked against what the worker may say now. The first that is not allowed ends the link, and with it
the worker. Documented in docs/task_runner.md.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import orjson
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed

from budflow.log import get_log
from budflow.model.failure import NodeError
from budflow.model.sandbox import CodeInvalid, CodeTimedOut, SandboxWorkerLost
from budflow.sandbox.incoming import FrameRefused, ResultPart, read_from_worker
from budflow.sandbox.messages import (
    FRAME_BYTES_MAX,
    HEARTBEAT_SECONDS,
    Accept,
    Cancel,
    Data,
    DataRequest,
    Decline,
    Drain,
    Draining,
    Error,
    Heartbeat,
    Log,
    Message,
    Offer,
    Progress,
    Task,
    Welcome,
)
from budflow.sandbox.task_run import Misbehaved, TaskRun
from budflow.sandbox.troubles import SPOILING, error_of
from budflow.sandbox.work import Asker, Work

#: After this many heartbeats that are missing the other side counts as dead.
HEARTBEATS_MISSED = 3
IDLE_WORDS_SPARE = 100

log = get_log(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the broker waits for a worker: for its answer, its reading, its end; and beyond the time limit."""

    heartbeat_seconds: float = HEARTBEAT_SECONDS
    answer_seconds: float = 5.0
    send_seconds: float = 15.0
    cancel_seconds: float = 2.0
    grace_seconds: float = 2.0


class NotTaken(Exception):
    """The worker did not take the task: it is gone, or goes. Another one may have it."""


@dataclass(slots=True)
class WorkerLink:
    """A worker that was welcomed. `spoiled` says why it may have no further task; `hung_up`: it ended the link."""

    connection: Connection
    patience: Patience = field(default_factory=Patience)
    spoiled: str | None = None
    hung_up: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)
    _run: TaskRun | None = None
    _since: float = field(default_factory=time.monotonic)
    _idle_words: int = 0

    async def welcome(self) -> None:
        """Answer to `hello`."""
        await self._send(Welcome(heartbeat_seconds=self.patience.heartbeat_seconds))

    async def listen(self) -> None:
        """Hear the worker until the link ends, by whatever."""
        beating = asyncio.create_task(self._beat())
        try:
            await self._hear()
        except (Misbehaved, FrameRefused) as error:
            log.warning("sandbox.worker_misbehaved", why=str(error))
            self.lose(f"It broke the protocol: {error}.")
        except ConnectionClosed as error:
            by_us = error.sent is not None and error.rcvd is None  # The library found a fault.
            self.hung_up = not by_us
            self.lose("It sent a frame that is too large, or none." if by_us else None)
        except TimeoutError:
            self.lose("It was silent.")
        except Exception:  # A fault of ours with what one worker says must not be one of the daemon.
            log.exception("sandbox.link_broke")
        finally:
            beating.cancel()
            self.lose(None)
            self.connection.transport.abort()

    def lose(self, why: str | None) -> None:
        """The worker is gone, or as good as gone."""
        self.spoiled = self.spoiled or why or "It is gone."
        self.over.set()
        if self._run is not None:
            self._run.fail(SandboxWorkerLost(f"The sandbox worker was lost. {why}" if why else None))

    async def run(self, work: Work, asker: Asker, ready: Callable[[], Awaitable[None]]) -> None:
        """Have one task done. Raises NotTaken before it began, and what the code ends with.

        `ready` is called when the worker has accepted, so that nothing is left of the task before, and before it gets
        the code. When this is cancelled the worker has a moment to give the task up.
        """
        if self._run is not None or self.spoiled is not None:
            raise NotTaken
        run = self._run = TaskRun(work, asker, self._answer)
        try:
            await self._offer(run)
            await ready()
            await self._run_accepted(run)
        except asyncio.CancelledError:
            await self._give_up(run, "cancelled")
            raise
        except NodeError as error:
            if isinstance(error, SPOILING):
                self.spoiled = self.spoiled or error.code
            await self._give_up(run, "failed")
            raise
        finally:
            self._run = None
            run.end()

    async def _offer(self, run: TaskRun) -> None:
        try:
            await self._send(Offer(task_id=run.work.id))
            async with asyncio.timeout(self.patience.answer_seconds):
                taken = await run.accepted
        except TimeoutError:
            self.spoiled = "It did not answer."
            taken = False
        except SandboxWorkerLost:
            taken = False
        if not taken:
            run.ended.set()
            self.spoiled = self.spoiled or "It declined."
            raise NotTaken

    async def _run_accepted(self, run: TaskRun) -> None:
        work, run.sent = run.work, True
        await self._send(
            # What comes from a requester was checked as it came; its items are not gone through again.
            Task.model_construct(
                task_id=work.id,
                mode=work.mode,
                code=work.code,
                params=dict(work.params),
                now=work.now,
                seed=work.seed,
                name=work.name,
                item_count=work.item_count,
                items=list(work.first),
                timeout_seconds=work.timeout_seconds,
                memory_mb=work.memory_mb,
            )
        )
        try:
            async with asyncio.timeout(work.timeout_seconds + self.patience.grace_seconds):
                await run.outcome
        except TimeoutError:
            self.spoiled = "It did not keep the time limit."
            raise CodeTimedOut(f"The code took longer than {work.timeout_seconds:g} s.") from None

    async def _give_up(self, run: TaskRun, reason: str) -> None:
        """Have the worker forget the task; a worker that does not may have no other."""
        run.fail(SandboxWorkerLost())
        if run.ended.is_set() or self.spoiled is not None or self.over.is_set():
            return
        self.spoiled = "It does not give up its task."
        with contextlib.suppress(TimeoutError, SandboxWorkerLost):
            async with asyncio.timeout(self.patience.cancel_seconds):
                await self._send(Cancel(task_id=run.work.id, reason=reason))
                await run.ended.wait()
        if run.ended.is_set() and not self.over.is_set():
            self.spoiled = None

    async def hang_up(self) -> None:
        """Tell the worker to go, and end the link."""
        with contextlib.suppress(SandboxWorkerLost):
            await self._send(Drain())
        self.lose(None)
        await self.connection.close()

    async def _hear(self) -> None:
        patience = self.patience.heartbeat_seconds * HEARTBEATS_MISSED
        while True:
            async with asyncio.timeout(patience):
                frame = await self.connection.recv()
            message = read_from_worker(frame)
            if isinstance(message, Heartbeat | Draining):
                self._count_idle_word()
            if isinstance(message, Heartbeat):
                continue
            if isinstance(message, Draining):
                self.spoiled = self.spoiled or "It drains."
                if self._run is None:
                    return
                continue
            await self._hear_of_task(message, len(frame))

    def _count_idle_word(self) -> None:
        self._idle_words += 1
        usual = (time.monotonic() - self._since) / self.patience.heartbeat_seconds
        if self._idle_words > IDLE_WORDS_SPARE + 2 * usual:
            raise Misbehaved("too many heartbeats")

    async def _hear_of_task(self, message: Message | ResultPart, size: int) -> None:
        run = self._run
        task_id = getattr(message, "task_id", None)
        if run is None or task_id != run.work.id:
            raise Misbehaved(f"{_name(message)} of a task that it does not have")
        if run.ended.is_set():
            raise Misbehaved(f"{_name(message)} after the end of the task")
        try:
            await _hear_of(run, message, size)
        except NodeError as error:  # Who asked for the task cannot be told of it.
            run.fail(error)

    async def _answer(self, data: Data) -> None:
        await self._send(data)

    async def _beat(self) -> None:
        with contextlib.suppress(SandboxWorkerLost):
            while True:
                await asyncio.sleep(self.patience.heartbeat_seconds)
                await self._send(Heartbeat())

    async def _send(self, message: Message) -> None:
        """Raises SandboxWorkerLost where the worker is gone or does not read, CodeInvalid where it is too much."""
        frame = orjson.dumps(message.__dict__)  # None of ours holds another one.
        if len(frame) > FRAME_BYTES_MAX:
            raise CodeInvalid(
                f"The code, its parameters and its items are {len(frame):,} bytes at a time, and may be "
                f"{FRAME_BYTES_MAX:,}.",
                hint="Give it less at a time: keep what is large in a blob, or leave out what it does not need.",
            )
        try:
            async with asyncio.timeout(self.patience.send_seconds):
                await self.connection.send(frame, text=True)
        except ConnectionClosed as error:
            self.lose(None)
            raise SandboxWorkerLost from error
        except TimeoutError as error:
            self.lose("It does not read.")
            self.connection.transport.abort()
            raise SandboxWorkerLost from error


async def _hear_of(run: TaskRun, message: Message | ResultPart, size: int) -> None:
    match message:
        case Accept():
            run.accept()
        case Decline():
            run.decline()
        case DataRequest():
            run.ask_for(message.start, message.stop)
        case Log():
            await run.log(message, size)
        case Progress():
            await run.progress(message)
        case ResultPart():
            await run.take(message)
        case Error():
            run.check_begun("an error")
            run.ended.set()
            run.fail(error_of(message.error.model_dump()))
        case _:
            raise Misbehaved(f"{_name(message)} now")


def _name(message: Message | ResultPart) -> str:
    return f"`{getattr(message, 'type', 'result')}`"

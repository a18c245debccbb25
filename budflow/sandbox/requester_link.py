"""sandboxd's end of the link to one requester: its tasks, all of the project of its ticket."""

import asyncio
import contextlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from pydantic import ValidationError
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed

from budflow.log import get_log
from budflow.model.failure import NodeError
from budflow.model.item import Json
from budflow.model.sandbox import CodeResultMalformed, SandboxUnavailable
from budflow.sandbox.access import STATUS
from budflow.sandbox.image_desk import ImageDesk
from budflow.sandbox.image_requests import NODE, FindImage, ImageMessage, ImageRequest, Prepare, RemoveImage
from budflow.sandbox.messages import Log, Message, Progress
from budflow.sandbox.requests import (
    FROM_REQUESTER,
    REQUEST_FRAME_BYTES_MAX,
    Abandon,
    AboutTask,
    Advance,
    Describe,
    Described,
    Done,
    Failed,
    FromSandboxd,
    Items,
    ItemsWanted,
    LogLine,
    Part,
    Submit,
)
from budflow.sandbox.work import Asker, Ran, Work

SEND_SECONDS = 30.0
POLICY_VIOLATION = 1008

log = get_log(__name__)


class RunsWork(Protocol):
    """The broker, as a requester's link needs it."""

    async def run(self, work: Work, asker: Asker) -> Ran:
        """Have it done. Raises NodeErrors."""
        ...

    async def describe(self) -> Mapping[str, Any]:
        """For the status."""
        ...

    @property
    def desk(self) -> ImageDesk:
        """What answers about images."""
        ...


class _Gone(Exception):
    """The requester is gone, or does not read."""


@dataclass(slots=True)
class RequesterLink:
    """One requester. When its link ends, its tasks are cancelled."""

    connection: Connection
    broker: RunsWork
    project: str
    timeout_seconds_max: float
    image: str = ""
    _asked: "dict[str, _Asked]" = field(default_factory=dict)
    _tasks: "set[asyncio.Task[None]]" = field(default_factory=set)

    @property
    def running(self) -> int:
        """How many of its tasks wait or run."""
        return len(self._asked)

    async def serve(self) -> None:
        """Take its messages until it goes."""
        try:
            async for frame in self.connection:
                self._take(FROM_REQUESTER.validate_json(frame))
        except (ValidationError, _Refused) as error:
            why = str(error) if isinstance(error, _Refused) else "a message that is none"
            log.warning("sandbox.requester_misbehaved", project=self.project, why=why)
            await self.connection.close(POLICY_VIOLATION, why)
        except ConnectionClosed:
            pass
        finally:
            for task in self._tasks:
                task.cancel()
            while self._tasks:
                await asyncio.wait(self._tasks)

    def _take(self, message: Message) -> None:
        match message:
            case Submit():
                self._submit(message)
            case Items():
                asked = self._asked.get(message.task_id)
                if asked is not None:  # Else the task ended while they were on their way.
                    asked.given(message)
            case Abandon():
                asked = self._asked.get(message.task_id)
                if asked is not None and asked.task is not None:
                    asked.task.cancel()
            case Describe():
                if self.project not in (NODE, STATUS):
                    raise _Refused("a project's ticket does not show what others do")
                self._go(self._describe(message.request))
            case Prepare() | FindImage() | RemoveImage():
                self._go(self._answer_about_images(message))
            case _:
                raise _Refused("a second greeting")

    def _submit(self, message: Submit) -> None:
        if message.task_id in self._asked:
            raise _Refused("a task that is there")
        if self.project in (NODE, STATUS):
            raise _Refused("a task without a project")
        if len(message.items) > message.item_count or (message.item_count and not message.items):
            raise _Refused("items that do not fit their count")
        work = Work(
            id=secrets.token_hex(8),
            project=self.project,
            name=message.name,
            mode=message.mode,
            code=message.code,
            now=message.now,
            seed=message.seed,
            params=message.params,
            item_count=message.item_count,
            first=message.items,
            requirements=tuple(message.requirements),
            image=self.image,
            network=tuple(message.network),
            timeout_seconds=min(message.timeout_seconds, self.timeout_seconds_max),
            memory_mb=message.memory_mb,
        )
        asked = self._asked[message.task_id] = _Asked(message.task_id, self)
        asked.task = self._go(self._run(work, asked))

    async def _run(self, work: Work, asked: "_Asked") -> None:
        try:
            answer = await self._answer(work, asked)
        finally:
            del self._asked[asked.task_id]
        with contextlib.suppress(_Gone):
            await self.send(answer)

    async def _answer(self, work: Work, asked: "_Asked") -> Done | Failed:
        try:
            ran = await self.broker.run(work, asked)
        except NodeError as error:
            return _failed(asked.task_id, error)
        except Exception as error:  # The edge of the daemon: a fault of ours answers the one task.
            log.exception("sandbox.task_broke", task=work.name)
            return _failed(asked.task_id, SandboxUnavailable(f"The sandbox has a fault: {type(error).__name__}."))
        return Done(
            type="done",
            task_id=asked.task_id,
            isolation=ran.isolation,
            image=ran.image,
            worker=ran.worker,
            queued_seconds=ran.queued_seconds,
            ran_seconds=ran.ran_seconds,
        )

    async def _answer_about_images(self, request: ImageRequest) -> None:
        async def send(answer: ImageMessage) -> None:
            await self._send_frame(answer.model_dump_json().encode())

        with contextlib.suppress(_Gone):
            await self.broker.desk.answer(request, self.project, send)

    async def _describe(self, request: int) -> None:
        with contextlib.suppress(_Gone):
            status = await self.broker.describe()
            await self.send(Described(type="described", request=request, status=dict(status)))

    async def send(self, message: FromSandboxd) -> None:
        """Raises CodeResultMalformed where it is no JSON for us, and _Gone."""
        try:
            frame = orjson.dumps(message)
        except orjson.JSONEncodeError as error:
            raise CodeResultMalformed("The code gives back values that are nested too deeply.") from error
        if len(frame) > REQUEST_FRAME_BYTES_MAX:  # A short number may be a long one once it was read.
            raise CodeResultMalformed("The code gives back a part of its result that is too large.")
        await self._send_frame(frame)

    async def _send_frame(self, frame: bytes) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.connection.send(frame, text=True)
        except ConnectionClosed as error:
            raise _Gone from error
        except TimeoutError as error:
            self.connection.transport.abort()
            raise _Gone from error

    def _go(self, coroutine: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class _Refused(Exception):
    """The requester said what it may not say now."""


@dataclass(slots=True)
class _Asked:
    """One task of a requester: meets Asker."""

    task_id: str
    link: RequesterLink
    task: "asyncio.Task[None] | None" = None
    _requests: "dict[int, tuple[int, asyncio.Future[Sequence[Json]]]]" = field(default_factory=dict)
    _last: int = 0

    async def items(self, start: int, stop: int) -> Sequence[Json]:
        """See Asker."""
        self._last += 1
        request, future = self._last, asyncio.get_running_loop().create_future()
        self._requests[request] = (stop - start, future)
        try:
            await self._send(
                ItemsWanted(type="items_wanted", task_id=self.task_id, request=request, start=start, stop=stop)
            )
            items: Sequence[Json] = await future
            return items
        finally:
            self._requests.pop(request, None)

    def given(self, message: Items) -> None:
        """The answer to a request for items."""
        count, future = self._requests.pop(message.request, (0, None))
        if future is None or future.done():
            return
        if len(message.items) > count:
            raise _Refused("more items than were asked for")
        future.set_result(message.items)

    async def log(self, line: Log) -> None:
        """See Asker."""
        told = LogLine(
            type="log",
            task_id=self.task_id,
            level=line.level,
            message=line.message,
            fields=line.fields,
            item=line.item,
        )
        await self._send(told)

    async def progress(self, progress: Progress) -> None:
        """See Asker."""
        told = Advance(type="progress", task_id=self.task_id, fraction=progress.fraction, message=progress.message)
        await self._send(told)

    async def part(self, items: Sequence[Json], failed: Sequence[Json]) -> None:
        """See Asker."""
        if items or failed:
            await self._send(Part(type="part", task_id=self.task_id, items=items, failed=failed))

    async def _send(self, message: AboutTask) -> None:
        with contextlib.suppress(_Gone):  # The task is about to be cancelled.
            await self.link.send(message)


def _failed(task_id: str, error: NodeError) -> Failed:
    details = {name: value for name, value in error.details.items() if isinstance(value, int | str | list)}
    return Failed(
        type="failed", task_id=task_id, code=error.code, message=error.message, hint=error.hint, details=details
    )

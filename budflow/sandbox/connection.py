"""A requester's end of its link to sandboxd: sends, and hands what comes to the tasks that it is for.

Imported with the first code that runs: the server's start does not wait for the library of WebSockets.
"""

import asyncio
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from budflow.model.sandbox import SandboxUnavailable, SandboxWorkerLost
from budflow.sandbox.access import REQUESTER_SECONDS, Tickets, read_key
from budflow.sandbox.greet import LINK_OPTIONS
from budflow.sandbox.requests import (
    REQUEST_FRAME_BYTES_MAX,
    AboutTask,
    Describe,
    FromSandboxd,
    Greeted,
    Greeting,
)

ANSWER_SECONDS = 10.0
#: How a `requests.Part` begins, as orjson writes it.
PART_PREFIX = b'{"type":"part","task_id":"'

#: A sandboxd that is stopped or stuck keeps its socket open: without a sign of life code would be waited for forever.
PING_SECONDS = 20.0
PONG_SECONDS = 40.0

_OPTIONS = {name: LINK_OPTIONS[name] for name in ("compression", "close_timeout", "open_timeout")}


class Refused(Exception):
    """Nobody is there, or they let us not in. The text says why."""


class Inbox:
    """What is said of one task, in order."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[AboutTask | bytes | None] = asyncio.Queue()

    def put(self, message: AboutTask | bytes | None) -> None:
        """A message, as bytes where it was not read yet; None says that the link is gone."""
        self._messages.put_nowait(message)

    async def get(self) -> AboutTask | None:
        """The next message; None when the link is gone."""
        message = await self._messages.get()
        read: AboutTask | None = orjson.loads(message) if isinstance(message, bytes) else message
        return read


class Connection:
    """One link for one project. Use `connect`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._inboxes: dict[str, Inbox] = {}
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ids = itertools.count(1)
        self._reading = asyncio.create_task(self._read())
        self.gone = False

    @property
    def busy(self) -> bool:
        """Whether a task or a question is under way."""
        return bool(self._inboxes or self._answers)

    def open_task(self) -> "tuple[str, Inbox]":
        """An id for a task, and where what is said of it arrives."""
        task_id = f"t{next(self._ids)}"
        inbox = self._inboxes[task_id] = Inbox()
        if self.gone:
            inbox.put(None)
        return task_id, inbox

    def close_task(self, task_id: str) -> None:
        """What still comes for it is dropped."""
        self._inboxes.pop(task_id, None)

    async def send(self, message: Mapping[str, Any]) -> None:
        """Raises SandboxWorkerLost where the link is gone."""
        try:
            await self._connection.send(orjson.dumps(message), text=True)
        except ConnectionClosed as error:
            raise SandboxWorkerLost("The sandbox daemon is gone.") from error

    async def describe(self) -> dict[str, Any]:
        """The status of the sandbox. Raises SandboxUnavailable."""
        request, future = next(self._ids), asyncio.get_running_loop().create_future()
        self._answers[request] = future
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self.send(Describe(request=request).model_dump())
                answer: dict[str, Any] = await future
        except (SandboxWorkerLost, TimeoutError) as error:
            raise SandboxUnavailable("The sandbox daemon does not answer.") from error
        finally:
            self._answers.pop(request, None)
        return answer

    async def close(self) -> None:
        """End the link; its tasks are cancelled."""
        await self._connection.close()
        await self._reading

    async def _read(self) -> None:
        try:
            while True:
                self._take(await self._connection.recv(decode=False))
        except ConnectionClosed:
            pass
        finally:
            self.gone = True
            for inbox in self._inboxes.values():
                inbox.put(None)
            for future in self._answers.values():
                if not future.done():
                    future.set_exception(SandboxWorkerLost("The sandbox daemon is gone."))

    def _take(self, frame: bytes) -> None:
        if frame.startswith(PART_PREFIX):
            # It may be large, and stays as it is until who asked for it comes to it.
            task_id = frame[len(PART_PREFIX) : frame.index(b'"', len(PART_PREFIX))].decode()
            self._put(task_id, frame)
            return
        message: FromSandboxd = orjson.loads(frame)
        if message["type"] != "described":
            self._put(message["task_id"], message)
            return
        future = self._answers.get(message["request"])
        if future is not None and not future.done():
            future.set_result(message["status"])

    def _put(self, task_id: str, message: AboutTask | bytes) -> None:
        inbox = self._inboxes.get(task_id)
        if inbox is not None:
            inbox.put(message)


async def connect(socket: Path, project: str) -> Connection:
    """A link for a project to the sandboxd on `socket`, by a ticket of the key beside it.

    Raises Refused, SandboxKeyUnreadable.
    """
    return await connect_with(socket, Tickets(read_key(socket.parent)).issue("requester", project, REQUESTER_SECONDS))


async def connect_with(
    socket: Path, ticket: str, *, project: str | None = None, image: str | None = None
) -> Connection:
    """The same by a ticket that somebody else made, for the project and image that are expected. Raises Refused."""
    try:
        connection = await unix_connect(
            str(socket),
            max_size=REQUEST_FRAME_BYTES_MAX,
            max_queue=16,
            ping_interval=PING_SECONDS,
            ping_timeout=PONG_SECONDS,
            **_OPTIONS,
        )
    except (OSError, TimeoutError, InvalidHandshake, InvalidMessage) as error:
        raise Refused(str(error)) from error
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await connection.send(Greeting(ticket=ticket, project=project, image=image).model_dump_json())
            Greeted.model_validate_json(await connection.recv())
    except ConnectionClosed as error:
        raise Refused(error.rcvd.reason if error.rcvd else "it hung up") from error
    except (TimeoutError, ValidationError) as error:
        connection.transport.abort()
        why = "it does not answer" if isinstance(error, TimeoutError) else "it is of another version of BudFlow"
        raise Refused(why) from error
    return Connection(connection)

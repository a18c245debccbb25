"""Workers of tests, in this process: each does what its script says, on a real link to the broker."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed

from budflow.model.sandbox import Isolation, SandboxUnavailable
from budflow.sandbox.runners import BROKER_SOCKET, TICKET_VARIABLE, End, OnProgress, WorkerKind

Message = dict[str, Any]


class FakeWorker:
    """The worker's end of a link. A script speaks through it."""

    def __init__(self, connection: ClientConnection, ticket: str, kind: WorkerKind) -> None:
        self.connection, self.ticket, self.kind = connection, ticket, kind
        self.task: Message = {}

    async def send(self, type_: str, **fields: Any) -> None:
        """A message, whatever it is."""
        await self.connection.send(orjson.dumps({"type": type_, **fields}), text=True)

    async def receive(self) -> Message:
        """The next message, without heartbeats."""
        while True:
            message: Message = orjson.loads(await self.connection.recv())
            if message["type"] != "heartbeat":
                return message

    async def hello(self, **fields: Any) -> None:
        """Say hello, and hear the welcome."""
        said = {"protocol": 1, "ticket": self.ticket, "language": "python", "version": "3", "budflow": "0", **fields}
        await self.send("hello", **said)
        assert (await self.receive())["type"] == "welcome"

    async def take(self) -> Message:
        """Accept the next task, and get it."""
        offer = await self.receive()
        assert offer["type"] == "offer", offer
        await self.send("accept", task_id=offer["task_id"])
        self.task = await self.receive()
        return self.task

    async def say(self, type_: str, **fields: Any) -> None:
        """A message about the task."""
        await self.send(type_, task_id=self.task["task_id"], **fields)

    async def give(self, *values: Message, last: bool = True) -> None:
        """A part of the result."""
        await self.say("result", items=[{"json": value, "source": -1} for value in values], failed=[], last=last)


Script = Callable[[FakeWorker], Awaitable[None]]


async def honest(worker: FakeWorker) -> None:
    """Give each task's items back, again and again."""
    await worker.hello()
    while True:
        task = await worker.take()
        await worker.give(*task["items"])


@dataclass
class FakeStarted:
    """Meets StartedWorker."""

    id: str
    kind: WorkerKind
    task: "asyncio.Task[None]"
    ended: "asyncio.Future[End]"
    socket: Path

    async def wait(self) -> End:
        return await asyncio.shield(self.ended)

    async def kill(self) -> None:
        self.end(End("killed"))
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    def end(self, end: End) -> None:
        """It has ended like this; the first word counts."""
        if not self.ended.done():
            self.ended.set_result(end)


@dataclass
class FakeRunner:
    """Meets WorkerRunner. The n-th worker does what the n-th script says, those beyond are like the last."""

    scripts: Sequence[Script] = (honest,)
    isolation: Isolation = "process"
    started: list[FakeStarted] = field(default_factory=list)
    prepared: list[tuple[str, ...]] = field(default_factory=list)
    refuses: bool = False
    closed: bool = False
    #: How a worker ends by itself when its script is over.
    end: End = field(default_factory=lambda: End("exited", 0))
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def living(self) -> list[FakeStarted]:
        """Those that have not ended."""
        return [one for one in self.started if not one.ended.done()]

    async def prepare(self, requirements: Sequence[str], on_progress: OnProgress) -> str:
        self.prepared.append(tuple(requirements))
        return ",".join(requirements)

    async def start(self, kind: WorkerKind, sockets: Path, environment: Mapping[str, str]) -> FakeStarted:
        if self.refuses:
            raise SandboxUnavailable("The engine is on holiday.")
        number = next(self._numbers)
        script = self.scripts[min(number, len(self.scripts) - 1)]
        ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        socket = sockets / BROKER_SOCKET
        ticket = environment[TICKET_VARIABLE]
        task = asyncio.create_task(self._live(script, socket, ticket, kind, ended))
        self.started.append(FakeStarted(f"fake{number}", kind, task, ended, socket))
        return self.started[-1]

    async def _live(
        self, script: Script, socket: Path, ticket: str, kind: WorkerKind, ended: "asyncio.Future[End]"
    ) -> None:
        try:
            options: dict[str, Any] = {"compression": None, "max_size": None, "ping_interval": None}
            async with unix_connect(str(socket), close_timeout=0.1, **options) as connection:
                try:
                    await script(FakeWorker(connection, ticket, kind))
                except ConnectionClosed:
                    pass
                else:
                    connection.transport.abort()  # As the kernel does with the sockets of who died.
        except OSError:
            pass  # Nobody listens any more.
        finally:
            if not ended.done():
                ended.set_result(self.end)

    async def describe(self) -> Mapping[str, Any]:
        return {"fake": True}

    async def close(self) -> None:
        for started in self.started:
            await started.kill()
        self.closed = True

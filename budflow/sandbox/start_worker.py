"""Starts workers: a directory with a socket for each, its ticket, the runner's start, and its hello."""

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, unix_serve

from budflow.log import get_log
from budflow.model.sandbox import SandboxUnavailable, SandboxWorkerLost
from budflow.sandbox.access import SandboxTicketRefused, Tickets
from budflow.sandbox.greet import HELLO_SECONDS, POLICY_VIOLATION, WORKER_OPTIONS, NotGreeted, read_hello
from budflow.sandbox.pooled_worker import PooledWorker
from budflow.sandbox.runners import (
    BROKER_SOCKET,
    EGRESS_SOCKET,
    TICKET_VARIABLE,
    StartedWorker,
    WorkerKind,
    WorkerRunner,
)
from budflow.sandbox.strangers import Strangers
from budflow.sandbox.way_out import Egress, WayOut
from budflow.sandbox.worker_link import Patience, WorkerLink

START_SECONDS = 20.0
CLOSE_SECONDS = 2.0
#: A worker comes once. Half of these may be there at once, since all of them come from the same place.
STRANGERS_MAX = 16

log = get_log(__name__)


class _NotStarted(Exception):
    """It did not come in time, or ended before."""


@dataclass(frozen=True, slots=True)
class WorkerStarter:
    """Starts workers of one runner, each with a directory of its own in `directory`, whose path is short."""

    runner: WorkerRunner
    directory: Path
    tickets: Tickets
    egress: Egress | None = None
    patience: Patience = field(default_factory=Patience)
    seconds: float = START_SECONDS

    async def start(self, kind: WorkerKind) -> PooledWorker:
        """One that said hello. Tries twice. Raises SandboxUnavailable."""
        try:
            return await self._start(kind)
        except _NotStarted as first:
            log.warning("sandbox.worker_not_started", why=str(first), isolation=self.runner.isolation)
        try:
            return await self._start(kind)
        except _NotStarted as error:
            raise SandboxUnavailable(f"A sandbox worker could not be started: {error}.") from error

    async def _start(self, kind: WorkerKind) -> PooledWorker:
        worker_id = secrets.token_hex(6)
        directory = self.directory / worker_id
        directory.mkdir()
        directory.chmod(0o755)
        door = _Door(worker_id, directory, self.tickets, self.patience)
        started: StartedWorker | None = None
        way_out: WayOut | None = None
        try:
            await door.open()
            way_out = await self._open_way_out(kind, worker_id, directory)
            ticket = self.tickets.issue("worker", worker_id, self.seconds + HELLO_SECONDS)
            try:
                async with asyncio.timeout(self.seconds):
                    started = await self.runner.start(kind, directory, {TICKET_VARIABLE: ticket})
                    link = await _first_of(door.link, started)
            except TimeoutError as error:
                raise _NotStarted(f"it did not say hello within {self.seconds:g} s") from error
        except BaseException:
            await _to_its_end(_undo(door, started, way_out))
            raise
        door.close()
        return PooledWorker(worker_id, kind, self.runner.isolation, link, door.remove, started, way_out)

    async def _open_way_out(self, kind: WorkerKind, worker_id: str, directory: Path) -> WayOut | None:
        """It is there when the worker starts, and leads nowhere before a task comes."""
        if not kind.egress:
            return None
        if self.egress is None:
            raise SandboxUnavailable("This sandbox gives code no network.", hint="Leave `network` out.")
        return await self.egress.serve(directory / EGRESS_SOCKET, (), worker_id)


async def _undo(door: "_Door", started: StartedWorker | None, way_out: WayOut | None) -> None:
    try:
        if started is not None:
            await started.kill()
    finally:
        if way_out is not None:
            await way_out.close()
        await door.remove()


async def _to_its_end(undoing: Coroutine[Any, Any, None]) -> None:
    """Not even who is cancelled while it tidies up leaves a worker or a directory behind."""
    task = asyncio.ensure_future(undoing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


class _Door:
    """The socket in a worker's directory. It is gone as soon as the worker came in."""

    def __init__(self, worker_id: str, directory: Path, tickets: Tickets, patience: Patience) -> None:
        self._worker_id, self._directory, self._tickets, self._patience = worker_id, directory, tickets, patience
        self._server: Server | None = None
        self._strangers = Strangers(STRANGERS_MAX)
        self.link: asyncio.Future[WorkerLink] = asyncio.get_running_loop().create_future()

    async def open(self) -> None:
        """Listen."""
        path = self._directory / BROKER_SOCKET
        # In two steps: one that is cancelled while it begins to serve would be lost, with its socket.
        options = {**WORKER_OPTIONS, "create_connection": self._strangers.connecting()}
        self._server = await unix_serve(self._hear, str(path), start_serving=False, **options)
        await self._server.start_serving()
        path.chmod(0o666)  # The worker is another user, and its ticket is what counts.

    def close(self) -> None:
        """Let nobody else in."""
        if self._server is not None:
            self._server.close(close_connections=False)
        self._strangers.close()
        (self._directory / BROKER_SOCKET).unlink(missing_ok=True)

    async def remove(self) -> None:
        """End the link, and remove the directory."""
        self.link.cancel()
        if self._server is not None:
            for connection in self._server.connections:
                connection.transport.abort()
            self._server.close()
            self._strangers.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._server.wait_closed()
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    async def _hear(self, connection: ServerConnection) -> None:
        try:
            hello = await read_hello(connection)
            self._tickets.redeem(hello.ticket, "worker", self._worker_id)
            self._strangers.greeted(connection)
            link = WorkerLink(connection, self._patience)
            await link.welcome()
        except SandboxWorkerLost:
            return  # It went before it was welcomed; whoever started it notices.
        except (NotGreeted, SandboxTicketRefused) as error:
            log.warning("sandbox.worker_refused", worker=self._worker_id, why=str(error))
            if not self.link.done() and isinstance(error, NotGreeted):
                self.link.set_exception(_NotStarted(str(error)))
            await connection.close(POLICY_VIOLATION)
            return
        if self.link.done():
            await connection.close(POLICY_VIOLATION)
            return
        self.link.set_result(link)
        await link.listen()


async def _first_of(link: "asyncio.Future[WorkerLink]", started: StartedWorker) -> WorkerLink:
    """The link of the worker. Raises _NotStarted where it ends before it said hello."""
    ending = asyncio.create_task(_end_of(started))
    try:
        waiting: list[asyncio.Future[Any]] = [link, ending]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if link.done():
            return link.result()
        raise _NotStarted(ending.result())
    finally:
        ending.cancel()


async def _end_of(started: StartedWorker) -> str:
    end = await started.wait()
    status = "" if end.status is None else f", status {end.status}"
    return f"it ended before it said hello ({end.reason}{status})"

"""sandboxd: serves requesters on `sandboxd.sock` with the broker, the pool and the runner that it was given."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from pydantic import ValidationError
from websockets.asyncio.server import ServerConnection, unix_serve
from websockets.exceptions import ConnectionClosed

from budflow import __version__
from budflow.log import get_log
from budflow.sandbox.access import SandboxTicketRefused, Tickets, make_key
from budflow.sandbox.broker import Broker, TaskLimits
from budflow.sandbox.daemon_settings import SOCKET_FILE, DaemonSettings
from budflow.sandbox.external import ExternalDoor, listening
from budflow.sandbox.figures import Figures
from budflow.sandbox.greet import HELLO_SECONDS, LINK_OPTIONS, POLICY_VIOLATION
from budflow.sandbox.image_desk import ImageDesk
from budflow.sandbox.places import own_directory, workers_directory
from budflow.sandbox.pool import Pool, PoolLimits
from budflow.sandbox.requester_link import RequesterLink
from budflow.sandbox.requests import FROM_REQUESTER, REQUEST_FRAME_BYTES_MAX, REQUESTS_VERSION, Greeted, Greeting
from budflow.sandbox.runners import WorkerRunner
from budflow.sandbox.start_worker import WorkerStarter
from budflow.sandbox.way_out import Egress
from budflow.sandbox.work import Asker, Ran, Work
from budflow.sandbox.worker_link import Patience

USED_FILE = "tickets.used"

log = get_log(__name__)


@dataclass(slots=True)
class Daemon:
    """One that serves."""

    settings: DaemonSettings
    broker: Broker
    tickets: Tickets
    door: ExternalDoor
    _running: int = 0
    _rest: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, work: Work, asker: Asker) -> Ran:
        """Have a task done; see Broker."""
        self._running += 1
        try:
            return await self.broker.run(work, asker)
        finally:
            self._running -= 1
            if not self._running:
                self._rest.set()

    @property
    def desk(self) -> ImageDesk:
        """What answers about images."""
        return self.broker.desk

    async def describe(self) -> Mapping[str, Any]:
        """For the status."""
        shape = await self.broker.describe()
        return {"version": __version__, "running": self._running, "external_port": self.door.port or None, **shape}

    async def drain(self) -> None:
        """Take no new tasks; those that are here have `drain_seconds`."""
        self.broker.pool.stop_taking()
        self._rest.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.drain_seconds):
                if self._running:
                    await self._rest.wait()

    async def hear(self, connection: ServerConnection) -> None:
        """Serve one requester."""
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                greeting = _greeting(await connection.recv())
            grant = self.tickets.redeem(greeting.ticket, "requester", greeting.project, greeting.image)
            greeted = Greeted(isolation=self.broker.runner.isolation)
            await connection.send(greeted.model_dump_json())
        except (ConnectionClosed, TimeoutError):
            return
        except (ValidationError, SandboxTicketRefused) as error:
            why = error.message if isinstance(error, SandboxTicketRefused) else "The greeting is none."
            log.warning("sandbox.requester_refused", why=why)
            await connection.close(POLICY_VIOLATION, why[:120])
            return
        link = RequesterLink(connection, self, grant.subject, self.settings.timeout_seconds_max, grant.image)
        await link.serve()


@dataclass(frozen=True, slots=True)
class Isolator:
    """What starts workers, and what serves them a way out."""

    runner: WorkerRunner
    egress: Egress | None = None


@asynccontextmanager
async def serving(
    settings: DaemonSettings, isolate: Callable[[str], Awaitable[Isolator]], patience: Patience | None = None
) -> AsyncIterator[Daemon]:
    """Serve until left; then every worker ends. Raises what the modules that it opens raise.

    `isolate` is called with an id that stays the same for this directory, by which a runner finds what a crash left:
    only now is it known that no other daemon has it.
    """
    with own_directory(settings) as group, workers_directory(settings) as workers:
        key = make_key(settings.directory, group=group)
        isolator = await isolate(sha256(b"owner\n" + key).hexdigest()[:16])
        runner = isolator.runner
        tickets = Tickets(key, used=settings.directory / USED_FILE)
        figures = Figures()
        patience = patience or Patience()
        limits = PoolLimits(
            settings.workers_max,
            settings.workers_warm,
            settings.tasks_a_worker,
            settings.queued_max,
            settings.idle_seconds,
        )
        starter = WorkerStarter(runner, workers, tickets, isolator.egress, patience, settings.start_seconds)
        pool = Pool(starter if settings.workers_max else None, limits, figures)
        tasks = TaskLimits(settings.memory_mb_max, settings.queued_max)
        broker = Broker(runner, pool, figures, tasks)
        daemon = Daemon(settings, broker, tickets, ExternalDoor(pool, tickets, patience, settings.memory_mb_max))
        sweeping = asyncio.create_task(_sweep(pool, settings.idle_seconds / 4))
        try:
            async with listening(settings, daemon.door), _requesters(settings, daemon, group):
                yield daemon
        finally:
            sweeping.cancel()
            await broker.close()


@asynccontextmanager
async def _requesters(settings: DaemonSettings, daemon: Daemon, group: int | None) -> AsyncIterator[None]:
    path = settings.directory / SOCKET_FILE
    path.unlink(missing_ok=True)  # The lock says that nobody serves it.
    options = {**LINK_OPTIONS, "max_size": REQUEST_FRAME_BYTES_MAX, "max_queue": 16}
    before = os.umask(0o177)  # Between its making and a chmod anybody could connect.
    try:
        server = await unix_serve(daemon.hear, str(path), **options)
    finally:
        os.umask(before)
    if group is not None:
        os.chown(path, -1, group)
        path.chmod(0o660)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()
        path.unlink(missing_ok=True)


def _greeting(frame: str | bytes) -> Greeting:
    """Raises ValidationError, SandboxTicketRefused."""
    greeting = FROM_REQUESTER.validate_json(frame)
    if not isinstance(greeting, Greeting) or greeting.version != REQUESTS_VERSION:
        raise SandboxTicketRefused("It is another version of BudFlow.")
    return greeting


async def _sweep(pool: Pool, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        pool.sweep()

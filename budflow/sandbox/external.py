"""External workers: they come over TLS with a single-use ticket, and serve the project that it names, no other."""

import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection, serve

from budflow.errors import BudflowError
from budflow.log import get_log
from budflow.model.sandbox import SandboxWorkerLost
from budflow.sandbox.access import SandboxTicketRefused, Tickets
from budflow.sandbox.daemon_settings import DaemonSettings
from budflow.sandbox.greet import (
    POLICY_VIOLATION,
    STRANGER_OPTIONS,
    NotGreeted,
    read_hello,
    trust_with_frames,
)
from budflow.sandbox.pool import Pool
from budflow.sandbox.pooled_worker import PooledWorker
from budflow.sandbox.runners import WorkerKind
from budflow.sandbox.strangers import Strangers
from budflow.sandbox.worker_link import Patience, WorkerLink

log = get_log(__name__)


class SandboxListenRefused(BudflowError):
    """External workers cannot be listened for."""

    code = "sandbox.listen_refused"
    http_status = 500
    hint = "Give `--listen` as HOST:PORT, with a certificate and its key; without TLS nobody is let in."


@dataclass(slots=True)
class ExternalDoor:
    """Lets external workers into the pool."""

    pool: Pool
    tickets: Tickets
    patience: Patience
    memory_mb_max: int
    port: int = 0
    strangers: Strangers = field(default_factory=Strangers)

    async def hear(self, connection: ServerConnection) -> None:
        """Greet one, and keep its link until it ends."""
        worker = await self._greet(connection)
        if worker is not None:
            self.pool.join(worker)
            await worker.link.listen()

    async def _greet(self, connection: ServerConnection) -> PooledWorker | None:
        try:
            hello = await read_hello(connection)
            grant = self.tickets.redeem(hello.ticket, "external")
            self.strangers.greeted(connection)
            trust_with_frames(connection)
            link = WorkerLink(connection, self.patience)
            await link.welcome()
        except SandboxWorkerLost:
            return None
        except (NotGreeted, SandboxTicketRefused) as error:
            log.warning("sandbox.external_refused", why=str(error), address=str(connection.remote_address))
            await connection.close(POLICY_VIOLATION)
            return None
        kind = WorkerKind(grant.image, grant.memory_mb or self.memory_mb_max)
        worker = PooledWorker(f"ext-{secrets.token_hex(6)}", kind, "external", link, _nothing, project=grant.subject)
        log.info("sandbox.external_joined", worker=worker.id, project=grant.subject)
        return worker


@asynccontextmanager
async def listening(settings: DaemonSettings, door: ExternalDoor) -> AsyncIterator[None]:
    """Listen for external workers where the settings say so. Raises SandboxListenRefused."""
    if settings.listen is None:
        yield
        return
    host, _, port = settings.listen.rpartition(":")
    if not host or not port.isdecimal() or settings.listen_certificate is None or settings.listen_key is None:
        raise SandboxListenRefused
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.listen_certificate, settings.listen_key)
        options = {**STRANGER_OPTIONS, "create_connection": door.strangers.connecting(context)}
        server = await serve(door.hear, host.strip("[]"), int(port), **options)
    except OSError as error:  # ssl.SSLError is one too.
        raise SandboxListenRefused(f"External workers cannot be listened for: {error.strerror or error}.") from error
    door.port = next(iter(server.sockets)).getsockname()[1]
    log.info("sandbox.listens", host=host, port=door.port)
    try:
        yield
    finally:
        server.close()
        door.strangers.close()
        await server.wait_closed()


async def _nothing() -> None:
    """There is nothing of it on this machine."""

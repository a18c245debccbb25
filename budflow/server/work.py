"""`budflow worker`: a runner without doors, which takes executions from the queue in PostgreSQL until told to stop."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

from budflow.errors import BudflowError
from budflow.execution import interpreter
from budflow.log import get_log
from budflow.server.signals import Signals
from budflow.settings import Settings
from budflow.worker import open_worker

log = get_log(__name__)


class WorkerNeedsPostgresql(BudflowError):
    """A worker needs PostgreSQL."""

    code = "worker.needs_postgresql"
    http_status = 500
    hint = (
        "Set `BUDFLOW_DATABASE_URL` to the database of your servers. With SQLite the one server runs everything itself."
    )


@dataclass(frozen=True, slots=True)
class Working:
    """A worker that takes executions; `running_max` is how many at the same time."""

    runner: str
    host: str
    pid: int
    running_max: int


async def work(settings: Settings, on_ready: Callable[[Working], None]) -> None:
    """Work until SIGTERM or SIGINT; `on_ready` is told when it begins to.

    While PostgreSQL is away it waits for it, and goes on with what nobody else took over meanwhile. Raises
    WorkerNeedsPostgresql, and what opening a worker raises.
    """
    if settings.database_url is None:
        raise WorkerNeedsPostgresql("`database_url` is not set: SQLite belongs to one process.")
    signals = Signals()
    interpreter.tune()
    async with open_worker(settings) as worker:
        interpreter.keep()
        on_ready(Working(worker.supervisor.runner, socket.gethostname(), os.getpid(), settings.running_max))
        await signals.told.wait()
        log.info("worker.stopping", running=worker.supervisor.status()["running"], seconds=settings.drain_seconds)
        await worker.drain(settings.drain_seconds)

"""A runner's lease in PostgreSQL, kept on a thread of its own: a computation that blocks the event loop costs no lease.

Two things tell the others that the runner lives. A session of the database holds an advisory lock, which goes at once
when the process dies; and the row's `lease_until` is put off every third of the lease, which ends when the process is
frozen, cut off from the database, or its event loop makes no progress for a minute.
"""

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Future
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from budflow.execution.figures import StoreFigures
from budflow.log import get_log
from budflow.storage.postgres.driver import driver_arguments
from budflow.storage.postgres.failures import FAILURES, error_of

#: An event loop that does not beat for so long is taken for dead.
LOOP_STALLED_SECONDS = 60
CONNECT_SECONDS = 10
#: For how long closing waits for a server that does not answer; the lease ends by itself then.
CLOSE_SECONDS = 5
RETRY_SECONDS_MAX = 1.0

_NOW = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"
_RENEW = f"""
UPDATE runners SET lease_until = {_NOW} + $4, lock_key = $3 WHERE id = $1 AND lock_key = $2 RETURNING id
"""  # noqa: S608 - a constant
_REGISTER = f"""
INSERT INTO runners (id, lock_key, lease_until, host, pid, started_at, kind, details)
VALUES ($1, $2, {_NOW} + $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE SET lock_key = excluded.lock_key, lease_until = excluded.lease_until,
    host = excluded.host, pid = excluded.pid, started_at = excluded.started_at, kind = excluded.kind,
    details = excluded.details
"""  # noqa: S608 - a constant
_FORGET = "DELETE FROM runners WHERE id = $1 AND lock_key = $2"

_log = get_log(__name__)


class PostgresLease:
    """Meets budflow.execution.ports.Lease."""

    def __init__(self, engine: AsyncEngine, row: Mapping[str, Any], seconds: float) -> None:
        """Use `PostgresLease.open`."""
        self._connect_args = _connect_args(engine, seconds)
        self._row = row
        self._seconds = seconds
        self._figures = StoreFigures()
        self._lost = False
        self._key: int | None = None  # That of the row, once there is one.
        self._beaten_at = time.monotonic()
        self._opened: Future[None] = Future()
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._news = asyncio.Event()  # The lease is to be closed, or its connection was cut.
        self._thread = threading.Thread(target=self._run, name="budflow-postgres-lease", daemon=True)

    def count_in(self, figures: StoreFigures) -> "PostgresLease":
        """Count there what becomes of the lease."""
        self._figures = figures
        return self

    @classmethod
    async def open(cls, engine: AsyncEngine, row: Mapping[str, Any], seconds: float) -> "PostgresLease":
        """Register the runner, whose row lacks its lease. Raises StorageUnavailable, without the password."""
        lease = cls(engine, row, seconds)
        lease._thread.start()
        try:
            await asyncio.wrap_future(lease._opened)
        except BaseException:
            await lease.close()
            raise
        return lease

    @property
    def lost(self) -> bool:
        """Whether others may have taken this runner's executions since it began.

        It stays so, though the runner is registered again for what it claims from then on: of the old executions
        those that were taken have a higher token, so writes to them fail one by one.
        """
        return self._lost

    def beat(self) -> None:
        """The event loop makes progress."""
        self._beaten_at = time.monotonic()

    async def close(self) -> None:
        """Delete the row and let go of the lock."""
        self._closed = True
        with contextlib.suppress(RuntimeError):  # Its thread has ended already.
            self._loop.call_soon_threadsafe(self._news.set)
        await asyncio.to_thread(self._thread.join, CLOSE_SECONDS)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._keep())

    async def _keep(self) -> None:
        while not self._closed:
            registered = False
            try:
                async with self._session() as connection:
                    await self._register(connection)
                    registered = True
                    if not self._opened.done():
                        self._opened.set_result(None)
                    await self._renew_until_closed(connection)
                    await connection.execute(_FORGET, self._row["id"], self._key)
            except (*FAILURES, TimeoutError) as failure:
                if not self._opened.done():
                    self._opened.set_exception(error_of(failure))
                    return
                self._figures.leases.add("interrupted")
                _log.warning("lease.interrupted", runner=self._row["id"], reason=error_of(failure).message)
                if not registered:  # Else at once: the lock went with the session, so anybody may take it for dead.
                    await self._pause(min(self._seconds / 3, RETRY_SECONDS_MAX))

    @contextlib.asynccontextmanager
    async def _session(self) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(**self._connect_args)
        connection.add_termination_listener(lambda _: self._news.set())
        try:
            yield connection
        finally:
            connection.terminate()  # Nothing is left to be said; a polite end could hang with the server.

    async def _register(self, connection: Any) -> None:
        """Hold a new lock and then name it in the row, so that the row never names one that is free."""
        key = secrets.randbits(63)
        await connection.execute("SELECT pg_advisory_unlock_all()")
        await connection.execute("SELECT pg_advisory_lock($1)", key)
        row, lease = self._row, int(self._seconds * 1_000_000)
        if self._key is None or await connection.fetchval(_RENEW, row["id"], self._key, key, lease) is None:
            if self._key is not None:
                self._lost = True
                self._figures.leases.add("lost")
            about = (row[name] for name in ("host", "pid", "started_at", "kind", "details"))
            await connection.execute(_REGISTER, row["id"], key, lease, *about)
        self._key = key

    async def _renew_until_closed(self, connection: Any) -> None:
        while True:
            await self._pause(self._seconds / 3)
            if self._closed:
                return
            if connection.is_closed():
                raise ConnectionResetError
            if time.monotonic() - self._beaten_at >= LOOP_STALLED_SECONDS:
                continue
            lease = int(self._seconds * 1_000_000)
            if await connection.fetchval(_RENEW, self._row["id"], self._key, self._key, lease) is None:
                _log.warning("lease.lost", runner=self._row["id"])
                await self._register(connection)
            else:
                self._figures.leases.add("renewed")

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        if not self._closed:
            self._news.clear()


def _connect_args(engine: AsyncEngine, seconds: float) -> dict[str, Any]:
    """What the driver takes for the engine's URL. A command that hangs must leave time for the next connection."""
    return {**driver_arguments(engine), "timeout": CONNECT_SECONDS, "command_timeout": max(1.0, seconds / 2)}

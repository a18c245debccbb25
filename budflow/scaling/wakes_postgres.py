"""Wake-ups over PostgreSQL: LISTEN on one connection, and notifications from another.

A notification takes a lock at its commit that all others of the database wait for, so none is sent in a transaction
that also writes, and its commit does not wait for the disk: what is told need not outlive the server. Two connections,
because a proxy that lends connections out by the transaction may give what is sent back to the sender alone: only a
listener that hears somebody else hears.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

#: That of the database; another database on the same server hears nothing of it.
CHANNEL = "budflow"
CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 5.0
_NOTIFY = "SELECT pg_notify($1, text) FROM unnest($2::text[]) AS text"


class PostgresChannel:
    """Meets budflow.scaling.wakes_between.Channel. `driver_arguments` are those of `asyncpg.connect`."""

    name = "postgresql"

    def __init__(self, driver_arguments: Mapping[str, Any]) -> None:
        self._arguments = {**driver_arguments, "timeout": CONNECT_SECONDS, "command_timeout": COMMAND_SECONDS}
        self._sender: Any = None

    @asynccontextmanager
    async def listening(self, heard: Callable[[str], None]) -> AsyncIterator[Awaitable[None]]:
        """See Channel."""
        connection = await self._connect()
        try:
            cut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            connection.add_termination_listener(lambda _: _settle(cut))
            await connection.add_listener(CHANNEL, lambda _connection, _pid, _channel, text: heard(text))
            yield cut
        finally:
            connection.terminate()

    async def send(self, texts: Sequence[str]) -> None:
        """See Channel."""
        if self._sender is None or self._sender.is_closed():
            self._sender = await self._connect(synchronous_commit="off")
        try:
            await self._sender.execute(_NOTIFY, CHANNEL, texts)
        except BaseException:
            await self.close()  # Nobody knows what it is still busy with.
            raise

    async def close(self) -> None:
        """See Channel."""
        if self._sender is not None:
            self._sender.terminate()
            self._sender = None

    async def _connect(self, **settings: str) -> Any:
        given = {**self._arguments.get("server_settings", {}), **settings}
        return await asyncpg.connect(**{**self._arguments, "server_settings": given})


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)

"""A runner's lease on a SQLite file: a row that says who it is."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Connection

from budflow.storage import leases

Write = Callable[[Callable[[Connection], None]], Awaitable[None]]


class SqliteLease:
    """Meets budflow.execution.ports.Lease.

    Nothing renews it and it is never lost: a file belongs to the one process that holds the lock on its directory. As
    long as this one lives nobody else may take its executions, and the next owner knows that it is dead.
    """

    lost = False

    def __init__(self, write: Write, runner: str) -> None:
        """Use `SqliteLease.open`."""
        self._write = write
        self._runner = runner

    @classmethod
    async def open(cls, write: Write, row: dict[str, Any]) -> "SqliteLease":
        """Add the runner's row, which lacks its lease; `write` runs a function in a transaction."""
        values = row | {"lease_until": leases.NO_END}
        await write(lambda conn: leases.add_runner(conn, values))
        return cls(write, row["id"])

    def beat(self) -> None:
        """Nothing runs out."""

    async def close(self) -> None:
        await self._write(lambda conn: leases.delete_runner(conn, self._runner))

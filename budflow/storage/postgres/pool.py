"""The connections of a store to PostgreSQL: pools of them, with what every session is set to."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from budflow.errors import BudflowError

CONNECT_SECONDS = 10
#: A transaction in which nobody says anything for so long belongs to a frozen process, and is undone with its locks.
IDLE_SECONDS = 5.0
COMMAND_SECONDS = 60


class DatabaseUrlRefused(BudflowError):
    """The database URL is not one of PostgreSQL."""

    code = "storage.url_refused"
    http_status = 500
    hint = "Write it as postgresql://user:password@host:port/name."


def open_pool(url: str, *, size: int, overflow: int, settings: Mapping[str, str] | None = None) -> AsyncEngine:
    """A pool that connects when first used: `size` connections are kept, and `overflow` more opened when all are busy.

    `settings` are those of its sessions. Raises DatabaseUrlRefused, which never names the password.
    """
    engine = create_async_engine(
        _engine_url(url),
        isolation_level="READ COMMITTED",
        hide_parameters=True,  # They are payloads.
        pool_size=size,
        max_overflow=overflow,
        pool_timeout=CONNECT_SECONDS,
        connect_args={
            "timeout": CONNECT_SECONDS,
            "command_timeout": COMMAND_SECONDS,
            "server_settings": {
                "idle_in_transaction_session_timeout": f"{IDLE_SECONDS * 1000:.0f}",
                **(settings or {}),
            },
        },
    )
    event.listen(engine.sync_engine.pool, "checkout", _refuse_closed)
    return engine


def at_once(engine: AsyncEngine) -> AsyncEngine:
    """The same pool, each statement committed by itself: a single one takes one round trip instead of three."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def _engine_url(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise DatabaseUrlRefused from None  # The cause would quote the URL, password and all.
    if url.drivername not in ("postgresql", "postgresql+asyncpg", "postgres"):
        raise DatabaseUrlRefused(f"A database URL cannot begin with {url.drivername}.")
    query = dict(url.query)
    if "sslmode" in query:  # libpq's word; asyncpg takes the same values as `ssl`.
        query["ssl"] = query.pop("sslmode")
    return url.set(drivername="postgresql+asyncpg", query=query)


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    # The driver notices when the server hangs up, so the pool need not ask it before every use.
    if connection.driver_connection.is_closed():
        raise DisconnectionError

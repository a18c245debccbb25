"""Looking at a PostgreSQL server without changing anything in it."""

import asyncpg

from budflow.storage.errors import StorageUnavailable
from budflow.storage.postgres.failures import FAILURES, error_of
from budflow.storage.postgres.pool import DatabaseUrlRefused


async def server_version(url: str, seconds: float) -> str:
    """What the server says it is. Raises DatabaseUrlRefused, StorageUnavailable; neither names the password."""
    try:
        connection = await asyncpg.connect(url.replace("postgresql+asyncpg:", "postgresql:", 1), timeout=seconds)
        try:
            version = await connection.fetchval("SHOW server_version", timeout=seconds)
        finally:
            await connection.close(timeout=seconds)
    except TimeoutError as error:
        raise StorageUnavailable(f"PostgreSQL did not answer within {seconds:g} s.") from error
    except ValueError:
        raise DatabaseUrlRefused from None  # The cause may quote the URL, password and all.
    except FAILURES as failure:
        raise error_of(failure) from failure
    return f"PostgreSQL {version}"

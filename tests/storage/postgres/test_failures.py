"""What a failure of PostgreSQL says about asking again."""

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeout

from budflow.storage.postgres.failures import is_cut, is_repeatable


def in_use(cause: Exception, *, gone: bool) -> DBAPIError:
    """As SQLAlchemy tells what happened on a connection, and whether that is gone."""
    return DBAPIError("SELECT 1", None, cause, connection_invalidated=gone)


@pytest.mark.parametrize(
    "failure",
    [
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        asyncpg.CrashShutdownError("terminating connection because of crash of another server process"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        ConnectionResetError(),
        BrokenPipeError(),
        in_use(asyncpg.AdminShutdownError("terminating connection"), gone=False),
        in_use(asyncpg.InterfaceError("the underlying connection is closed"), gone=True),
    ],
)
def test_a_connection_that_was_cut_is_known_as_such(failure: Exception) -> None:
    assert is_cut(failure)
    assert not is_repeatable(failure)


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        PoolTimeout(),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        asyncpg.InvalidPasswordError("password authentication failed"),
        in_use(asyncpg.UniqueViolationError("duplicate key"), gone=False),
    ],
)
def test_a_server_that_refuses_or_is_not_there_has_cut_nothing(failure: Exception) -> None:
    assert not is_cut(failure)

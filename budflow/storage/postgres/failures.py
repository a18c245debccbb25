"""What the driver raises, as errors of the store; neither an address nor a password is in a message."""

import asyncpg
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from budflow.errors import BudflowError
from budflow.storage.errors import StorageUnavailable, TextRefused, WriteConflict

#: All that connecting and executing raise: SQLAlchemy's wrappers, and what the driver raises while it connects.
FAILURES = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)

#: Bad data, integrity, rolled back for a rival: classes of SQLSTATE, transaction undone.
_REPEATABLE = ("22", "23", "40")
#: A session that is not there (any more), or broke, or that was ended: for being idle inside a transaction, by an
#: administrator or by the crash of another one.
_CUT = ("08003", "08006", "25P03", "57P01", "57P02")


def sqlstate_of(failure: BaseException) -> str:
    """The five characters that PostgreSQL gives an error, or nothing where it did not answer."""
    origin = failure.orig if isinstance(failure, DBAPIError) else failure
    return getattr(origin, "sqlstate", None) or ""


def is_repeatable(failure: BaseException) -> bool:
    """Whether the server itself refused, so that nothing was stored and a new transaction may try again."""
    return sqlstate_of(failure).startswith(_REPEATABLE)


def is_cut(failure: BaseException) -> bool:
    """Whether a connection was lost that there was, so that a new one may well do; SQLAlchemy has dropped the old ones.

    Not so when the server refuses, is not there or does not answer in time: asking again would only double the wait.
    """
    if isinstance(failure, DBAPIError) and failure.connection_invalidated:
        return True
    return sqlstate_of(failure) in _CUT or isinstance(failure, ConnectionResetError | BrokenPipeError)


def error_of(failure: BaseException) -> BudflowError:
    """The error to raise from `failure`."""
    sqlstate = sqlstate_of(failure)
    if isinstance(failure, IntegrityError):
        return WriteConflict()
    if sqlstate in ("22021", "22P05"):
        return TextRefused()
    origin = failure.orig if isinstance(failure, DBAPIError) else failure
    cause = getattr(origin, "__cause__", None) or origin
    reason = f"{type(cause).__name__} {sqlstate}".strip()
    return StorageUnavailable(f"PostgreSQL cannot be used now: {reason}.", reason=reason)

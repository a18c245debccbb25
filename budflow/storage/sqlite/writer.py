"""The one thread that writes to SQLite: it takes all that wait, writes them in one transaction and commits once.

A lone operation is written at once; under load the group grows by itself while the last one is being committed.
"""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from budflow.errors import BudflowError
from budflow.execution.figures import StoreFigures
from budflow.execution.records import JournalWrite
from budflow.storage.errors import StorageUnavailable, WriteConflict
from budflow.storage.payload import packer
from budflow.storage.sqlite.journal import write_group
from budflow.storage.writes import Admission, Write

GROUP_MAX = 1024
Task = Callable[[Connection], Any]
Operation = Write | Task


class Outcome(NamedTuple):
    """What an operation gave, or why it failed."""

    result: Any = None
    error: BaseException | None = None


class _Waiting(NamedTuple):
    operation: Operation
    future: asyncio.Future[Any]


class _Tainted(Exception):
    """An operation failed after it had written: the group's transaction cannot be committed."""


class Writer:
    """Owns a connection in driver-level autocommit, where only the statements below begin and end transactions."""

    def __init__(self, connect: Callable[[], Connection], figures: StoreFigures | None = None) -> None:
        self._connect, self._figures = connect, figures or StoreFigures()
        self._conn: Connection | None = None
        self._pack = packer()
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="budflow-sqlite-writer", daemon=True)
        self._thread.start()

    def submit(self, operation: Operation) -> "asyncio.Future[Any]":
        """Queue an operation; the future ends after its commit. Cancelling the future does not undo the write."""
        self.refuse_closed()
        future = asyncio.get_running_loop().create_future()
        self._queue.put(_Waiting(operation, future))
        return future

    def refuse_closed(self) -> None:
        """Raise StorageUnavailable after `close`."""
        if self._closed:
            raise StorageUnavailable("The store is closed.", hint="The server is shutting down; send it again later.")

    async def close(self) -> None:
        """Write everything queued before this, then end the thread."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        open_ = True
        while open_:
            group, open_ = self._take()
            _announce(group, self._write([waiting.operation for waiting in group]))
        if self._conn is not None:
            self._conn.close()

    def _take(self) -> tuple[list[_Waiting], bool]:
        group: list[_Waiting] = []
        waiting = self._queue.get()
        with contextlib.suppress(Empty):
            while waiting is not None:
                group.append(waiting)
                if len(group) == GROUP_MAX:
                    break
                waiting = self._queue.get_nowait()
        return group, waiting is not None

    def _write(self, operations: Sequence[Operation]) -> list[Outcome]:
        if not operations:
            return []
        try:
            return self._in_one_transaction(operations)
        except Exception as failure:  # noqa: BLE001 - the writer's loop: a defect must reach its caller, not end it
            self._roll_back()
            if len(operations) == 1:
                return [Outcome(error=_error_of(failure))]
        # One of them spoiled the transaction: halving finds it in few commits, and it fails alone.
        middle = len(operations) // 2
        return self._write(operations[:middle]) + self._write(operations[middle:])

    def _in_one_transaction(self, operations: Sequence[Operation]) -> list[Outcome]:
        began = time.monotonic()
        conn = self._conn = self._conn or self._connect()
        conn.exec_driver_sql("BEGIN IMMEDIATE")
        outcomes: list[Outcome] = []
        writes: list[Write] = []
        for operation in operations:
            if isinstance(operation, JournalWrite | Admission):
                writes.append(operation)
                continue
            outcomes += self._journal(conn, writes)
            writes = []
            outcomes.append(_perform(conn, operation))
        outcomes += self._journal(conn, writes)
        try:
            conn.exec_driver_sql("COMMIT")
        except DBAPIError as failure:
            self._roll_back()
            return [Outcome(error=_unavailable(failure)) for _ in operations]
        self._figures.note_commit(len(operations), time.monotonic() - began)
        return outcomes

    def _journal(self, conn: Connection, writes: list[Write]) -> list[Outcome]:
        return [Outcome(error=refusal) for refusal in write_group(conn, writes, self._pack)] if writes else []

    def _roll_back(self) -> None:
        # A connection that cannot even do this is replaced by the next operation's.
        conn, self._conn = self._conn, None
        if conn is None:
            return
        try:
            if conn.connection.driver_connection.in_transaction:  # type: ignore[union-attr]  # sqlite3's, never None here
                conn.exec_driver_sql("ROLLBACK")
        except SQLAlchemyError:
            conn.invalidate()
            conn.close()
        else:
            self._conn = conn


def _perform(conn: Connection, task: Task) -> Outcome:
    changes = _total_changes(conn)
    try:
        return Outcome(task(conn))
    except BudflowError as refusal:
        if _total_changes(conn) != changes:
            raise _Tainted from refusal
        return Outcome(error=refusal)


def _total_changes(conn: Connection) -> int:
    return conn.connection.driver_connection.total_changes  # type: ignore[union-attr,no-any-return]  # sqlite3's own


def _error_of(failure: Exception) -> BaseException:
    if isinstance(failure, _Tainted) and failure.__cause__ is not None:
        return failure.__cause__
    if isinstance(failure, IntegrityError):
        conflict = WriteConflict()
        conflict.__cause__ = failure
        return conflict
    # sqlite3's own come from opening a connection, where SQLAlchemy does not wrap them.
    return _unavailable(failure) if isinstance(failure, SQLAlchemyError | sqlite3.Error) else failure


def _unavailable(failure: Exception) -> StorageUnavailable:
    reason = str(failure.orig if isinstance(failure, DBAPIError) else failure)
    unavailable = StorageUnavailable(f"SQLite refused the write: {reason}.", reason=reason)
    unavailable.__cause__ = failure
    return unavailable


def _announce(group: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Outcome]]] = defaultdict(list)
    for waiting, outcome in zip(group, outcomes, strict=True):
        by_loop[waiting.future.get_loop()].append((waiting.future, outcome))
    for loop, settled in by_loop.items():
        with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more, and the write stands.
            loop.call_soon_threadsafe(_resolve, settled)


def _resolve(settled: Sequence[tuple["asyncio.Future[Any]", Outcome]]) -> None:
    for future, (result, error) in settled:
        if future.done():  # The caller was cancelled; the write stands all the same.
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

"""The owner's end of a run: events become rows, in order and in few transactions."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from budflow.errors import BudflowError
from budflow.execution.ports import ExecutionStore
from budflow.execution.records import JournalWrite, OpenWait, Rest, Signal, Snapshot
from budflow.model import event as e
from budflow.model.credential import CredentialUse
from budflow.model.execution import Claim, Execution, ExecutionEnded, Status
from budflow.model.failure import Failure
from budflow.model.journal import encode

LINGER_SECONDS = 0.02

Child = tuple[Execution, tuple[e.StoredEvent, ...]]


class JournalClosed(BudflowError):
    """The server let this execution go before it ended; it stays unfinished in the store."""

    code = "execution.let_go"
    http_status = 503
    hint = "The server is shutting down. The execution's state can be read once a server runs again."


@dataclass(slots=True)
class _Beside:
    """What is written in the same transaction as the events, and is none of them."""

    admission: Execution | None = None
    children: list[Child] = field(default_factory=list)
    opened: list[OpenWait] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    consumed: list[str] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    static: dict[str, Any] = field(default_factory=dict)
    uses: list[CredentialUse] = field(default_factory=list)


class Journal:
    """Buffers what a run appends; one write at a time a journal, all journals share the store's group commit.

    `admission` is the execution's own row when this journal is to insert it, together with the first events. When a
    write fails the journal is broken for good, since a gap must never be written over: `on_break` is told, further
    events are dropped and every commit raises what broke it. `on_stored` is told of every write, and whether it was the
    last one for now.
    """

    def __init__(
        self,
        store: ExecutionStore,
        claim: Claim,
        *,
        next_seq: int = 0,
        admission: Execution | None = None,
        on_break: Callable[[], object] | None = None,
        on_stored: Callable[[bool], object] | None = None,
    ) -> None:
        self._store, self._claim, self._seq = store, claim, next_seq
        self._beside = _Beside(admission)
        self._on_break, self._on_stored = on_break, on_stored
        self._stored = next_seq  # Everything before this is durable.
        self._buffer: list[e.StoredEvent] = []
        self._end: e.Finished | None = None
        self._writing: asyncio.Future[None] | None = None
        self._linger: asyncio.TimerHandle | None = None
        self.broken: Exception | None = None

    def append(self, *events: e.Event) -> None:
        """See Link. Raises ExecutionEnded after the last event."""
        for event in events:
            if self._end is not None:
                raise ExecutionEnded(f"{event.TYPE} came after the end.")
            if self.broken is not None:
                self._seq += 1  # It is dropped, and a commit of it is to fail.
                continue
            self._buffer.append(encode(self._seq, event))
            self._seq += 1
            if isinstance(event, e.Finished):
                self._end = event
        if self._linger is None and self._beside.admission is None and self._end is None and self.broken is None:
            # What no one waits for is written soon all the same; an execution that is not admitted yet stays unseen.
            self._linger = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._lingered)

    def add_child(self, child: Child, event: e.ChildStarted) -> None:
        """Insert a child execution in the same transaction as the event that names it."""
        self.append(event)
        self._beside.children.append(child)

    def admit_with_end(self, child: Child) -> None:
        """Insert another execution in the transaction that ends this one."""
        self._beside.children.append(child)

    def open_wait(self, wait: OpenWait) -> None:
        """Somebody may answer from now on; written with the event that says so, as are the next three."""
        self._beside.opened.append(wait)
        if self._beside.admission is not None:
            self.flush()  # What somebody may answer must be seen.

    def close_wait(self, key: str) -> None:
        """Nobody may answer any more."""
        if any(wait.key == key for wait in self._beside.opened):
            self._beside.opened = [wait for wait in self._beside.opened if wait.key != key]
        else:
            self._beside.closed.append(key)

    def consume(self, key: str) -> None:
        """What this signal brought is journaled."""
        self._beside.consumed.append(key)

    def keep_static(self, changed: Mapping[str, Any]) -> None:
        """Replace static data of the workflow."""
        self._beside.static.update(changed)

    def note_use(self, use: CredentialUse) -> None:
        """A node was given a credential."""
        self._beside.uses.append(use)

    def send(self, signal: Signal) -> None:
        """Tell another execution."""
        self._beside.signals.append(signal)

    def flush(self) -> None:
        """See Link."""
        if self._writing is None and self.broken is None and self._buffer:
            task = asyncio.get_running_loop().create_task(self._write())
            task.add_done_callback(_seen)
            self._writing = task

    async def commit(self) -> None:
        """See Link."""
        wanted = self._seq
        while self._stored < wanted:
            if self.broken is not None:
                raise self.broken
            self.flush()
            if self._writing is not None:
                await asyncio.shield(self._writing)

    async def finish(self, rest: Rest | None = None) -> None:
        """Commit, without a task for it: for the one who waits for the end, and is cancelled only to let all go.

        With `rest` the execution is given back, and nothing can be written by this journal afterwards.
        """
        while self._writing is not None:
            await asyncio.shield(self._writing)
        if self.broken is not None:
            raise self.broken
        if self._buffer or rest is not None:
            written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._writing = written
            try:
                await self._write(rest)
            finally:
                written.set_result(None)
        if rest is not None:
            self._break(JournalClosed())

    async def save(self, snapshot: Snapshot) -> None:
        """Store a snapshot of what was appended before its `seq`, once that is durable; see ExecutionStore."""
        if self._stored < snapshot.seq:
            await self.commit()
        await self._store.put_snapshot(self._claim, snapshot)

    @property
    def next_seq(self) -> int:
        """The number of the event that is appended next."""
        return self._seq

    @property
    def unseen(self) -> bool:
        """Whether nothing of the execution is stored, nor on its way to the store."""
        return self._beside.admission is not None and self._writing is None

    @property
    def has_uses(self) -> bool:
        """Whether a use of a credential is still to be written."""
        return bool(self._beside.uses)

    def discard(self) -> None:
        """Forget an execution that is `unseen`, as if it had never been."""
        self._break(JournalClosed())

    def close(self) -> None:
        """Write nothing more; whoever still commits gets JournalClosed, unless the end is stored."""
        if self.broken is None and (self._end is None or self._stored < self._seq):
            self._break(JournalClosed())

    def _lingered(self) -> None:
        self._linger = None
        self.flush()

    async def _write(self, rest: Rest | None = None) -> None:
        if self.broken is not None:  # Closed before this had its first turn.
            self._writing = None
            return
        end, beside = self._end, self._beside
        write = JournalWrite(
            claim=self._claim,
            events=tuple(self._buffer),
            admission=beside.admission,
            status=_status_of(end),
            failure=_failure_of(end),
            children=tuple(beside.children),
            opened=tuple(beside.opened),
            closed=tuple(beside.closed),
            consumed=tuple(beside.consumed),
            signals=tuple(beside.signals),
            static=beside.static,
            uses=tuple(beside.uses),
            rest=rest,
        )
        self._buffer, self._beside = [], _Beside()
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        try:
            await self._store.append(write)
            self._stored += len(write.events)
        except GeneratorExit:
            raise  # The event loop is gone, and everybody who could be told with it.
        except BaseException as error:
            self._break(error if isinstance(error, Exception) else JournalClosed())
            if self._on_break is not None:
                self._on_break()
            raise
        finally:
            self._writing = None
        if self._on_stored is not None:
            self._on_stored(end is not None or rest is not None)
        if self._buffer and self._linger is None:
            self._linger = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._lingered)

    def _break(self, error: Exception) -> None:
        self.broken = error
        self._buffer, self._beside = [], _Beside()
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None


def _status_of(end: e.Finished | None) -> Status | None:
    return None if end is None else end.status


def _failure_of(end: e.Finished | None) -> Failure | None:
    return None if end is None else end.failure


def _seen(task: asyncio.Task[None]) -> None:
    # A flush that nobody waits for may fail; the next commit of this journal, which somebody does, fails as well.
    if not task.cancelled():
        task.exception()

"""The owner's end of a run: events become rows, in order and in few transactions, and are told to who waits."""

import asyncio
from collections.abc import Callable

from budflow.errors import BudflowError
from budflow.execution.ports import ChildCall, ExecutionStore, JournalWrite
from budflow.model import event as e
from budflow.model.execution import Claim, Execution, Status
from budflow.model.failure import Failure
from budflow.model.journal import encode

LINGER_SECONDS = 0.02

OnEvent = Callable[[e.Event], None]
OnCall = Callable[[ChildCall], None]
OnCancelCall = Callable[[str, int], None]
Child = tuple[Execution, tuple[e.StoredEvent, ...]]


class Journal:
    """Buffers what a run appends; one write at a time a journal, all journals share the store's group commit.

    `admission` is the execution's own row when this journal is to insert it, together with the first events.
    """

    def __init__(
        self,
        store: ExecutionStore,
        claim: Claim,
        *,
        next_seq: int,
        admission: Execution | None,
        on_event: OnEvent,
        on_call: OnCall,
        on_cancel_call: OnCancelCall,
    ) -> None:
        self._store, self._claim, self._seq, self._admission = store, claim, next_seq, admission
        self._on_event, self._on_call, self._on_cancel_call = on_event, on_call, on_cancel_call
        self._buffer: list[e.StoredEvent] = []
        self._children: list[Child] = []
        self._status: Status | None = None
        self._failure: Failure | None = None
        self._writing: asyncio.Task[None] | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._broken: Exception | None = None

    def append(self, *events: e.Event) -> None:
        """See Link."""
        for event in events:
            self._buffer.append(encode(self._seq, event))
            self._seq += 1
            if isinstance(event, e.Finished):
                self._status, self._failure = event.status, event.failure
            self._on_event(event)
        if self._linger is None and self._admission is None:
            # What no one waits for is written soon all the same; an execution that is not admitted yet stays unseen.
            self._linger = asyncio.get_running_loop().call_later(LINGER_SECONDS, self.flush)

    def add_child(self, child: Child, event: e.ChildStarted) -> None:
        """Insert a child execution in the same transaction as the event that names it."""
        self._children.append(child)
        self.append(event)

    def call(self, call: ChildCall) -> None:
        """See Link."""
        self._on_call(call)

    def cancel_call(self, node: str, call: int) -> None:
        """See Link."""
        self._on_cancel_call(node, call)

    def flush(self) -> None:
        """See Link."""
        if self._writing is None and self._broken is None and (self._buffer or self._children):
            self._writing = asyncio.get_running_loop().create_task(self._write())
            self._writing.add_done_callback(_seen)

    async def commit(self) -> None:
        """See Link."""
        while self._buffer or self._children or self._writing is not None or self._broken is not None:
            if self._broken is not None:
                raise self._broken  # A gap in a journal must never be written over.
            if self._writing is None:
                self.flush()
            # A caller that is cancelled leaves the write alone: others wait for it too.
            await asyncio.shield(self._writing)  # type: ignore[arg-type] # flush has set it

    async def _write(self) -> None:
        write = JournalWrite(
            claim=self._claim,
            events=tuple(self._buffer),
            admission=self._admission,
            status=self._status,
            failure=self._failure,
            children=tuple(self._children),
        )
        self._buffer, self._children, self._admission, self._status = [], [], None, None
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        try:
            await self._store.append(write)
        except BudflowError as error:
            self._broken = error
            raise
        finally:
            self._writing = None


def _seen(task: asyncio.Task[None]) -> None:
    # A flush that nobody waits for may fail; the next commit of this journal, which somebody does, fails as well.
    if not task.cancelled():
        task.exception()

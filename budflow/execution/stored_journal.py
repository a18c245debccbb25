"""What the store has of an execution that is taken up: its journal, or a snapshot of it and what came after that."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from budflow.execution.ports import ExecutionStore
from budflow.execution.saved_execution import SavedExecution, unpack_saved
from budflow.execution.saved_run import SavedRunUnreadable, unpack
from budflow.execution.state import State
from budflow.execution.unfit import unfit
from budflow.graph.plan import Plan
from budflow.log import get_log
from budflow.model import event as e
from budflow.model.execution import Execution
from budflow.model.journal import decode
from budflow.model.journal_row import check_order, missing

EVENTS_PAGE = 5_000

log = get_log(__name__)


@dataclass(frozen=True, slots=True)
class StoredJournal:
    """Rows as they are stored, whatever became of them: `events` says whether they can be read.

    With a snapshot (`saved`, and its `state` of the core) they are the first row, and those behind the first
    `summed_up` rows, which the snapshot tells of.
    """

    rows: Sequence[e.StoredEvent]
    summed_up: int = 0
    saved: SavedExecution | None = None
    state: State | None = None

    @property
    def next_seq(self) -> int:
        """The number of the event that is written next."""
        return max(self.rows[-1].seq + 1 if self.rows else 0, self.summed_up if self.saved is not None else 0)

    def events(self) -> tuple[e.Event, ...]:
        """The rows as events. Raises EventUnreadable, also where one is missing, and EventOfNewerRelease."""
        if self.saved is None:
            check_order(self.rows, 0)
            if len(self.rows) < max(1, self.summed_up):
                raise missing(len(self.rows))
        else:
            check_order(self.rows[:1], 0)
            check_order(self.rows[1:], self.summed_up)
        return tuple(map(decode, self.rows))

    def check_nodes(self, events: Sequence[e.Event], plan: Plan) -> None:
        """Raise EventUnreadable where an event is of a node that the plan does not have."""
        for row, event in zip(self.rows, events, strict=True):
            node = event.trigger if isinstance(event, e.Admitted) else getattr(event, "node", None)
            if node is not None and node not in plan.index:
                raise unfit(event, row.seq)


async def read_stored(store: ExecutionStore, execution: Execution) -> StoredJournal:
    """The journal: its first event and what came after the snapshot, or all of it where there is none."""
    snapshot = await store.get_snapshot(execution.id)
    if snapshot is None:
        return StoredJournal(await _read_rows(store, execution, -1))
    try:
        saved, state = await asyncio.to_thread(_unpacked, snapshot.payload)
    except SavedRunUnreadable as error:
        log.info("snapshot.not_used", execution=execution.id, error=str(error))
        return StoredJournal(await _read_rows(store, execution, -1))
    first = await store.read_events(execution.project_id, execution.id, limit=1)
    rows = await _read_rows(store, execution, snapshot.seq - 2)
    if not rows or not first or rows[0].seq != snapshot.seq - 1:
        # The snapshot knows of more than there is: what was lost nobody can tell, and it must not be done again.
        return StoredJournal(await _read_rows(store, execution, -1), snapshot.seq)
    return StoredJournal([*first, *rows[1:]], snapshot.seq, saved, state)


async def _read_rows(store: ExecutionStore, execution: Execution, after: int) -> list[e.StoredEvent]:
    rows: list[e.StoredEvent] = []
    while True:
        page = await store.read_events(execution.project_id, execution.id, after=after, limit=EVENTS_PAGE)
        rows.extend(page)
        if len(page) < EVENTS_PAGE:
            return rows
        after = page[-1].seq


def _unpacked(payload: bytes) -> tuple[SavedExecution, State]:
    saved = unpack_saved(payload)
    return saved, unpack(saved.run, lambda items: items).state

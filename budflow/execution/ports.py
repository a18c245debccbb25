"""What executing needs from outside: the journal's store and a place to run. Adapters meet these by shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from budflow.errors import BudflowError
from budflow.execution.node_run import NodeResult, NodeRun
from budflow.graph.plan import Plan
from budflow.model.event import Event, StoredEvent
from budflow.model.execution import Claim, Execution, Place, Status
from budflow.model.failure import Failure
from budflow.model.item import ItemList
from budflow.model.workflow import VersionRecord, WorkflowRecord


class ExecutionBroken(BudflowError):
    """The engine failed while it advanced the execution."""

    code = "execution.broken"
    http_status = 500
    hint = "This is a fault of the server, not of the workflow; the server's log has the traceback."


@dataclass(frozen=True, slots=True)
class JournalWrite:
    """Everything one execution writes in one transaction: all of it or nothing.

    `admission` inserts the execution's own row, already leased to `claim.runner` with `claim.token`; without it the
    row must exist and still carry the claim's token. `events` follow the journal without a gap. `status` is the new
    status of the row, `failure` goes with `failed`; `finished_at` and `started_at` of the row are taken from the
    times of the `execution.finished` and `execution.started` events. `children` are inserted as `queued` with their
    own first events.
    """

    claim: Claim
    events: tuple[StoredEvent, ...]
    admission: Execution | None = None
    status: Status | None = None
    failure: Failure | None = None
    children: tuple[tuple[Execution, tuple[StoredEvent, ...]], ...] = ()


class ExecutionStore(Protocol):
    """The executions and their journals, the truth about what ran."""

    async def admit(self, execution: Execution, events: Sequence[StoredEvent]) -> None:
        """Insert a `queued` execution with its first events; durable when this returns."""
        ...

    async def claim(self, runner: str, *, limit: int) -> list[tuple[Claim, Execution]]:
        """Lease up to `limit` queued executions to `runner`: by priority, then oldest first; status becomes `running`.

        Each claim carries a fencing token that is higher than any that the execution ever had.
        """
        ...

    async def append(self, write: JournalWrite) -> None:
        """Write to one journal; durable when this returns.

        Raises ClaimLost when the row carries another token or is terminal: nothing of the write is stored, and the
        other writes that shared its transaction are.
        """
        ...

    async def get_execution(self, project_id: str, execution_id: str) -> Execution | None: ...

    async def read_events(
        self, project_id: str, execution_id: str, *, after: int = -1, limit: int = 10_000
    ) -> list[StoredEvent]:
        """Events with `seq` greater than `after`, in order; none when the execution is unknown in this project."""
        ...

    async def request_cancel(self, project_id: str, execution_id: str, ended: StoredEvent) -> Execution | None:
        """Set `cancelling`; a `queued` execution ends as `cancelled` at once, with `ended` appended (seq is set here).

        Returns the row after the change, unchanged where it was already terminal; None when there is no such execution.
        """
        ...

    async def cancelling(self, runner: str) -> list[str]:
        """The ids of the executions leased to `runner` that somebody wants cancelled."""
        ...

    async def count_queued(self) -> int:
        """How many executions wait to be claimed."""
        ...


@dataclass(frozen=True, slots=True)
class ChildCall:
    """A node asks for another workflow to run with these items; answered by a ChildFinished event."""

    node: str
    call: int
    workflow_id: str
    version: int | None
    items: ItemList


class Link(Protocol):
    """What ties a run to its journal, wherever the run is: beside the store, or in a Ray actor far from it."""

    def append(self, *events: Event) -> None:
        """Add to the journal; durable at the next commit, and some milliseconds later in any case.

        Raises EventUnwritable, with nothing added, when the first event holds what JSON cannot.
        """
        ...

    async def commit(self) -> None:
        """Wait until all that was appended is durable. Raises ClaimLost when this runner may not write any more.

        A caller that is cancelled leaves the write alone.
        """
        ...

    def flush(self) -> None:
        """Begin to write what was appended, without waiting for it."""
        ...

    def call(self, call: ChildCall) -> None:
        """Ask for a child execution; its start is journaled, its end is delivered to the run."""
        ...

    def cancel_call(self, node: str, call: int) -> None:
        """Ask for a child execution to be cancelled; its end is delivered all the same."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """One execution to be advanced from its events so far. `document` is the stored workflow, for who must compile."""

    execution: Execution
    document: Mapping[str, Any]
    plan: Plan
    events: tuple[Event, ...]


class Running(Protocol):
    """An execution that is being advanced somewhere."""

    def deliver(self, event: Event) -> None:
        """Hand in what came from outside: the end of a child, a request to cancel."""
        ...

    async def wait(self) -> None:
        """Until it has ended (its last event is appended, not yet committed). Raises what broke the runner itself.

        A BudflowError leaves the execution unfinished, for another runner to go on with; ExecutionBroken, and what is
        no BudflowError at all, would only happen again. To be called once: cancelling it gives the work up.
        """
        ...


class Heavy(Protocol):
    """Where heavy segments run: other processes of this machine, or Ray tasks."""

    async def run(self, work: Work, run: NodeRun) -> tuple[NodeResult, Place]:
        """Run one node elsewhere, as `run_node` would here, and say where. Cancelling this stops it there."""
        ...


class VersionSource(Protocol):
    """Where the documents of workflows come from."""

    async def get_workflow(self, project_id: str, workflow_id: str) -> WorkflowRecord | None: ...

    async def get_version(self, project_id: str, workflow_id: str, version: int) -> VersionRecord | None: ...


class Executor(Protocol):
    """A place where executions are advanced."""

    name: str

    def start(self, work: Work, link: Link) -> Running: ...

    def status(self) -> Mapping[str, Any]:
        """What it uses, for `budflow status`."""
        ...

    async def close(self) -> None: ...

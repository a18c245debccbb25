"""What the engine and the store count of their work. Nobody need read it: then it is a few numbers in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.execution import Execution
from budflow.model.figures import LONG_SECONDS, NUMBERS, Counts, Spread, Spreads


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """Of the executions that this process advances, wherever their nodes run.

    `started` is by mode, `ended` by status and mode; `node_runs` by node type and outcome, as they are journaled.
    `claims` are the seconds that a look for something due took, `claimed` how many executions it brought, and
    `dead_runners` how many runners this one found dead.
    """

    started: Counts = field(default_factory=Counts)
    ended: Counts = field(default_factory=Counts)
    node_runs: Counts = field(default_factory=Counts)
    node_seconds: Spreads = field(default_factory=lambda: Spreads(LONG_SECONDS))
    claims: Spread = field(default_factory=Spread)
    claimed: Counts = field(default_factory=Counts)
    dead_runners: Counts = field(default_factory=Counts)

    def note_start(self, execution: Execution, events: Sequence[e.Event]) -> None:
        """An execution is taken up; one that was before, as its events say, does not count again."""
        if events and not any(isinstance(event, e.Started) for event in events):
            self.started.add(execution.mode)

    def note_end(self, execution: Execution, status: str) -> None:
        """An execution has ended, and that is durable."""
        self.ended.add(status, execution.mode)

    def note_node(self, plan: Plan, event: e.NodeFinished | e.NodeFailed | e.NodeCancelled) -> None:
        """A node ran, or was stopped."""
        type_name = plan.nodes[plan.index[event.node]].spec.name
        if isinstance(event, e.NodeCancelled):
            self.node_runs.add(type_name, "cancelled")
            return
        self.node_runs.add(type_name, "finished" if isinstance(event, e.NodeFinished) else "failed")
        self.node_seconds.add((event.at - event.started_at).total_seconds(), type_name)


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """Of a store: its commits of journals, with how many writes each had, and the lease of this process.

    `leases` is by what became of it: `renewed`, `lost` (others may have taken over), `interrupted`.
    """

    commits: Spread = field(default_factory=Spread)
    group_sizes: Spread = field(default_factory=lambda: Spread(NUMBERS))
    leases: Counts = field(default_factory=Counts)

    def note_commit(self, writes: int, seconds: float) -> None:
        """A transaction with so many writes is durable."""
        self.commits.add(seconds)
        self.group_sizes.add(writes)

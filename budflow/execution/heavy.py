"""Where what takes long is computed: other processes of this machine, or Ray tasks. Adapters meet this by shape."""

from typing import Protocol

from budflow.execution.node_result import NodeResult, NodeRun
from budflow.execution.ports import Work
from budflow.model.execution import Place


class Heavy(Protocol):
    """Where heavy segments run, and chunks of rounds that take long: other processes of this machine, or Ray tasks."""

    async def run(self, work: Work, run: NodeRun) -> tuple[NodeResult, Place]:
        """Run one node elsewhere, as `run_node` would here, and say where. Cancelling this stops it there."""
        ...

    async def run_rounds(self, work: Work, chunk: bytes) -> bytes:
        """Run packed rounds elsewhere (budflow.execution.rounds_segment). Cancelling this stops them there.

        Raises a NodeError where who ran them is lost; they may have been run, and may be run again.
        """
        ...

    @property
    def width(self) -> int:
        """How many of them it runs at a time, as far as it knows."""
        ...

    @property
    def start_seconds(self) -> float:
        """After how long something can begin there now: 0 once processes run that have opened their tools."""
        ...

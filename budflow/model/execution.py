"""Executions: one run of one version, who may advance it (the claim) and where its parts ran (the place)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from budflow.errors import BudflowError
from budflow.model.failure import Failure

Status = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]
Mode = Literal["webhook", "api", "mcp", "cli", "child"]
TERMINAL: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Parent:
    """The node of another execution that called this one; `depth` counts the calls above (1 for a direct child)."""

    execution_id: str
    node: str
    call: int
    depth: int


@dataclass(frozen=True, slots=True)
class Execution:
    """The row of an execution: what lists and claims need. All else is the fold of its journal."""

    id: str
    project_id: str
    workflow_id: str
    version: int
    mode: Mode
    status: Status
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancelling: bool = False
    priority: int = 0
    parent: Parent | None = None
    runner: str | None = None
    token: int = 0
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A runner's right to advance one execution.

    `token` is the fencing token: it only grows, and who holds an older one cannot write.
    """

    execution_id: str
    runner: str
    token: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where something ran."""

    executor: Literal["inprocess", "ray"]
    host: str
    pid: int
    actor: str | None = None
    ray_node: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The shape in the journal and in answers: only what is set."""
        shape: dict[str, Any] = {"executor": self.executor, "host": self.host, "pid": self.pid}
        if self.actor is not None:
            shape["actor"] = self.actor
        if self.ray_node is not None:
            shape["ray_node"] = self.ray_node
        return shape


class ExecutionNotFound(BudflowError):
    """No execution has this id."""

    code = "execution.not_found"
    http_status = 404
    hint = "List those you may see with `list_executions` or `budflow execution list`."


class ExecutionEnded(BudflowError):
    """The execution has already ended; terminal states never change."""

    code = "execution.ended"
    http_status = 409
    hint = "Start a new execution instead."


class ClaimLost(BudflowError):
    """Another runner holds this execution now."""

    code = "execution.claim_lost"
    http_status = 409
    hint = "Drop the work: whoever holds the newer token goes on from the journal."


class QueueFull(BudflowError):
    """The queue of executions is full."""

    code = "execution.queue_full"
    http_status = 503
    hint = "Send it again after the seconds in `Retry-After`."

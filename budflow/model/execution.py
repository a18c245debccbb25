"""Executions: one run of one version, who may advance it (the claim) and where its parts ran (the place)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from budflow.errors import BudflowError
from budflow.model.failure import Failure
from budflow.model.sandbox import Isolation

Status = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]
EndStatus = Literal["succeeded", "failed", "cancelled"]
#: Why an execution is `waiting`: nothing of it computes, and it needs no process until something comes. With `upgrade`
#: that is a server of a newer release, which wrote events that this one does not know.
WaitReason = Literal["timer", "webhook", "form", "approval", "child", "limit", "paused", "ask", "upgrade"]
Mode = Literal["webhook", "api", "mcp", "cli", "child", "error", "schedule"]
TERMINAL: frozenset[str] = frozenset(get_args(EndStatus))
#: What may become of an execution whose group (`limit_key`) is full.
LimitPolicy = Literal["queue", "drop", "cancel_oldest"]


@dataclass(frozen=True, slots=True)
class Parent:
    """The node of another execution that called this one; `depth` counts the calls above (1 for a direct child).

    `node` is the node's path. One that is not `awaited` was called to go on by itself: nobody is told of its end.
    """

    execution_id: str
    node: str
    call: int
    depth: int
    awaited: bool = True


@dataclass(frozen=True, slots=True)
class Origin:
    """The execution that this one repeats: a `retry` goes on where it failed, a `fork` runs again from `node` on."""

    execution_id: str
    kind: Literal["retry", "fork"]
    node: str | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """The group that an execution counts in: at most `running_max` of those with the same `key` run or wait at once."""

    key: str
    running_max: int
    policy: LimitPolicy = "queue"


@dataclass(frozen=True, slots=True)
class Execution:
    """The row of an execution: what lists and claims need. All else is the fold of its journal.

    `waiting` and `wake_at` are set while the status is `waiting`; `wake_at` None means that only a signal wakes it.
    `takeovers` counts how often it was taken from a dead runner since it last made progress. `scope` is set where the
    idempotency keys of its nodes are another execution's. `traceparent` is the value of W3C's header.
    """

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
    waiting: WaitReason | None = None
    wake_at: datetime | None = None
    takeovers: int = 0
    origin: Origin | None = None
    scope: str | None = None
    limit: Limit | None = None
    traceparent: str | None = None

    @property
    def effect_scope(self) -> str:
        """What idempotency keys are made from: its own id, unless it goes on for another."""
        return self.scope or self.id


@dataclass(frozen=True, slots=True)
class Claim:
    """A runner's right to advance one execution.

    `token` is the fencing token: it only grows, and who holds an older one cannot write.
    """

    execution_id: str
    runner: str
    token: int


#: What a runner is part of: a server, `budflow worker`, or an actor on Ray.
RunnerKind = Literal["main", "worker", "ray"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something ran. Of a node that ran an author's code, `isolation` and `image` are those of its sandbox."""

    executor: Literal["inprocess", "ray"]
    host: str
    pid: int
    actor: str | None = None
    ray_node: str | None = None
    isolation: Isolation | None = None
    image: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The shape in the journal and in answers: only what is set."""
        shape: dict[str, Any] = {"executor": self.executor, "host": self.host, "pid": self.pid}
        if self.actor is not None:
            shape["actor"] = self.actor
        if self.ray_node is not None:
            shape["ray_node"] = self.ray_node
        if self.isolation is not None:
            shape["isolation"] = self.isolation
        if self.image:
            shape["image"] = self.image
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


class LimitReached(BudflowError):
    """As many executions as the workflow allows are under way, and its policy is to drop what comes beyond them."""

    code = "execution.limit_reached"
    http_status = 429
    hint = "Send it again later, or set `settings.concurrency_policy` to `queue`."


class KeyReused(BudflowError):
    """The idempotency key was used before, with another request."""

    code = "execution.key_reused"
    http_status = 409
    hint = "Use a new key for a new request; a repetition must be equal to the first request."


class KeyKnown(BudflowError):
    """The idempotency key was used before, with the same request."""

    code = "execution.key_known"
    http_status = 409
    hint = "The first request's execution stands in `execution_id`."


class SlotFired(BudflowError):
    """The slot of the schedule has started an execution already."""

    code = "schedule.slot_fired"
    http_status = 409
    hint = "That execution stands in `execution_id`; a slot starts only one."


class SlotSettled(BudflowError):
    """The slot is settled, or its schedule is not armed any more as it was."""

    code = "schedule.slot_settled"
    http_status = 409
    hint = "Look at the schedule again: somebody else saw to it, or the workflow was published anew or unpublished."


class WaitClosed(BudflowError):
    """Nothing waits for this any more: it was answered before, ran out of time or was cancelled."""

    code = "wait.closed"
    http_status = 409
    hint = "Look at the execution: its waits and its status say what became of it."


class QueueFull(BudflowError):
    """The queue of executions is full."""

    code = "execution.queue_full"
    http_status = 503
    hint = "Send it again after the seconds in `Retry-After`."

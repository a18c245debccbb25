"""Executions that others call: admitted in the caller's journal, cancelled with it, told to it at their end."""

import asyncio
from typing import Protocol

from budflow.errors import BudflowError
from budflow.execution.held import Held, Spawn
from budflow.execution.plans import PlanCache
from budflow.execution.ports import ChildCall, ExecutionBroken
from budflow.graph.plan import Plan
from budflow.log import get_log
from budflow.model import event as e
from budflow.model.execution import Execution, Parent
from budflow.model.failure import Failure, NodeError
from budflow.model.identity import new_id, utc_now
from budflow.model.item import EMPTY, ItemList
from budflow.model.journal import encode
from budflow.model.workflow import VersionRecord

CALL_DEPTH_MAX = 32

log = get_log(__name__)


class CallTooDeep(NodeError):
    """Workflows call each other too deeply."""

    code = "workflow.call_too_deep"
    hint = f"At most {CALL_DEPTH_MAX} levels are allowed; look for a workflow that calls itself."


class Launch(Protocol):
    """Begin to advance an execution whose first event is stored."""

    def __call__(self, execution: Execution, version: VersionRecord, plan: Plan, admitted: e.Admitted) -> Held: ...


class Children:
    """The calls of all executions of one owner."""

    def __init__(self, plans: PlanCache, runner: str, launch: Launch, spawn: Spawn) -> None:
        self._plans, self._runner, self._launch, self._spawn = plans, runner, launch, spawn

    def call(self, parent: Held, call: ChildCall) -> None:
        """Start a child; its end is delivered to the parent, also when it never comes to run."""
        self._spawn(self._see_through(parent, call))

    def cancel(self, parent: Held, node: str, number: int) -> None:
        """Cancel a child, or see to it that it is cancelled as soon as it has started."""
        parent.cancelled_calls.add((node, number))
        child = parent.children.get((node, number))
        if child is not None:
            self._deliver_cancel(parent, child)

    async def _see_through(self, parent: Held, call: ChildCall) -> None:
        try:
            child = await self._start(parent, call)
        except Exception as error:  # noqa: BLE001 - the worker's loop: the parent must not wait for ever
            failure = Failure.of(_told(error), call.node)
            finished = e.ChildFinished(utc_now(), call.node, call.call, "failed", EMPTY, failure)
        else:
            await asyncio.wait([child.ended])
            finished = _end_of(child, call)
            del parent.children[call.node, call.call]
        parent.deliver(finished)

    async def _start(self, parent: Held, call: ChildCall) -> Held:
        above = parent.execution
        depth = above.parent.depth + 1 if above.parent is not None else 1
        if depth > CALL_DEPTH_MAX:
            raise CallTooDeep
        version, plan = await self._plans.get_to_run(above.project_id, call.workflow_id, call.version)
        now = utc_now()
        execution = Execution(
            id=new_id("exe"),
            project_id=above.project_id,
            workflow_id=call.workflow_id,
            version=version.version,
            mode="child",
            status="running",
            created_at=now,
            started_at=now,
            priority=above.priority,
            parent=Parent(above.id, call.node, call.call, depth),
            runner=self._runner,
            token=1,
        )
        items = ItemList(call.items.items, [-1] * len(call.items))
        admitted = e.Admitted(now, plan.trigger(None).key, "child", f"execution:{above.id}", items, execution.parent)
        parent.journal.add_child(
            (execution, (encode(0, admitted),)),
            e.ChildStarted(now, call.node, call.call, execution.id, call.workflow_id),
        )
        await parent.journal.commit()
        child = self._launch(execution, version, plan, admitted)
        parent.children[call.node, call.call] = child
        if (call.node, call.call) in parent.cancelled_calls:
            self._deliver_cancel(parent, child)
        return child

    def _deliver_cancel(self, parent: Held, child: Held) -> None:
        child.deliver(e.CancelRequested(utc_now(), f"execution:{parent.execution.id}"))


def _end_of(child: Held, call: ChildCall) -> e.ChildFinished:
    """The child's end as the parent sees it: the same code, with the way down to where it happened."""
    broken, finished = child.ended.exception(), child.finished
    if finished is not None and broken is None and finished.status == "succeeded":
        return e.ChildFinished(utc_now(), call.node, call.call, "succeeded", child.result())
    if broken is not None or finished is None:
        failure = (
            Failure.of(broken, call.node)
            if isinstance(broken, BudflowError)
            else Failure.of(ExecutionBroken(), call.node)
        )
        status: e.EndStatus = "failed"
    else:
        failure = finished.failure or Failure("execution.cancelled", "The called execution was cancelled.")
        status = finished.status
    where = f" at `{failure.node}`" if failure.node else ""
    message = f"In `{child.plan.name}` ({child.execution.id}){where}: {failure.message}"
    failure = Failure(failure.code, message, failure.hint, call.node, failure.retriable)
    return e.ChildFinished(utc_now(), call.node, call.call, status, EMPTY, failure)


def _told(error: BaseException | None) -> BudflowError:
    if isinstance(error, BudflowError):
        return error
    log.error("child.broken", exc_info=error)
    return ExecutionBroken()

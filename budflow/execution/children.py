"""Executions that others bring about: called by a node, or run because one failed; and what their caller is told.

A child is admitted in its caller's journal, and begun here or left in the queue for any runner: see Spread. Its end is
a signal to the caller, written in the transaction that ends the child: wherever and whenever the caller is taken up
again, it hears of it.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Protocol

from budflow.errors import BudflowError
from budflow.execution.held import CallKey, ErrorRun, Held, Spawn
from budflow.execution.journal import Child
from budflow.execution.limits import limit_of
from budflow.execution.plans import PlanCache
from budflow.execution.ports import ChildCall, ExecutionBroken
from budflow.execution.spread import Spread
from budflow.graph.plan import Plan, PlanNode
from budflow.log import get_log
from budflow.model import event as e
from budflow.model.execution import Execution, Parent
from budflow.model.failure import Failure, NodeError
from budflow.model.identity import new_id, utc_now
from budflow.model.item import EMPTY, Item, ItemList
from budflow.model.joined import made_from
from budflow.model.journal import encode
from budflow.model.path import parse_path, path_of
from budflow.model.traceparent import traceparent_of
from budflow.model.workflow import VersionRecord
from budflow.nodes.trigger.manual import ManualParams, checked_items

CALL_DEPTH_MAX = 32
ERROR_TRIGGER = "trigger.error"
CUT = "… "
_LEVEL = re.compile(r"In `[^`]*` \(exe_\w+\)(?: at `[^`]*`)?: ")

log = get_log(__name__)


class CallTooDeep(NodeError):
    """Workflows call each other too deeply."""

    code = "workflow.call_too_deep"
    hint = f"At most {CALL_DEPTH_MAX} levels are allowed; look for a workflow that calls itself."


class CallCycle(NodeError):
    """A workflow calls itself, directly or through others."""

    code = "workflow.call_cycle"
    hint = "Repeat with `flow.while` or `flow.for_each` instead, or call another workflow."


class Launch(Protocol):
    """Begin to advance an execution whose first event is stored."""

    async def __call__(
        self, execution: Execution, version: VersionRecord, plan: Plan, admitted: e.Admitted
    ) -> Held: ...


class Cancel(Protocol):
    """Cancel an execution, wherever it is."""

    async def __call__(self, project_id: str, execution_id: str, by: str) -> Execution | None: ...


class Children:
    """The calls of all executions of one owner."""

    def __init__(
        self,
        plans: PlanCache,
        runner: str,
        launch: Launch,
        cancel: Cancel,
        spawn: Spawn,
        look: Callable[[], None],
        stored: Callable[[str], AbstractContextManager[None]],
        spread: Spread,
        surroundings: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._plans, self._runner, self._launch, self._cancel = plans, runner, launch, cancel
        self._spawn, self._look, self._stored, self._spread = spawn, look, stored, spread
        self._surroundings = surroundings

    def call(self, parent: Held, call: ChildCall) -> None:
        """Start a child; one that cannot be started is told to the parent as having failed."""
        self._spawn(self._start_or_tell(parent, call))

    def cancel(self, parent: Held, key: CallKey) -> None:
        """Cancel a child, or see to it that it is cancelled as soon as it has started."""
        parent.cancelled_calls.add(key)
        child = parent.calls.get(key)
        if child is not None:
            self._spawn(self._cancel_one(parent, child.execution_id))

    async def prepare_error_workflow(self, execution: Execution, plan: Plan) -> ErrorRun | None:
        """What is to run when an execution fails: everything about it but the failure. None where nothing is."""
        wanted = plan.settings.error_workflow
        if wanted is None or execution.mode == "error":
            return None
        try:
            version, error_plan = await self._plans.get_to_run(execution.project_id, wanted)
            trigger = error_plan.trigger(None, ERROR_TRIGGER)
        except BudflowError as error:
            if error.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
                raise  # That may pass; without it nobody would ever hear of a failure.
            log.warning("error_workflow.unusable", workflow=wanted, execution=execution.id, error=str(error))
            return None
        now = utc_now()
        told = {
            "execution": {
                "id": execution.id,
                "workflow_id": execution.workflow_id,
                "workflow_name": plan.name,
                "version": execution.version,
                "mode": execution.mode,
            }
        }
        follower_id = new_id("exe")
        follower = Execution(
            id=follower_id,
            project_id=execution.project_id,
            workflow_id=wanted,
            version=version.version,
            mode="error",
            status="queued",
            created_at=now,
            priority=error_plan.settings.priority,
            traceparent=traceparent_of(follower_id, execution.traceparent),
        )
        items = ItemList.of([told])
        try:
            follower = replace(follower, limit=limit_of(error_plan, follower, items, self._surroundings))
        except BudflowError as error:
            log.warning("error_workflow.unlimited", workflow=wanted, execution=execution.id, error=str(error))
        return ErrorRun(follower, e.Admitted(now, trigger.key, "error", f"execution:{execution.id}", items))

    async def _start_or_tell(self, parent: Held, call: ChildCall) -> None:
        key = (path_of(call.node, call.rounds), call.call)
        try:
            await self._start(parent, call)
            if not call.awaited:
                parent.calls.pop(key, None)  # Nobody is told of its end, with which the others go.
        except Exception as error:  # noqa: BLE001 - the worker's loop: the parent must not wait for ever
            if key in parent.calls:
                return  # It is stored, or the parent's journal broke over that: either is taken up again.
            if isinstance(error, BudflowError) and error.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
                parent.give_up()  # Taken up again, it calls again.
                return
            failure = Failure.of(_told(error), key[0])
            now = utc_now()
            parent.deliver(e.ChildFinished(now, call.node, call.call, "failed", EMPTY, failure, call.rounds))

    async def _start(self, parent: Held, call: ChildCall) -> None:
        above = parent.execution
        depth = above.parent.depth + 1 if above.parent is not None else 1
        if depth > CALL_DEPTH_MAX:
            raise CallTooDeep
        if call.workflow_id in (above.workflow_id, *parent.callers):
            raise CallCycle(f"The workflow {call.workflow_id} is being run by this call already.")
        version, plan = await self._plans.get_to_run(above.project_id, call.workflow_id, call.version)
        trigger = plan.trigger(None)
        # One that is called for a single item is told by its number among the caller's.
        first = max(0, call.items.lineage[0]) if len(call.items) == 1 else 0
        items = inputs_of(trigger, made_from(call.items, -1), first)
        now = utc_now()
        path, execution_id = path_of(call.node, call.rounds), new_id("exe")
        execution = Execution(
            id=execution_id,
            project_id=above.project_id,
            workflow_id=call.workflow_id,
            version=version.version,
            mode="child",
            status="running",
            created_at=now,
            started_at=now,
            priority=above.priority,
            parent=Parent(above.id, path, call.call, depth, call.awaited),
            runner=self._runner,
            token=1,
            # The same for the same call of a retried parent, so that what was done is not done again.
            scope=hashlib.sha256(f"{above.effect_scope}/{path}/{call.call}".encode()).hexdigest()[:32],
            traceparent=traceparent_of(execution_id, above.traceparent),
        )
        limit = limit_of(plan, execution, items, self._surroundings)
        stays = limit is None and self._spread.stays(parent, call)
        if not stays:  # It waits for its turn like any other; who is called is never dropped.
            execution = replace(execution, limit=limit, status="queued", started_at=None, runner=None, token=0)
        callers = (*parent.callers, above.workflow_id)
        admitted = e.Admitted(
            now, trigger.key, "child", f"execution:{above.id}", items, execution.parent, callers=callers
        )
        started = e.ChildStarted(now, call.node, call.call, execution.id, call.workflow_id, call.rounds)
        with self._stored(execution.id):
            parent.start_child((execution, (encode(0, admitted),)), started)
            await parent.journal.commit()
            if not call.awaited:
                parent.deliver(started)
            if stays:
                await self._launch(execution, version, plan, admitted)
            else:
                self._look()
                if limit is None:
                    self._spread.queued()
        if call.awaited and (path, call.call) in parent.cancelled_calls:
            await self._cancel_one(parent, execution.id)

    async def _cancel_one(self, parent: Held, child_id: str) -> None:
        execution = parent.execution
        try:
            await parent.journal.commit()  # Why it is cancelled must be known first, or the caller might go on without.
            await self._cancel(execution.project_id, child_id, f"execution:{execution.id}")
        except BudflowError as error:
            log.warning("child.not_cancelled", execution=child_id, error=str(error))
            parent.give_up()  # Taken up again, it cancels again.


def inputs_of(trigger: PlanNode, items: ItemList, first: int = 0) -> ItemList:
    """The items that a `trigger.manual` takes, with what it declares filled in.

    Raises InputInvalid, which counts the items from `first`.
    """
    declared = trigger.params.fixed
    return checked_items(declared, items, first) if isinstance(declared, ManualParams) else items


def end_of_child(child: Execution, name: str, finished: e.Finished, result: ItemList) -> e.ChildFinished | None:
    """A child's end as its caller sees it: the same code, with the way down to where it happened.

    `name` is that of its workflow. None where nobody waits for it.
    """
    parent = child.parent
    if parent is None or not parent.awaited:
        return None
    node, rounds = parse_path(parent.node)
    if finished.status == "succeeded":
        return e.ChildFinished(finished.at, node, parent.call, "succeeded", result, rounds=rounds)
    failure = finished.failure or Failure("execution.cancelled", "The called execution was cancelled.")
    where = f" at `{failure.node}`" if failure.node else ""
    message = _further_down(f"In `{name}` ({child.id}){where}: ", failure.message)
    failure = Failure(failure.code, message, failure.hint, parent.node, failure.retriable)
    return e.ChildFinished(finished.at, node, parent.call, finished.status, EMPTY, failure, rounds)


def after_failure(held: Held, finished: e.Finished) -> Child | None:
    """The error workflow's execution, for one that failed."""
    if finished.status != "failed" or held.error_workflow is None:
        return None
    run = held.error_workflow
    failure = {} if finished.failure is None else finished.failure.to_json()
    [item] = run.admitted.items.items
    items = ItemList([Item({**item.json, "failure": failure})], [-1])
    admitted = replace(run.admitted, at=finished.at, items=items)
    return replace(run.execution, created_at=finished.at), (encode(0, admitted),)


def _further_down(level: str, message: str) -> str:
    """The message of a called execution behind its own level: of many levels the first stays, and the last two."""
    first = _LEVEL.match(message)
    below = message if first is None else message[first.end() :].removeprefix(CUT)
    inner = _LEVEL.match(below)
    if first is None or inner is None or _LEVEL.match(below, inner.end()) is None:
        return level + message
    return f"{level}{CUT}{below}"


def _told(error: BaseException | None) -> BudflowError:
    if isinstance(error, BudflowError):
        return error
    log.error("child.broken", exc_info=error)
    return ExecutionBroken()

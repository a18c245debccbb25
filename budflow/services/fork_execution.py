"""fork_execution: run a past execution again from any of its nodes on, as a new one."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from budflow.errors import BudflowError
from budflow.execution.children import inputs_of
from budflow.execution.repeat import fork_events
from budflow.execution.stepwise import plan_of_run
from budflow.graph.plan import Plan
from budflow.graph.suggest import hint
from budflow.model.event import Admitted, Event, NodeCancelled, NodeFailed, NodeFinished
from budflow.model.execution import TERMINAL, Execution, Origin
from budflow.model.item import ItemList
from budflow.model.path import parse_path
from budflow.model.principal import Principal
from budflow.services.get_execution import ExecutionDetailView, GetExecution, get_execution
from budflow.services.repetition import ExecutionNotEnded, find_origin, first_event, submit_repetition
from budflow.services.start_execution import WAIT_SECONDS_MAX
from budflow.services.use_case import NUMBER_MAX, RequestModel, Services, use_case
from budflow.services.wait_execution import wait_for_end

PATH_CHARS_MAX = 300


class ForkExecution(RequestModel):
    """Which execution, from where."""

    execution_id: str
    node: str | None = Field(
        None,
        max_length=PATH_CHARS_MAX,
        description="Key of the node to run again, with all behind it; in a loop `price[3]` means one round, the first "
        "is 0, and `price` all of them. Left out, everything from the trigger on.",
    )
    version: int | None = Field(
        None,
        ge=1,
        le=NUMBER_MAX,
        description="Go on by another version, in which nothing that leads to `node` has changed.",
    )
    items: list[dict[str, Any]] | None = Field(
        None, max_length=10_000, description="What the trigger brings in instead; then everything runs, without `node`."
    )
    wait_seconds: float = Field(
        0, ge=0, le=WAIT_SECONDS_MAX, description="How long to wait for the end; 0 answers at once."
    )


class ForkNodeUnknown(BudflowError):
    """The workflow has no such node to fork from."""

    code = "execution.no_such_fork_node"
    http_status = 422
    hint = "Read the execution to see the keys of its nodes."


class ForkItemsUnused(BudflowError):
    """With other items everything runs again, not only what is behind a node."""

    code = "execution.fork_items_unused"
    http_status = 422
    hint = "Leave `node` out, or name the trigger; or leave `items` out."


@use_case("execution:run")
async def fork_execution(services: Services, principal: Principal, request: ForkExecution) -> ExecutionDetailView:
    """Run a past execution again from a node on; the new execution keeps what other nodes gave.

    Its effects are new ones, with idempotency keys of their own. An execution that has not ended may be forked from a
    node that has. Raises ForkNodeUnknown, ForkItemsUnused, ExecutionNotEnded, NodeDidNotRun and VersionDiffers.
    """
    origin, events = await find_origin(services, principal, request.execution_id)
    project, plans = principal.project_id, services.plans
    before = first_event(events, principal, Origin(origin.id, "fork", request.node))
    version, plan = await plans.get(project, origin.workflow_id, request.version or origin.version, before.until)
    plan = plan_of_run(plan, before)
    node, rounds = _start(plan, request.node or before.trigger)
    if request.items is not None and node != before.trigger:
        raise ForkItemsUnused
    kept: tuple[Event, ...] = ()
    admitted = before
    if node == before.trigger:
        # Everything runs again; what comes in must fit what this version asks for.
        items = before.items if request.items is None else ItemList.of(request.items)
        admitted = first_event(events, principal, Origin(origin.id, "fork", node), inputs_of(plan.trigger(node), items))
    else:
        old = plan
        if version.version != origin.version:
            old = await _plan_of(services, origin, before)
        _require_ended(origin, events, node, rounds)
        kept = fork_events(plan, events, admitted, node, rounds=rounds, before=None if old is plan else old)
    new = await submit_repetition(services, principal, origin, version, plan, admitted, kept, None)
    if request.wait_seconds:
        await wait_for_end(services, new, request.wait_seconds)
    return await get_execution.run(services, principal, GetExecution(execution_id=new.id))


async def _plan_of(services: Services, origin: Execution, admitted: Admitted) -> Plan:
    _, plan = await services.plans.get_to_show(origin.project_id, origin.workflow_id, origin.version, admitted.until)
    return plan_of_run(plan, admitted)


def _start(plan: Plan, path: str) -> tuple[str, tuple[int, ...]]:
    try:
        key, rounds = parse_path(path)
    except ValueError:
        key, rounds = path, ()
    if key not in plan.index:
        raise ForkNodeUnknown(f"There is no node `{key[:100]}`.", hint=hint(key, plan.index, "node"))
    depth = plan.nodes[plan.index[key]].depth
    if rounds and len(rounds) != depth:
        raise ForkNodeUnknown(f"`{path}` names {len(rounds)} rounds; `{key}` stands in {depth} loops.")
    return key, rounds


def _require_ended(origin: Execution, events: Sequence[Event], node: str, rounds: tuple[int, ...]) -> None:
    """Of an execution that goes on, the node must not be at work just now."""
    ends = (NodeFinished, NodeFailed, NodeCancelled)
    ended = any(isinstance(one, ends) and one.node == node and one.rounds[: len(rounds)] == rounds for one in events)
    if origin.status not in TERMINAL and not ended:
        raise ExecutionNotEnded(f"The execution is {origin.status}, and `{node}` has not ended.")

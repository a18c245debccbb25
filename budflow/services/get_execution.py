"""get_execution: what an execution did, node by node; small by default, items on demand."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

import orjson
from pydantic import Field

from budflow.errors import BudflowError
from budflow.execution.blobs import BlobUnreadable
from budflow.execution.plans import VersionUnreadable
from budflow.execution.projection import NodeStatus, NodeStory, Wanted, read_story
from budflow.graph.plan import NodeTypeMissing, Plan
from budflow.graph.suggest import hint
from budflow.model.execution import TERMINAL, Execution, ExecutionNotFound, Place
from budflow.model.failure import Failure
from budflow.model.item import Item, ItemList
from budflow.model.journal_row import EventUnreadable
from budflow.model.path import Rounds, parse_path
from budflow.model.principal import Principal
from budflow.model.problem import WorkflowInvalid
from budflow.model.sandbox import REDUCED_ISOLATION, Isolation
from budflow.model.wait import WantedWaits
from budflow.model.workflow import VersionNotFound
from budflow.services.read_journal import plan_of_execution
from budflow.services.use_case import RequestModel, Services, View, use_case
from budflow.services.views import ExecutionView, FailureView, WaitView, milliseconds

Detail = Literal["status", "nodes", "items"]
#: So many of its open waits are shown; `list_waits` pages through all.
WAITS_MAX = 20
#: Why the nodes of an execution cannot be told any more, though its row can.
UNTELLABLE = (EventUnreadable, NodeTypeMissing, VersionNotFound, VersionUnreadable, WorkflowInvalid)


class GetExecution(RequestModel):
    """Which execution, how much of it."""

    execution_id: str
    detail: Detail = Field("nodes", description="`status`: the row; `nodes`: each node in a line; `items`: with items.")
    node: str | None = Field(
        None, description="Only this node; in a loop a path such as `price[3]` for one round, the first is 0."
    )
    offset: int = Field(0, ge=0, description="With `items`: the first item of each port.")
    limit: int = Field(20, ge=1, le=1000, description="With `items`, and for the result: how many items a port.")
    bytes_max: int = Field(8192, ge=256, le=16 * 1024 * 1024, description="Items are left out beyond this size.")


class NodeNotInExecution(BudflowError):
    """The workflow of this execution has no such node."""

    code = "execution.node_not_found"
    http_status = 404
    hint = "Read the execution without `node` to see the keys of its nodes."


class PlaceView(View):
    """Where something ran."""

    executor: str
    host: str
    pid: int
    actor: str | None = None
    ray_node: str | None = None
    isolation: Isolation | None = Field(None, description="How an author's code was isolated.")
    label: str | None = Field(None, description=f"`{REDUCED_ISOLATION}` where a process took the place of a container.")
    image: str | None = Field(None, description="The digest of the image that the code ran in.")

    @staticmethod
    def of(place: Place | None) -> "PlaceView | None":
        """From the journal's word."""
        if place is None:
            return None
        return PlaceView(**place.to_json(), label=REDUCED_ISOLATION if place.isolation == "process" else None)


class ItemsView(View):
    """Items of one port: some of `total`."""

    total: int
    items: list[dict[str, Any]]
    truncated: bool = Field(description="Whether items were left out, for `limit`, `bytes_max` or a `problem`.")
    problem: FailureView | None = Field(None, description="Why items that are kept in a blob cannot be read.")


class ProgressView(View):
    """How far a loop has come, in items."""

    done: int
    total: int


class NodeView(View):
    """What one node did; in a loop, all its rounds together, unless one was asked for."""

    key: str
    type: str
    container: str | None = Field(description="The node in whose `body` it stands; null: in the workflow itself.")
    body: str | None
    status: NodeStatus = Field(
        description="`unrecorded`: it ran or was skipped; `settings.journal` kept no event of it."
    )
    runs: int = Field(description="How often it ran, once for each round of the loops around it.")
    started_at: datetime | None
    finished_at: datetime | None
    duration_ms: float | None
    tries: int
    counts: dict[str, int] = Field(
        description="Items by output port. Not known of nodes in a body that only computes: its rounds ran in one go."
    )
    progress: ProgressView | None
    segment: int = Field(description="Nodes with the same number ran in one piece.")
    place: PlaceView | None
    failure: FailureView | None
    failed_at: list[str] = Field(description="Paths of the first rounds in which it failed.")
    children: list[str] = Field(description="Ids of the executions that it called.")
    credentials: dict[str, str] = Field(
        default_factory=dict, description="Ids of the credentials that it was given last, by role."
    )
    items: dict[str, ItemsView] | None = Field(
        None,
        description="By output port, with detail `items`. Empty for nodes in a body that only computes: of its rounds, "
        "which run in one go but in test runs, only what left the body is kept.",
    )


class ExecutionDetailView(View):
    """An execution as far as it was asked for."""

    execution: ExecutionView
    nodes: list[NodeView] = Field(default_factory=list)
    waits: list[WaitView] = Field(default_factory=list, description="What it waits for; the oldest, at most 20.")
    result: ItemsView | None = Field(None, description="What it came to; null until it ended well.")
    responded: dict[str, Any] | None = Field(None, description="What it answered to the request that triggered it.")
    cancelled_by: str | None = Field(
        None, description="Who wanted it cancelled; `cancel_oldest:EXECUTION_ID`: it made room for that execution."
    )
    problem: FailureView | None = Field(None, description="Why no more than this can be told, such as of its nodes.")


@use_case("execution:read")
async def get_execution(services: Services, principal: Principal, request: GetExecution) -> ExecutionDetailView:
    """Read an execution: its status, its nodes with times and places, and its items on demand."""
    execution = await services.store.get_execution(principal.project_id, request.execution_id)
    if execution is None:
        raise ExecutionNotFound(f"There is no execution {request.execution_id}.")
    view = ExecutionView.of(execution)
    waits = await _waits(services, principal, execution)
    if request.detail == "status":
        return ExecutionDetailView(execution=view, waits=waits)
    try:
        plan = await plan_of_execution(services, execution)
        wanted = _wanted(plan, request)
        story = await read_story(services.store, execution, plan, wanted)
    except UNTELLABLE as error:
        return ExecutionDetailView(execution=view, waits=waits, problem=FailureView.of(Failure.of(error)))
    show = _Show(request, partial(services.lists.open, principal.project_id))
    nodes = [
        _node_view(node, plan.segment_of[number], story.place, show)
        for number, node in enumerate(story.nodes)
        if wanted.node in (None, number)
    ]
    responded = story.responded
    return ExecutionDetailView(
        execution=view,
        nodes=nodes,
        waits=waits,
        result=_items_view(story.result, show) if execution.status == "succeeded" else None,
        responded=None
        if responded is None
        else {"status": responded.status_code, "headers": dict(responded.headers), "body": responded.body},
        cancelled_by=story.cancelled_by,
    )


async def _waits(services: Services, principal: Principal, execution: Execution) -> list[WaitView]:
    if execution.status in TERMINAL:
        return []
    wanted = WantedWaits(execution_id=execution.id)
    found = await services.store.list_waits(principal.project_id, wanted, limit=WAITS_MAX)
    return [WaitView.of(wait, services.links, principal) for wait in found]


def _wanted(plan: Plan, request: GetExecution) -> Wanted:
    """What is to be told. Raises NodeNotInExecution."""
    with_items = request.detail == "items"
    if request.node is None:
        return Wanted(outputs=with_items)
    key, rounds = find_node(plan, request.node)
    return Wanted(plan.index[key], rounds, with_items)


def find_node(plan: Plan, path: str) -> tuple[str, Rounds]:
    """The key that a path names, and its rounds: all around the node or the first. Raises NodeNotInExecution."""
    try:
        key, rounds = parse_path(path)
    except ValueError:
        key, rounds = path, ()
    number = plan.index.get(key)
    if number is None:
        raise NodeNotInExecution(f"No node is called `{key[:100]}`.", hint=hint(key, plan.index, "node"))
    depth = plan.nodes[number].depth
    if len(rounds) > depth:
        where = f"{depth} loop{'s' if depth > 1 else ''}" if depth else "no loop"
        raise NodeNotInExecution(f"`{key}` stands in {where}: `{path[:100]}` names too many rounds.")
    return key, rounds


@dataclass(frozen=True, slots=True)
class _Show:
    """Which items are shown, and how to open a list that is kept in blobs."""

    request: GetExecution
    open_list: Callable[[ItemList], ItemList]


def _node_view(node: NodeStory, segment: int, place: Place | None, show: _Show) -> NodeView:
    began, ended = node.started_at, node.finished_at
    with_items = show.request.detail == "items"
    ran = node.status not in ("pending", "skipped", "unrecorded")
    return NodeView(
        key=node.key,
        type=node.type,
        container=node.container,
        body=node.body,
        status=node.status,
        runs=node.runs,
        started_at=began,
        finished_at=ended,
        duration_ms=milliseconds(began, ended) if began and ended else None,
        tries=node.tries,
        counts=node.counts,
        progress=None if node.total is None else ProgressView(done=node.done or 0, total=node.total),
        segment=segment,
        place=PlaceView.of(node.place or place) if ran else None,
        failure=FailureView.of(node.failure),
        failed_at=node.failed,
        children=node.children,
        credentials=node.credentials,
        items={port: _items_view(items, show) for port, items in node.outputs.items()} if with_items else None,
    )


def _items_view(items: ItemList, show: _Show) -> ItemsView:
    request, readable = show.request, show.open_list(items).items
    shown: list[dict[str, Any]] = []
    room = request.bytes_max
    problem: BlobUnreadable | None = None
    try:
        for index in range(request.offset, min(len(items), request.offset + request.limit)):
            shape = _item_view(readable[index])
            room -= len(orjson.dumps(shape, default=str))
            if room < 0:
                break
            shown.append(shape)
    except BlobUnreadable as error:
        problem = error
    return ItemsView(
        total=len(items),
        items=shown,
        truncated=request.offset + len(shown) < len(items),
        problem=None if problem is None else FailureView.of(Failure.of(problem)),
    )


def _item_view(item: Item) -> dict[str, Any]:
    shape: dict[str, Any] = {"json": item.json}
    if item.error is not None:
        shape["error"] = {"code": item.error.code, "message": item.error.message, "hint": item.error.hint}
    if item.binary:
        shape["binary"] = {name: {"size_bytes": ref.size_bytes, "name": ref.name} for name, ref in item.binary.items()}
    return shape

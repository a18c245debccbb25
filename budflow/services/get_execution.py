"""get_execution: what an execution did, node by node; small by default, items on demand."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import Field

from budflow.errors import BudflowError
from budflow.execution.projection import NodeStory, Story, tell
from budflow.graph.suggest import hint
from budflow.model.execution import Execution, ExecutionNotFound, Place
from budflow.model.item import Item, ItemList
from budflow.model.journal import decode
from budflow.model.principal import Principal
from budflow.services.use_case import RequestModel, Services, View, use_case
from budflow.services.views import ExecutionView, FailureView, milliseconds

Detail = Literal["status", "nodes", "items"]
EVENTS_MAX = 100_000


class GetExecution(RequestModel):
    """Which execution, how much of it."""

    execution_id: str
    detail: Detail = Field("nodes", description="`status`: the row; `nodes`: each node in a line; `items`: with items.")
    node: str | None = Field(None, description="With `items`: only this node.")
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

    @staticmethod
    def of(place: Place | None) -> "PlaceView | None":
        """From the journal's word."""
        return None if place is None else PlaceView(**place.to_json())


class ItemsView(View):
    """Items of one port: some of `total`."""

    total: int
    items: list[dict[str, Any]]
    truncated: bool = Field(description="Whether items were left out for `limit` or `bytes_max`.")


class NodeView(View):
    """What one node did."""

    key: str
    type: str
    status: str = Field(description="pending, running, succeeded, failed, skipped or cancelled.")
    started_at: datetime | None
    finished_at: datetime | None
    duration_ms: float | None
    tries: int
    counts: dict[str, int] = Field(description="Items by output port.")
    segment: int = Field(description="Nodes with the same number ran in one piece.")
    place: PlaceView | None
    failure: FailureView | None
    children: list[str] = Field(description="Ids of the executions that it called.")
    items: dict[str, ItemsView] | None = Field(None, description="By output port, with detail `items`.")


class ExecutionDetailView(View):
    """An execution as far as it was asked for."""

    execution: ExecutionView
    nodes: list[NodeView] = Field(default_factory=list)
    result: ItemsView | None = Field(None, description="What it came to; null until it ended well.")
    responded: dict[str, Any] | None = Field(None, description="What it answered to the request that triggered it.")


@use_case("execution:read")
async def get_execution(services: Services, principal: Principal, request: GetExecution) -> ExecutionDetailView:
    """Read an execution: its status, its nodes with times and places, and its items on demand."""
    execution = await services.store.get_execution(principal.project_id, request.execution_id)
    if execution is None:
        raise ExecutionNotFound(f"There is no execution {request.execution_id}.")
    view = ExecutionView.of(execution)
    if request.detail == "status":
        return ExecutionDetailView(execution=view)
    story, segment_of = await _story(services, execution)
    keys = [node.key for node in story.nodes]
    if request.node is not None and request.node not in keys:
        raise NodeNotInExecution(f"No node is called `{request.node}`.", hint=hint(request.node, keys, "node"))
    nodes = [
        _node_view(node, segment, story.place, request)
        for node, segment in zip(story.nodes, segment_of, strict=True)
        if request.node is None or request.node == node.key
    ]
    responded = story.responded
    return ExecutionDetailView(
        execution=view,
        nodes=nodes,
        result=_items_view(story.result, request) if execution.status == "succeeded" else None,
        responded=None
        if responded is None
        else {"status": responded.status_code, "headers": dict(responded.headers), "body": responded.body},
    )


async def _story(services: Services, execution: Execution) -> tuple[Story, tuple[int, ...]]:
    rows = await services.store.read_events(execution.project_id, execution.id, limit=EVENTS_MAX)
    _, plan = await services.plans.get(execution.project_id, execution.workflow_id, execution.version)
    return tell(plan, [decode(row) for row in rows]), plan.segment_of


def _node_view(node: NodeStory, segment: int, place: Place | None, request: GetExecution) -> NodeView:
    began, ended = node.started_at, node.finished_at
    with_items = request.detail == "items"
    ran = node.status not in ("pending", "skipped")
    return NodeView(
        key=node.key,
        type=node.type,
        status=node.status,
        started_at=began,
        finished_at=ended,
        duration_ms=milliseconds(began, ended) if began and ended else None,
        tries=node.tries,
        counts={port: len(items) for port, items in node.outputs.items()},
        segment=segment,
        place=PlaceView.of(node.place or place) if ran else None,
        failure=FailureView.of(node.failure),
        children=node.children,
        items=_ports_view(node.outputs, request) if with_items else None,
    )


def _ports_view(outputs: Mapping[str, ItemList], request: GetExecution) -> dict[str, ItemsView]:
    return {port: _items_view(items, request) for port, items in outputs.items()}


def _items_view(items: ItemList, request: GetExecution) -> ItemsView:
    wanted = items.items[request.offset : request.offset + request.limit]
    shown: list[dict[str, Any]] = []
    room = request.bytes_max
    for item in wanted:
        shape = _item_view(item)
        room -= len(orjson.dumps(shape, default=str))
        if room < 0:
            break
        shown.append(shape)
    return ItemsView(total=len(items), items=shown, truncated=request.offset + len(shown) < len(items))


def _item_view(item: Item) -> dict[str, Any]:
    shape: dict[str, Any] = {"json": item.json}
    if item.error is not None:
        shape["error"] = {"code": item.error.code, "message": item.error.message, "hint": item.error.hint}
    if item.binary:
        shape["binary"] = {name: {"size_bytes": ref.size_bytes, "name": ref.name} for name, ref in item.binary.items()}
    return shape

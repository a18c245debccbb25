"""search_nodes: find node types by what they do."""

from pydantic import Field

from budflow.model.principal import Principal
from budflow.services.use_case import RequestModel, Services, View, use_case


class SearchNodes(RequestModel):
    """What is looked for."""

    query: str = Field("", max_length=200, description="A few words, such as `http` or `keep items`; empty lists all.")
    limit: int = Field(10, ge=1, le=100, description="How many at most.")


class NodeSummaryView(View):
    """A node type in one line."""

    type: str
    summary: str
    kind: str
    trigger: bool


class NodesView(View):
    """What was found, best first."""

    nodes: list[NodeSummaryView]
    hint: str | None = Field(None, description="What to do where nothing was found.")


@use_case("node:read")
async def search_nodes(services: Services, principal: Principal, request: SearchNodes) -> NodesView:
    """Find node types by what they do; read one whole with get_node before you use it."""
    registry = services.registry
    found = registry.search(request.query, limit=request.limit) if request.query.strip() else registry.types()
    return NodesView(
        hint=None if found else f"Nothing fits; an empty query lists all {len(registry.types())} types.",
        nodes=[
            NodeSummaryView(type=spec.name, summary=spec.summary, kind=spec.kind, trigger=spec.trigger)
            for spec in found[: request.limit]
        ],
    )

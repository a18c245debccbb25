"""GET /nodes: find node types by what they do."""

from budflow.api.route import Example, Route
from budflow.services.search_nodes import NodesView, SearchNodes, search_nodes

ROUTE = Route(
    "GET",
    "/nodes",
    search_nodes,
    SearchNodes,
    NodesView,
    Example(
        answer={
            "hint": None,
            "nodes": [
                {
                    "type": "data.limit",
                    "summary": "Keep the first or the last items.",
                    "kind": "list",
                    "trigger": False,
                }
            ],
        },
        parameters={"query": "keep the first items", "limit": 10},
    ),
)

"""GET /nodes/{type}: one node type, whole."""

from budflow.api.route import Example, Route
from budflow.services.get_node import GetNode, NodeTypeView, get_node

_NO_OP = {
    "type": "flow.no_op",
    "version": 1,
    "summary": "Pass every item on, unchanged.",
    "description": "Pass every item on, unchanged.",
    "kind": "batch",
    "effect": "pure",
    "trigger": False,
    "inputs": ["main"],
    "outputs": ["main"],
    "params": {"type": "object", "properties": {}, "additionalProperties": False},
    "credentials": {},
    "examples": [{"title": "Pass one item on", "params": {}, "given": [{"id": 1}], "expect": {"main": [{"id": 1}]}}],
}

ROUTE = Route(
    "GET",
    "/nodes/{type}",
    get_node,
    GetNode,
    NodeTypeView,
    Example(answer=_NO_OP, parameters={"type": "flow.no_op", "version": 1}),
)

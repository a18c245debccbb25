"""A document cut down to one node and what leads to it, for runs that are to end there."""

from collections.abc import Mapping
from typing import Any

from budflow.errors import BudflowError
from budflow.graph.cycles import ancestors
from budflow.graph.nesting import PlacedGraph, nest
from budflow.graph.parse import endpoint, parse
from budflow.graph.suggest import hint
from budflow.model.workflow import IN, OUT


class NodeNotInWorkflow(BudflowError):
    """The workflow has no such node."""

    code = "workflow.no_such_node"
    http_status = 422
    hint = "Read the workflow to see the keys of its nodes."


def up_to(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The document with only the node `key` and what leads to it; a container around it keeps its other bodies whole.

    Raises NodeNotInWorkflow, and WorkflowInvalid for a document of which not even the shape is right.
    """
    nesting = nest(parse(document))
    placed = nesting.of.get(key)
    if placed is None:
        raise NodeNotInWorkflow(f"There is no node `{key}`.", hint=hint(key, nesting.of, "node"))
    cut = _only(_at(document, placed), placed, key)
    while placed.outer is not None and placed.container is not None:
        outer, container = _at(document, placed.outer), placed.container.key
        node = outer["nodes"][container]
        node = {**node, "bodies": {**node["bodies"], placed.name: cut}}
        placed = placed.outer
        cut = _only({**outer, "nodes": {**outer["nodes"], container: node}}, placed, container)
    return cut


def _at(document: Mapping[str, Any], placed: PlacedGraph) -> Mapping[str, Any]:
    """The graph's own part of the document."""
    found: Any = document
    for part in placed.place:
        found = found[part]
    return dict(found)


def _only(graph: Mapping[str, Any], placed: PlacedGraph, key: str) -> dict[str, Any]:
    kept = {key, *ancestors(placed.graph, [key])[key]}
    ends = kept | {IN, OUT}
    edges = [
        edge
        for edge in graph.get("edges", ())
        if endpoint(edge["from"]).node in ends and endpoint(edge["to"]).node in ends
    ]
    nodes = {name: node for name, node in graph["nodes"].items() if name in kept}
    return {**graph, "nodes": nodes, "edges": edges}

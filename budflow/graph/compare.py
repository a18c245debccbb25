"""What two versions of a workflow differ in, as their meaning has it: nodes by key, edges, settings; bodies included.

What is written in two ways and means the same is equal: defaults that are spelled out, `a` and `a.main` in an edge,
the order of nodes. Where an editor draws a node means nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from budflow.graph.document import DocumentShape, GraphShape, NodeShape
from budflow.graph.parse import parse
from budflow.model.problem import pointer

_ABSENT = object()
#: What is compared by itself, or means nothing.
_NODE_WITHOUT = {"bodies", "position"}


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs: where (JSON Pointer, RFC 6901), and both values; None where there is none."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class NodeChange:
    """One node that differs; `path` leads to it in the document that has it, in the later one where both do.

    `changes` have paths into the node. `moved_from` is where it stood before, where that is another graph.
    """

    key: str
    type: str
    kind: Literal["added", "removed", "changed"]
    path: str
    changes: tuple[Change, ...] = ()
    moved_from: str | None = None


@dataclass(frozen=True, slots=True)
class EdgeChange:
    """One edge that is in only one of both; `path` is that of its graph, "" for the workflow's own."""

    kind: Literal["added", "removed"]
    source: str
    target: str
    path: str


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs. `document` are changes of the name and the description."""

    document: tuple[Change, ...]
    settings: tuple[Change, ...]
    nodes: tuple[NodeChange, ...]
    edges: tuple[EdgeChange, ...]

    @property
    def equal(self) -> bool:
        """Whether both mean the same."""
        return not (self.document or self.settings or self.nodes or self.edges)


@dataclass(slots=True)
class _Contents:
    """A document taken apart: nodes by key, each with its graph's place and its own, and edges with their graph's."""

    nodes: dict[str, tuple[str, str, dict[str, Any]]] = field(default_factory=dict)
    edges: dict[tuple[str, str, str], None] = field(default_factory=dict)


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Difference:
    """What changed from one document to the other. Raises WorkflowInvalid for one whose shape is broken."""
    old, new = _shape(before), _shape(after)
    was, now = _contents(old), _contents(new)
    return Difference(
        document=tuple(_changes(_head(old), _head(new))),
        settings=tuple(_changes(old.settings.model_dump(), new.settings.model_dump(), "/settings")),
        nodes=tuple(_node_changes(was, now)),
        edges=(
            *(EdgeChange("added", *edge) for edge in now.edges if edge not in was.edges),
            *(EdgeChange("removed", *edge) for edge in was.edges if edge not in now.edges),
        ),
    )


def _shape(document: Mapping[str, Any]) -> DocumentShape:
    parse(dict(document))  # For its errors, which say more.
    return DocumentShape.model_validate(document)


def _head(document: DocumentShape) -> dict[str, Any]:
    return {"name": document.name, "description": document.description}


def _contents(document: DocumentShape) -> _Contents:
    found = _Contents()
    pending: list[tuple[tuple[str, ...], GraphShape | DocumentShape]] = [((), document)]
    while pending:
        place, graph = pending.pop(0)
        for key, node in graph.nodes.items():
            path = (*place, "nodes", key)
            found.nodes[key] = (pointer(*place), pointer(*path), _plain(node))
            pending += [((*path, "bodies", name), body) for name, body in node.bodies.items()]
        for edge in graph.edges:
            found.edges[_end(edge.source), _end(edge.target), pointer(*place)] = None
    return found


def _plain(node: NodeShape) -> dict[str, Any]:
    """A node's own fields, and the names of its bodies."""
    return {**node.model_dump(exclude=_NODE_WITHOUT), "bodies": dict.fromkeys(node.bodies, True)}


def _end(text: str) -> str:
    return text.removesuffix(".main")


def _node_changes(was: _Contents, now: _Contents) -> Iterator[NodeChange]:
    for key, (graph, path, node) in now.nodes.items():
        if key not in was.nodes:
            yield NodeChange(key, node["type"], "added", path)
            continue
        old_graph, old_path, old_node = was.nodes[key]
        changes = tuple(_changes(old_node, node))
        moved = old_path if old_graph != graph else None
        if changes or moved is not None:
            yield NodeChange(key, node["type"], "changed", path, changes, moved)
    for key, (_, path, node) in was.nodes.items():
        if key not in now.nodes:
            yield NodeChange(key, node["type"], "removed", path)


def _changes(before: Any, after: Any, path: str = "") -> Iterator[Change]:
    """Objects are looked into, and lists of equal length; anything else differs as a whole."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _changes(before.get(key, _ABSENT), after.get(key, _ABSENT), path + pointer(key))
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _changes(one, other, path + pointer(index))
    elif before != after or type(before) is not type(after):
        yield Change(path, None if before is _ABSENT else before, None if after is _ABSENT else after)

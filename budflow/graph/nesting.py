"""The graphs of a document inside one another: each with its place in the document and the container around it.

Keys are unique in the whole document, so that a key alone says in which graph a node stands.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from budflow.graph.cycles import ancestors
from budflow.model.problem import pointer
from budflow.model.workflow import Graph, Node, Workflow


@dataclass(frozen=True, slots=True, eq=False)  # Two graphs are the same only where they are the same object.
class PlacedGraph:
    """One graph: the workflow's own, or the body `name` of the node `container`, which stands in the graph `outer`.

    `place` leads to it from the document's root, () for the workflow's own graph.
    """

    graph: Graph
    place: tuple[str, ...] = ()
    outer: "PlacedGraph | None" = None
    container: Node | None = None
    name: str = ""

    def path(self, *parts: object) -> str:
        """The JSON Pointer of something in this graph, such as `path("nodes", "price")`; of itself without parts."""
        return pointer(*self.place, *parts)

    def around(self) -> Iterator["PlacedGraph"]:
        """This graph and those that it stands in, the innermost first."""
        inner: PlacedGraph | None = self
        while inner is not None:
            yield inner
            inner = inner.outer


@dataclass(frozen=True, slots=True)
class Nesting:
    """All graphs of a document, each before those in its bodies; and the graph of every node, by its key."""

    graphs: tuple[PlacedGraph, ...]
    of: Mapping[str, PlacedGraph]

    def nodes(self) -> Iterator[tuple[PlacedGraph, Node]]:
        """Every node of every graph, with its graph."""
        return ((placed, node) for placed in self.graphs for node in placed.graph.nodes.values())

    def container_of(self, key: str, seen_from: PlacedGraph) -> Node | None:
        """The node that hides `key` from a graph: it stands there or further out, `key` somewhere in its bodies.

        None where `key` itself stands there or further out.
        """
        near = set(seen_from.around())
        hiding: Node | None = None
        placed: PlacedGraph | None = self.of[key]
        while placed is not None and placed not in near:
            hiding, placed = placed.container, placed.outer
        return hiding

    def readable(self, readers: Collection[str]) -> dict[str, frozenset[str]]:
        """Reader → the keys whose output its expressions may read.

        Those are the nodes that run before it in its own graph, and those that run before the container around it.
        """
        wanted = set(readers)
        for placed in reversed(self.graphs):
            if placed.container is not None and not wanted.isdisjoint(placed.graph.nodes):
                wanted.add(placed.container.key)
        found: dict[str, frozenset[str]] = {}
        for placed in self.graphs:
            outside = found.get(placed.container.key, frozenset()) if placed.container is not None else frozenset()
            own = ancestors(placed.graph, [key for key in placed.graph.nodes if key in wanted])
            found.update((key, before | outside) for key, before in own.items())
        return found


def nest(workflow: Workflow) -> Nesting:
    """The graphs of a workflow. Its depth is bounded when it is parsed."""
    graphs = tuple(_walk(PlacedGraph(workflow.graph)))
    return Nesting(graphs, {key: placed for placed in graphs for key in placed.graph.nodes})


def _walk(placed: PlacedGraph) -> Iterator[PlacedGraph]:
    yield placed
    for key, node in placed.graph.nodes.items():
        for name, body in node.bodies.items():
            place = (*placed.place, "nodes", key, "bodies", name)
            yield from _walk(PlacedGraph(body, place, placed, node, name))

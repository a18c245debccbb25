"""Questions about a graph's shape: cycles, ancestors, an order in which every node follows its sources."""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from budflow.model.workflow import Graph


def predecessors(graph: Graph) -> dict[str, set[str]]:
    """Key → the keys with an edge to it; edges to nowhere are left out."""
    before: dict[str, set[str]] = {key: set() for key in graph.nodes}
    for edge in graph.edges:
        if edge.source.node in before and edge.target.node in before:
            before[edge.target.node].add(edge.source.node)
    return before


def find_cycle(graph: Graph) -> tuple[str, ...]:
    """The keys of one cycle in the order of its edges, or nothing."""
    try:
        TopologicalSorter(predecessors(graph)).prepare()
    except CycleError as error:
        way: list[str] = error.args[1]
        return tuple(way[:-1])
    return ()


def order(graph: Graph) -> tuple[str, ...]:
    """Every key after all its predecessors. Raises graphlib.CycleError."""
    return tuple(TopologicalSorter(predecessors(graph)).static_order())


def ancestors(graph: Graph) -> Mapping[str, frozenset[str]]:
    """Key → every key from which a path leads to it; on a cycle each is an ancestor of the others."""
    before = predecessors(graph)
    found: dict[str, frozenset[str]] = {}
    for key in graph.nodes:
        seen: set[str] = set()
        stack = list(before[key])
        while stack:
            current = stack.pop()
            if current not in seen:
                seen.add(current)
                stack.extend(before[current])
        found[key] = frozenset(seen)
    return found

"""Questions about a graph's shape: cycles, ancestors, an order in which every node follows its sources.

Every answer follows the order of the document, so that two processes that compile one version number alike.
"""

from collections.abc import Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import compress

from budflow.model.workflow import Graph

CYCLES_MAX = 10
_BITS = bytes.maketrans(b"01", b"\0\1")  # The digits of a binary number as numbers.


def find_cycles(graph: Graph) -> tuple[tuple[str, ...], ...]:
    """Cycles that share no node, each as its keys in the order of its edges; at most CYCLES_MAX of them.

    A graph with any cycle has one here, and once these are mended another may show.
    """
    before = _predecessors(graph)
    found: list[tuple[str, ...]] = []
    while len(found) < CYCLES_MAX:
        try:
            _sorter(before).prepare()
        except CycleError as error:
            cycle: list[str] = error.args[1][:-1]  # graphlib names the first node again at the end.
        else:
            break
        found.append(tuple(cycle))
        gone = set(cycle)
        before = {
            key: [one for one in sources if one not in gone] for key, sources in before.items() if key not in gone
        }
    return tuple(found)


def order(graph: Graph) -> tuple[str, ...]:
    """Every key after all its predecessors. Raises graphlib.CycleError."""
    return tuple(_sorter(_predecessors(graph)).static_order())


def ancestors(graph: Graph, wanted: Collection[str]) -> dict[str, frozenset[str]]:
    """Wanted key → every key from which a path leads to it; on a cycle each is an ancestor of all, itself included."""
    if not wanted:
        return {}
    keys = list(graph.nodes)
    before = _predecessors(graph)
    try:
        above = _closure(before, tuple(_sorter(before).static_order()), keys)
    except CycleError:
        above = _closure_with_cycles(before, keys)
    return {key: frozenset(compress(keys, f"{above[key]:b}"[::-1].encode().translate(_BITS))) for key in wanted}


def reachable(graph: Graph, roots: Iterable[str]) -> frozenset[str]:
    """The keys to which a path leads from any of `roots`, and the roots themselves."""
    after: dict[str, list[str]] = {}
    for key, sources in _predecessors(graph).items():
        for source in sources:
            after.setdefault(source, []).append(key)
    seen: set[str] = set()
    pending = list(roots)
    while pending:
        key = pending.pop()
        if key not in seen:
            seen.add(key)
            pending.extend(after.get(key, ()))
    return frozenset(seen)


def _predecessors(graph: Graph) -> dict[str, list[str]]:
    """Key → the keys with an edge to it, each once, in document order; edges to nowhere are left out."""
    before: dict[str, dict[str, None]] = {key: {} for key in graph.nodes}
    for edge in graph.edges:
        if edge.source.node in before and edge.target.node in before:
            before[edge.target.node][edge.source.node] = None
    return {key: list(sources) for key, sources in before.items()}


def _sorter(before: Mapping[str, Iterable[str]]) -> TopologicalSorter[str]:
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for key in before:
        sorter.add(key)  # All of them first: the sorter gives nodes that are ready in the order in which it met them.
    for key, sources in before.items():
        sorter.add(key, *sources)
    return sorter


def _closure(before: Mapping[str, list[str]], ordered: Iterable[str], keys: list[str]) -> dict[str, int]:
    """Key → the keys above it, as bits of an int by their place in `keys`; `ordered` has each after its sources."""
    bit = {key: 1 << index for index, key in enumerate(keys)}
    above: dict[str, int] = {}
    for key in ordered:
        found = 0
        for source in before[key]:
            found |= above[source] | bit[source]
        above[key] = found
    return above


def _closure_with_cycles(before: Mapping[str, list[str]], keys: list[str]) -> dict[str, int]:
    """As `_closure` where no order exists: Warshall's transitive closure (1962)."""
    number = {key: index for index, key in enumerate(keys)}
    above = [sum(1 << number[source] for source in before[key]) for key in keys]
    for middle, _ in enumerate(keys):
        bits = above[middle]
        if bits:
            for index, known in enumerate(above):
                if known >> middle & 1:
                    above[index] = known | bits
    return dict(zip(keys, above, strict=True))

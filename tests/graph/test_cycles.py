"""Questions about a graph's shape, compared with slow and obvious answers."""

from graphlib import CycleError

import pytest
from hypothesis import given, strategies as st

from budflow.graph.cycles import CYCLES_MAX, ancestors, find_cycles, order, reachable
from budflow.model.workflow import Edge, Endpoint, Graph, Node

KEYS = [f"n{number}" for number in range(7)]


def graph(*edges: tuple[str, str], keys: list[str] = KEYS) -> Graph:
    nodes = {key: Node(key, "flow.no_op") for key in keys}
    return Graph(nodes, tuple(Edge(Endpoint(source), Endpoint(target)) for source, target in edges))


graphs = st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from([*KEYS, "nowhere"])), max_size=14).map(
    lambda edges: graph(*edges)
)


def steps(given: Graph) -> set[tuple[str, str]]:
    return {(edge.source.node, edge.target.node) for edge in given.edges if edge.target.node in given.nodes}


def leads(given: Graph, source: str, target: str) -> bool:
    """Whether at least one edge leads from source to target."""
    found = {end for start, end in steps(given) if start == source}
    while more := {end for start, end in steps(given) if start in found} - found:
        found |= more
    return target in found


@given(graphs)
def test_ancestors_are_those_from_which_a_way_leads(given: Graph) -> None:
    found = ancestors(given, KEYS)

    assert {(source, target) for target in KEYS for source in found[target]} == {
        (source, target) for source in KEYS for target in KEYS if leads(given, source, target)
    }


@given(graphs)
def test_what_is_reachable_is_the_root_and_what_it_leads_to(given: Graph) -> None:
    assert reachable(given, ["n0"]) == {"n0"} | {key for key in KEYS if leads(given, "n0", key)}


@given(graphs)
def test_a_cycle_is_found_exactly_when_a_node_leads_to_itself(given: Graph) -> None:
    found = find_cycles(given)

    assert bool(found) == any(leads(given, key, key) for key in KEYS)
    assert len([key for cycle in found for key in cycle]) == len({key for cycle in found for key in cycle})
    for cycle in found:
        assert set(zip(cycle, (*cycle[1:], cycle[0]), strict=True)) <= steps(given)


@given(graphs)
def test_in_order_every_node_follows_its_sources(given: Graph) -> None:
    if find_cycles(given):
        with pytest.raises(CycleError):
            order(given)
        return
    place = {key: number for number, key in enumerate(order(given))}

    assert set(place) == set(KEYS)
    assert all(place[source] < place[target] for source, target in steps(given))


def test_nodes_that_are_free_stand_in_the_order_of_the_document() -> None:
    assert order(graph(keys=["z", "a", "m"])) == ("z", "a", "m")


def test_the_cycles_that_are_told_are_bounded() -> None:
    keys = [f"n{number}" for number in range(3 * CYCLES_MAX)]

    assert len(find_cycles(graph(*((key, key) for key in keys), keys=keys))) == CYCLES_MAX

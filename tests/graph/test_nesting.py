"""The graphs of a document: where each stands, what hides a node from it, and what its expressions may read."""

from itertools import count

from hypothesis import given, strategies as st

from budflow.graph.nesting import Nesting, nest
from budflow.graph.parse import parse
from budflow.model.workflow import Edge, Endpoint, Graph, Node, Workflow
from tests.graph.documents import nested_document


@st.composite
def nestings(draw: st.DrawFn) -> Nesting:
    """Up to three levels of small graphs, whose edges may also lead back and out."""
    numbers = count()

    def graph(level: int) -> Graph:
        keys = [f"n{next(numbers)}" for _ in range(draw(st.integers(0, 2 if level else 4)))]
        bodies = {key: draw(st.integers(0, 2)) if level < 2 else 0 for key in keys}
        nodes = {
            key: Node(key, "x", bodies={f"b{number}": graph(level + 1) for number in range(bodies[key])})
            for key in keys
        }
        ends = st.sampled_from([*keys, "$in", "$out", "n0"])
        pairs = draw(st.lists(st.tuples(ends, ends), max_size=5))
        return Graph(nodes, tuple(Edge(Endpoint(source), Endpoint(target)) for source, target in pairs))

    return nest(Workflow("x", graph(0)))


def leads(graph: Graph, source: str, target: str) -> bool:
    """Whether at least one edge leads from source to target."""
    steps = {(edge.source.node, edge.target.node) for edge in graph.edges}
    found = {end for start, end in steps if start == source}
    while more := {end for start, end in steps if start in found & graph.nodes.keys()} - found:
        found |= more
    return target in found


def test_every_graph_knows_its_place_and_its_container() -> None:
    nesting = nest(parse(nested_document()))

    assert [placed.path() for placed in nesting.graphs] == [
        "",
        "/nodes/each/bodies/body",
        "/nodes/each/bodies/body/nodes/guard/bodies/body",
        "/nodes/each/bodies/body/nodes/guard/bodies/finally",
        "/nodes/both/bodies/left",
        "/nodes/both/bodies/right",
        "/nodes/repeat/bodies/body",
    ]
    price = nesting.of["price"]
    assert price.path("nodes", "price") == "/nodes/each/bodies/body/nodes/guard/bodies/body/nodes/price"
    assert [placed.container.key for placed in price.around() if placed.container] == ["guard", "each"]
    assert [node.key for _, node in nesting.nodes()][:6] == ["start", "order", "each", "both", "repeat", "guard"]


def test_what_hides_a_node_is_the_outermost_container_that_is_seen() -> None:
    nesting = nest(parse(nested_document()))

    def hiding(key: str, seen_from: str) -> str | None:
        found = nesting.container_of(key, nesting.of[seen_from])
        return found.key if found is not None else None

    assert hiding("price", "order") == "each"
    assert hiding("price", "sum") == "guard"
    assert hiding("price", "tidy") == "guard"
    assert hiding("price", "note") == "each"
    assert hiding("order", "price") is None
    assert hiding("each", "price") is None
    assert hiding("price", "price") is None


@given(nestings())
def test_what_may_be_read_runs_before_the_node_or_before_a_container_around_it(nesting: Nesting) -> None:
    found = nesting.readable(list(nesting.of))

    for reader, placed in nesting.of.items():
        expected = set()
        inner = reader
        for around in placed.around():
            expected |= {key for key in around.graph.nodes if leads(around.graph, key, inner)}
            inner = around.container.key if around.container is not None else ""
        assert found[reader] == expected


@given(nestings(), st.data())
def test_the_answer_for_one_reader_is_the_same_as_for_all(nesting: Nesting, data: st.DataObject) -> None:
    if nesting.of:
        reader = data.draw(st.sampled_from(sorted(nesting.of)))

        assert nesting.readable([reader])[reader] == nesting.readable(list(nesting.of))[reader]

"""The validator's part for edges: their ends and ports exist in the graph that they stand in, and no way leads back."""

from collections.abc import Iterator, Mapping
from typing import Literal

from budflow.graph.cycles import find_cycles
from budflow.graph.nesting import Nesting, PlacedGraph
from budflow.graph.ports import input_ports, output_ports
from budflow.graph.suggest import closest, hint, listed
from budflow.model.node import ERROR_PORT, NodeSpec
from budflow.model.problem import Problem
from budflow.model.workflow import IN, OUT, Edge, Endpoint

Specs = Mapping[str, NodeSpec]
Direction = Literal["output", "input"]

#: Which of the two ends of a body an edge may begin at, and which it may lead to.
BODY_END: Mapping[Direction, str] = {"output": IN, "input": OUT}
IN_AND_OUT = "Items enter a body by `$in` and leave it by `$out`."


def edge_problems(nesting: Nesting, placed: PlacedGraph, specs: Specs) -> Iterator[Problem]:
    """Edges of one graph that stand twice or lead nowhere; `specs` are the types that are known, by the node's key."""
    first: dict[Edge, int] = {}
    for index, edge in enumerate(placed.graph.edges):
        path = placed.path("edges", index)
        if edge in first:
            message = f"This edge stands at {placed.path('edges', first[edge])} already."
            yield Problem("edge.duplicate", path, message, "Remove one of the two.")
        first.setdefault(edge, index)
        yield from _end_problems(edge.source, f"{path}/from", nesting, placed, specs, "output")
        yield from _end_problems(edge.target, f"{path}/to", nesting, placed, specs, "input")


def cycle_problems(placed: PlacedGraph) -> Iterator[Problem]:
    """Ways that lead back to where they began, each at the last of its edges in the document."""
    edges = placed.graph.edges
    for cycle in find_cycles(placed.graph):
        steps = set(zip(cycle, (*cycle[1:], cycle[0]), strict=True))
        last = max(i for i, edge in enumerate(edges) if (edge.source.node, edge.target.node) in steps)
        way = " → ".join([*cycle, cycle[0]])
        yield Problem(
            "graph.cycle",
            placed.path("edges", last),
            f"These nodes lead back to themselves: {way}.",
            "Remove one of these edges. No loop is needed to handle every item, since each node does so by itself; "
            "what is to be repeated goes into the body of a `flow.while`.",
        )


def _end_problems(
    end: Endpoint, path: str, nesting: Nesting, placed: PlacedGraph, specs: Specs, direction: Direction
) -> Iterator[Problem]:
    if end.node in (IN, OUT):
        yield from _body_end_problems(end, path, placed, direction)
        return
    node = placed.graph.nodes.get(end.node)
    if node is None:
        other = end.node in nesting.of
        yield _other_graph(end.node, path, nesting, placed) if other else _unknown_node(end, path, placed, direction)
        return
    spec = specs.get(end.node)
    if spec is None:
        return  # The type is not known, and so are its ports; the type is a problem of its own.
    if direction == "input" and spec.trigger:
        message = f"`{end.node}` is a trigger: nothing leads into it."
        yield Problem("edge.into_trigger", path, message, "Remove this edge, or let it lead to another node.")
        return
    ports = output_ports(node, spec) if direction == "output" else input_ports(node, spec)
    if end.port not in ports:
        yield _unknown_port(end, path, placed, ports, direction)


def _body_end_problems(end: Endpoint, path: str, placed: PlacedGraph, direction: Direction) -> Iterator[Problem]:
    if placed.container is None:
        message = f"`{end.node}` exists only inside the body of a container."
        yield Problem("edge.outside_body", path, message, "Name a node's key.")
    elif end.node != BODY_END[direction]:
        enters = "`$in` is where items enter the body: nothing leads to it."
        leaves = "`$out` is where items leave the body: nothing comes from it."
        message = enters if end.node == IN else leaves
        advice = f"Write `{BODY_END[direction]}`, or the key of a node in this body."
        yield Problem("edge.wrong_end", path, message, advice)
    elif end.port != "main":
        yield Problem(
            "edge.unknown_port",
            path,
            f"`{end.node}` has no port `{end.port}`, only `main`.",
            f"Write `{end.node}`.",
            patch=({"op": "replace", "path": path, "value": end.node},),
        )


def _other_graph(key: str, path: str, nesting: Nesting, placed: PlacedGraph) -> Problem:
    container = nesting.container_of(key, placed)
    if container is None:
        message = f"`{key}` stands outside of this body, and no edge crosses its border."
        advice = f"{IN_AND_OUT} What `{key}` gave can be read by expressions where it runs before: `$node.{key}`."
    elif container.key in placed.graph.nodes:
        message = f"`{key}` stands inside a body of `{container.key}`, and no edge crosses its border."
        advice = f"{IN_AND_OUT} Out here write `{container.key}`."
    else:
        message = f"`{key}` stands in another body, and no edge crosses its border."
        advice = f"{IN_AND_OUT} Connect the containers, or move the node."
    return Problem("edge.other_graph", path, message, advice)


def _unknown_node(end: Endpoint, path: str, placed: PlacedGraph, direction: Direction) -> Problem:
    names = [*placed.graph.nodes, *([] if placed.container is None else [BODY_END[direction]])]
    match = closest(end.node, names)
    meant = "" if match is None else match if match in (IN, OUT) else _text(match, end.port)
    patch = () if match is None else ({"op": "replace", "path": path, "value": meant},)
    message = f"There is no node `{end.node}`."
    return Problem("edge.unknown_node", path, message, hint(end.node, names, "node"), patch=patch)


def _unknown_port(
    end: Endpoint, path: str, placed: PlacedGraph, ports: tuple[str, ...], direction: Direction
) -> Problem:
    key, port = end.node, end.port
    if port == ERROR_PORT and direction == "output":
        return Problem(
            "edge.unknown_port",
            path,
            f"`{key}` has the port `error` only when its `on_error` is `error_output`.",
            f'Set `"on_error": "error_output"` on `{key}`.',
            patch=({"op": "add", "path": placed.path("nodes", key, "on_error"), "value": "error_output"},),
        )
    names = [_text(key, name) for name in ports]
    # Nobody misspells `main`: it stands where no port was named, so that nothing is near it.
    match = ports[0] if len(ports) == 1 else closest(port, ports) if port != "main" else None
    if not ports:
        return Problem(
            "edge.unknown_port",
            path,
            f"With its parameters `{key}` has no {direction} ports.",
            f"Mend the parameters of `{key}`, which name its ports, or remove the edge.",
        )
    return Problem(
        "edge.unknown_port",
        path,
        f"`{key}` has no {direction} port `{port}`; it has {listed(ports)}.",
        f"Write `{_text(key, match)}`." if match else f"Write one of {listed(names)}.",
        patch=() if match is None else ({"op": "replace", "path": path, "value": _text(key, match)},),
    )


def _text(key: str, port: str) -> str:
    return key if port == "main" else f"{key}.{port}"

"""The validator's part for edges: their ends and ports exist, no way leads back, and triggers lead to every node."""

from collections.abc import Iterator, Mapping

from budflow.graph.cycles import find_cycles, reachable
from budflow.graph.ports import input_ports, output_ports
from budflow.graph.suggest import closest, hint, listed
from budflow.model.node import ERROR_PORT, NodeSpec
from budflow.model.problem import Problem
from budflow.model.workflow import Edge, Endpoint, Graph, Workflow

Specs = Mapping[str, NodeSpec]


def edge_problems(workflow: Workflow, specs: Specs) -> Iterator[Problem]:
    """Edges that stand twice or lead nowhere; `specs` are the types that are known, by the node's key."""
    first: dict[Edge, int] = {}
    for index, edge in enumerate(workflow.graph.edges):
        path = f"/edges/{index}"
        if edge in first:
            message = f"This edge stands at /edges/{first[edge]} already."
            yield Problem("edge.duplicate", path, message, "Remove one of the two.")
        first.setdefault(edge, index)
        yield from _end_problems(edge.source, f"{path}/from", workflow.graph, specs, "output")
        yield from _end_problems(edge.target, f"{path}/to", workflow.graph, specs, "input")


def cycle_problems(graph: Graph) -> Iterator[Problem]:
    """Ways that lead back to where they began, each at the last of its edges in the document."""
    for cycle in find_cycles(graph):
        steps = set(zip(cycle, (*cycle[1:], cycle[0]), strict=True))
        last = max(i for i, edge in enumerate(graph.edges) if (edge.source.node, edge.target.node) in steps)
        way = " → ".join([*cycle, cycle[0]])
        yield Problem(
            "graph.cycle",
            f"/edges/{last}",
            f"These nodes lead back to themselves: {way}.",
            "Remove one of these edges. No loop is needed to handle every item: each node does so by itself.",
        )


def reach_problems(workflow: Workflow, specs: Specs) -> Iterator[Problem]:
    """No trigger that can fire, or nodes to which no trigger leads."""
    graph = workflow.graph
    triggers = [key for key, spec in specs.items() if spec.trigger]
    enabled = [key for key in triggers if not graph.nodes[key].disabled]
    entered = {edge.target.node for edge in graph.edges}
    # Neither a misspelt type nor an edge from a misspelt node is to be told a second time as a missing trigger.
    unclear = [key for key in graph.nodes if key not in specs and key not in entered]
    unclear += [edge.target.node for edge in graph.edges if edge.source.node not in graph.nodes]
    if not triggers and not unclear:
        yield Problem(
            "graph.no_trigger",
            "/nodes",
            "No node of this workflow is a trigger.",
            'Add a node of type `trigger.manual` or `trigger.webhook`, such as "start": {"type": "trigger.manual"}, '
            "and an edge from it to the first node.",
            blocks="run",
        )
        return
    if triggers and not enabled:
        for key in triggers:
            path = f"/nodes/{key}/disabled"
            patch = ({"op": "replace", "path": path, "value": False},)
            message = f"The trigger `{key}` is disabled, and there is no other: nothing can start this workflow."
            yield Problem("trigger.disabled", path, message, "Enable it.", blocks="run", patch=patch)
    within = reachable(graph, [*triggers, *unclear])
    for key in graph.nodes:
        if key not in within:
            message = f"No trigger leads to `{key}`: it would never run."
            advice = "Add an edge to it from a node that runs, or remove it."
            yield Problem("graph.unreachable", f"/nodes/{key}", message, advice, blocks="publish")


def _end_problems(end: Endpoint, path: str, graph: Graph, specs: Specs, direction: str) -> Iterator[Problem]:
    if end.node.startswith("$"):
        message = f"`{end.node}` exists only inside the body of a container."
        yield Problem("edge.outside_body", path, message, "Name a node's key.")
        return
    node = graph.nodes.get(end.node)
    if node is None:
        yield _unknown_node(end, path, graph)
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
        yield _unknown_port(end, path, ports, direction)


def _unknown_node(end: Endpoint, path: str, graph: Graph) -> Problem:
    match = closest(end.node, graph.nodes)
    patch = () if match is None else ({"op": "replace", "path": path, "value": _text(match, end.port)},)
    message = f"There is no node `{end.node}`."
    return Problem("edge.unknown_node", path, message, hint(end.node, graph.nodes, "node"), patch=patch)


def _unknown_port(end: Endpoint, path: str, ports: tuple[str, ...], direction: str) -> Problem:
    key, port = end.node, end.port
    if port == ERROR_PORT and direction == "output":
        return Problem(
            "edge.unknown_port",
            path,
            f"`{key}` has the port `error` only when its `on_error` is `error_output`.",
            f'Set `"on_error": "error_output"` on `{key}`.',
            patch=({"op": "add", "path": f"/nodes/{key}/on_error", "value": "error_output"},),
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

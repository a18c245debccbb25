"""The validator's part for what would never run: no trigger, nodes that nothing leads to, bodies without a way out."""

from collections.abc import Iterator

from budflow.graph.cycles import reachable
from budflow.graph.nesting import PlacedGraph
from budflow.graph.validate_edges import Specs
from budflow.model.problem import Problem
from budflow.model.workflow import IN, OUT

ADD_EDGE = "Add an edge to it from a node that runs, or remove it."


def trigger_problems(own: PlacedGraph, specs: Specs) -> Iterator[Problem]:
    """No trigger in the workflow's own graph that can fire; no node to which a trigger leads."""
    graph = own.graph
    triggers = [key for key in graph.nodes if key in specs and specs[key].trigger]
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
            "Add a node of type `trigger.manual`, `trigger.webhook` or `trigger.schedule`, such as "
            '"start": {"type": "trigger.manual"}, and an edge from it to the first node.',
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
            yield Problem("graph.unreachable", f"/nodes/{key}", message, ADD_EDGE, blocks="publish")


def flow_problems(placed: PlacedGraph, specs: Specs) -> Iterator[Problem]:
    """Nodes of a body that `$in` does not lead to, and a body from which nothing comes out.

    A body that its container does without (`optional`, such as `finally`) is run for what it does: it needs no `$out`.
    """
    graph = placed.graph
    begins = {*graph.nodes, IN}
    ends = {*graph.nodes, OUT}
    sources, targets = {edge.source.node for edge in graph.edges}, {edge.target.node for edge in graph.edges}
    entered = [edge.target.node for edge in graph.edges if edge.source.node == IN]
    # What is wrong already is not to be told again: a trigger in a body, an end that does not exist here.
    unclear = [key for key in graph.nodes if key in specs and specs[key].trigger]
    unclear += [edge.target.node for edge in graph.edges if edge.source.node not in begins]
    within = reachable(graph, [*entered, *unclear])
    lost = [key for key in graph.nodes if key not in within]
    if lost and not entered and not unclear:
        first = next((key for key in lost if key not in targets), lost[0])
        message = "No edge of this body begins with `$in`: nothing in it would run."
        advice = f'Add one to where items enter, such as {{"from": "$in", "to": "{first}"}}.'
        yield Problem("graph.unreachable", placed.path(), message, advice, blocks="publish")
    else:
        for key in lost:
            message = f"`$in` does not lead to `{key}`: it would never run."
            yield Problem("graph.unreachable", placed.path("nodes", key), message, ADD_EDGE, blocks="publish")
    if OUT not in targets and targets <= ends and _must_give(placed, specs):
        last = next((key for key in reversed(list(graph.nodes)) if key not in sources), IN)
        message = "Nothing leads to `$out` in this body: it would give no items."
        advice = f'Add an edge from where items leave, such as {{"from": "{last}", "to": "$out"}}.'
        yield Problem("graph.no_exit", placed.path(), message, advice, blocks="publish")


def _must_give(placed: PlacedGraph, specs: Specs) -> bool:
    """Whether the type of the container takes this body for the items that come out of it."""
    spec = specs.get(placed.container.key) if placed.container is not None else None
    return spec is not None and (spec.bodies.named_by_author or placed.name in spec.bodies.required)

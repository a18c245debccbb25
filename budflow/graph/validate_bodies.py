"""The validator's part for containers: the bodies that a node's type takes, and what may not stand in them."""

from collections.abc import Iterator, Mapping

from budflow.graph.nesting import PlacedGraph
from budflow.graph.suggest import closest, listed
from budflow.graph.validate_edges import Specs
from budflow.model.control import NO_BODIES
from budflow.model.node import NodeSpec
from budflow.model.problem import Problem
from budflow.model.workflow import Node

SHAPE = '{"nodes": {…}, "edges": [{"from": "$in", "to": "…"}, {"from": "…", "to": "$out"}]}'


def refused_bodies(placed: PlacedGraph, specs: Specs) -> Iterator[Problem]:
    """Bodies of nodes whose type is no container."""
    for key, node in placed.graph.nodes.items():
        if node.bodies and key in specs and specs[key].bodies == NO_BODIES:
            path = placed.path("nodes", key, "bodies")
            yield Problem(
                "node.no_bodies",
                path,
                f"`{node.type}` takes no bodies.",
                "Remove `bodies`; put its nodes beside the others, or into a workflow called by `flow.sub_workflow`.",
                patch=({"op": "remove", "path": path},),
            )


def body_problems(placed: PlacedGraph, node: Node, spec: NodeSpec) -> Iterator[Problem]:
    """Bodies that a container lacks or does not know; and a trigger that stands in a body."""
    if spec.trigger and placed.container is not None:
        message = f"`{node.type}` cannot stand in a body: a trigger starts a whole workflow."
        advice = "Remove it, and let `$in` lead to what follows it: items enter a body there."
        yield Problem("trigger.in_body", placed.path("nodes", node.key), message, advice, "run")
    taken = spec.bodies
    if taken == NO_BODIES:
        return
    path = placed.path("nodes", node.key, "bodies")
    if taken.named_by_author:
        if not node.bodies:
            message = f"`{node.type}` needs at least one body, by a name of your choice."
            yield Problem("node.missing_body", path, message, f'Add it, such as "first": {SHAPE}.', "run")
        elif taken.at_least is not None and (needed := taken.at_least(node.params)) > len(node.bodies):
            message = f"With these parameters `{node.type}` needs {needed} bodies, and there are {len(node.bodies)}."
            yield Problem("node.missing_body", path, message, "Add bodies, or ask for fewer in `params`.", "run")
        return
    meant = _meant(node, (*taken.required, *taken.optional))
    for name, match in meant.items():
        message = f"`{node.type}` takes no body `{name}`."
        patch = () if match is None else ({"op": "move", "from": f"{path}/{name}", "path": f"{path}/{match}"},)
        yield Problem("node.unknown_body", f"{path}/{name}", message, _advice(name, match, spec), "run", patch)
    for name in taken.required:
        # What is only misspelt is not to be told a second time as missing.
        if name not in node.bodies and name not in meant.values():
            message = f"`{node.type}` needs the body `{name}`."
            yield Problem("node.missing_body", f"{path}/{name}", message, f'Add it: "{name}": {SHAPE}.', "run")


def _meant(node: Node, names: tuple[str, ...]) -> Mapping[str, str | None]:
    """Each body that the type does not know → the one that was most likely meant and is not there."""
    free = [name for name in names if name not in node.bodies]
    found: dict[str, str | None] = {}
    for name in node.bodies:
        if name not in names:
            match = free[0] if len(names) == 1 and free else closest(name, free)
            found[name] = match
            if match is not None:
                free.remove(match)
    return found


def _advice(name: str, match: str | None, spec: NodeSpec) -> str:
    if match is not None:
        return f"Did you mean `{match}`?"
    return f"It takes {listed((*spec.bodies.required, *spec.bodies.optional))}; remove `{name}`."

"""The one validator: behind validate, create, update, publish and run. It reports every problem at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from budflow.graph.cycles import ancestors, find_cycle
from budflow.graph.parse import parse
from budflow.graph.suggest import closest, hint
from budflow.graph.validate_params import params_problems
from budflow.model.node import ERROR_PORT, NodeSpec
from budflow.model.problem import Blocks, Problem, WorkflowInvalid
from budflow.model.workflow import Edge, Node, Settings, Workflow
from budflow.nodes.registry import Registry


@dataclass(frozen=True, slots=True)
class Checked:
    """What the validator found. `workflow` is None when the shape itself is broken."""

    workflow: Workflow | None
    problems: tuple[Problem, ...]

    def blocking(self, step: Blocks) -> tuple[Problem, ...]:
        """The problems that forbid `step`: a workflow that may not be saved may not be published or run either."""
        return tuple(problem for problem in self.problems if _forbids(problem.blocks, step))

    def require(self, step: Blocks) -> Workflow:
        """The workflow, or WorkflowInvalid with all problems when one of them forbids `step`."""
        if self.workflow is None or self.blocking(step):
            raise WorkflowInvalid(problems=self.problems)
        return self.workflow


def check(data: object, registry: Registry) -> Checked:
    """Parse and validate a document given as plain JSON data."""
    try:
        workflow = parse(data)
    except WorkflowInvalid as error:
        return Checked(None, error.problems)
    return Checked(workflow, tuple(_problems(workflow, registry)))


def _forbids(blocks: Blocks, step: Blocks) -> bool:
    # What cannot be saved or run cannot be published either; a draft that cannot be published may still run by hand.
    return blocks in ("save", step) or (blocks, step) == ("run", "publish")


def _problems(workflow: Workflow, registry: Registry) -> Iterator[Problem]:
    specs: dict[str, NodeSpec] = {}
    for key, node in workflow.graph.nodes.items():
        spec = registry.get(node.type, node.type_version)
        if spec is None:
            yield _unknown_type(node, registry)
        else:
            specs[key] = spec
            yield from _node_problems(node, spec)
    yield from _edge_problems(workflow, specs)
    upstream = ancestors(workflow.graph)
    yield from _graph_problems(workflow, specs, upstream)
    for key, spec in specs.items():
        yield from params_problems(workflow, workflow.graph.nodes[key], spec, upstream[key])
    yield from _settings_problems(workflow.settings)


def _unknown_type(node: Node, registry: Registry) -> Problem:
    path = f"/nodes/{node.key}/type"
    newest = registry.get(node.type)
    if newest is not None:
        return Problem(
            "node.unknown_version",
            f"/nodes/{node.key}/type_version",
            f"`{node.type}` has no version {node.type_version}.",
            f"The newest version is {newest.version}; leave `type_version` out to take it.",
        )
    names = [spec.name for spec in registry.types()]
    match = closest(node.type, names) or registry.closest(node.type)
    patch = ({"op": "replace", "path": path, "value": match},) if match else ()
    advice = f"Did you mean `{match}`?" if match else hint(node.type, names, "node type")
    return Problem("node.unknown_type", path, f"There is no node type `{node.type}`.", advice, patch=patch)


def _node_problems(node: Node, spec: NodeSpec) -> Iterator[Problem]:
    path = f"/nodes/{node.key}"
    if node.bodies:
        yield Problem("node.no_bodies", f"{path}/bodies", f"`{node.type}` takes no bodies.", "Remove `bodies`.")
    if node.credentials:
        yield Problem(
            "credential.unavailable",
            f"{path}/credentials",
            "This release keeps no credentials.",
            "Leave `credentials` out.",
            blocks="run",
        )
    if spec.trigger and node.disabled:
        yield Problem(
            "trigger.disabled", f"{path}/disabled", "A disabled trigger never fires.", "Enable it.", blocks="publish"
        )
    for name, amount in node.resources.items():
        if amount < 0:
            yield Problem("node.resource_negative", f"{path}/resources/{name}", "Less than nothing.", "Use 0 or more.")
    if spec.kind == "control" and (node.resources or node.retry.tries > 1):
        what = "resources" if node.resources else "retry"
        yield Problem(
            "node.not_for_control", f"{path}/{what}", f"`{node.type}` takes no `{what}`.", f"Remove `{what}`."
        )


def _edge_problems(workflow: Workflow, specs: Mapping[str, NodeSpec]) -> Iterator[Problem]:
    seen: set[Edge] = set()
    nodes = workflow.graph.nodes
    for index, edge in enumerate(workflow.graph.edges):
        path = f"/edges/{index}"
        if edge in seen:
            yield Problem("edge.duplicate", path, "This edge stands twice.", "Remove one of the two.")
        seen.add(edge)
        for side, end in (("from", edge.source), ("to", edge.target)):
            if end.node.startswith("$"):
                yield Problem(
                    "edge.outside_body", f"{path}/{side}", f"`{end.node}` exists only in bodies.", "Name a node's key."
                )
            elif end.node not in nodes:
                message = f"There is no node `{end.node}`."
                yield Problem("edge.unknown_node", f"{path}/{side}", message, hint(end.node, nodes, "node"))
        yield from _port_problems(edge, path, nodes, specs)


def _port_problems(
    edge: Edge, path: str, nodes: Mapping[str, Node], specs: Mapping[str, NodeSpec]
) -> Iterator[Problem]:
    source, target = specs.get(edge.source.node), specs.get(edge.target.node)
    if source is not None:
        ports = outputs_of(nodes[edge.source.node], source)
        if edge.source.port not in ports:
            yield _unknown_port(edge.source.node, edge.source.port, ports, f"{path}/from", "output")
    if target is not None:
        if target.trigger:
            yield Problem(
                "edge.into_trigger",
                f"{path}/to",
                f"`{edge.target.node}` is a trigger: nothing leads into it.",
                "Remove.",
            )
        else:
            inputs = target.input_ports(nodes[edge.target.node].params)
            if edge.target.port not in inputs:
                yield _unknown_port(edge.target.node, edge.target.port, inputs, f"{path}/to", "input")


def _unknown_port(key: str, port: str, ports: tuple[str, ...], path: str, direction: str) -> Problem:
    if port == ERROR_PORT and direction == "output":
        advice = f'Set `on_error` of `{key}` to `"error_output"` to get the port `error`.'
        patch: tuple[dict[str, Any], ...] = ({"op": "add", "path": f"/nodes/{key}/on_error", "value": "error_output"},)
    else:
        match = closest(port, ports) or (ports[0] if len(ports) == 1 else None)
        advice = hint(port, ports, "port") if len(ports) != 1 else f"Its only {direction} port is `{ports[0]}`."
        patch = () if match is None else ({"op": "replace", "path": path, "value": f"{key}.{match}"},)
    return Problem(
        "edge.unknown_port",
        path,
        f"`{key}` has no {direction} port `{port}`; it has {', '.join(ports)}.",
        advice,
        patch=patch,
    )


def outputs_of(node: Node, spec: NodeSpec) -> tuple[str, ...]:
    """The output ports that a node has with these parameters, `error` among them where `on_error` asks for it."""
    ports = spec.output_ports(node.params)
    return (*ports, ERROR_PORT) if node.on_error == "error_output" else ports


def _graph_problems(
    workflow: Workflow, specs: Mapping[str, NodeSpec], upstream: Mapping[str, frozenset[str]]
) -> Iterator[Problem]:
    graph = workflow.graph
    cycle = find_cycle(graph)
    if cycle:
        way = " → ".join([*cycle, cycle[0]])
        yield Problem(
            "graph.cycle", "/edges", f"These nodes lead back to themselves: {way}.", "Remove one of the edges."
        )
    triggers = [key for key, spec in specs.items() if spec.trigger]
    if not triggers:
        yield Problem(
            "graph.no_trigger",
            "/nodes",
            "No node of this workflow is a trigger.",
            "Add a `trigger.webhook` or a `trigger.manual` and an edge from it to the first node.",
            blocks="run",
        )
        return
    for key in specs:
        if key not in triggers and upstream[key].isdisjoint(triggers):
            yield Problem(
                "graph.unreachable",
                f"/nodes/{key}",
                f"No trigger leads to `{key}`: it would never run.",
                "Add an edge to it, or remove it.",
                blocks="publish",
            )


def _settings_problems(settings: Settings) -> Iterator[Problem]:
    try:
        ZoneInfo(settings.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield Problem(
            "settings.unknown_timezone",
            "/settings/timezone",
            f"There is no time zone `{settings.timezone}`.",
            "Use a name of the IANA database, such as `Europe/Vienna`.",
        )
    default = Settings()
    # Honest rather than silent: these belong to the format, and this release does not act on them yet.
    for name in ("journal", "on_crash", "error_workflow", "max_concurrency", "concurrency_key"):
        if getattr(settings, name) != getattr(default, name):
            message = f"This release does not act on `{name}`."
            yield Problem("settings.unavailable", f"/settings/{name}", message, "Leave it out.", blocks="run")

"""The plan: a checked workflow compiled for running, with nodes as numbers, ports resolved and light chains fused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from budflow.errors import BudflowError
from budflow.graph.cycles import order
from budflow.graph.params import ParamsTemplate, compile_params
from budflow.graph.ports import input_ports, output_ports
from budflow.model.node import NodeSpec
from budflow.model.workflow import Graph, Node, Settings, Workflow
from budflow.nodes.registry import Registry

Weight = Literal["light", "heavy", "control"]


class TriggerMissing(BudflowError):
    """The workflow has no trigger that can start it this way."""

    code = "workflow.no_such_trigger"
    http_status = 422
    hint = "Name one of its trigger nodes; a workflow that others call needs a `trigger.manual`."


class NodeTypeMissing(BudflowError):
    """The workflow needs a node type that this server does not have."""

    code = "node.unknown_type"
    http_status = 422
    hint = "Install the package that brings the type, or change the node."


@dataclass(frozen=True, slots=True)
class Source:
    """Where items come from: output port number `port` of node number `node`."""

    node: int
    port: int


@dataclass(frozen=True, slots=True)
class PlanNode:
    """One node, ready to run.

    `inputs` are the sources of each input port in document order; `targets` the nodes that each output port leads to,
    one entry an edge. `edges_in` is the number of edges that must settle before the node can.
    """

    index: int
    key: str
    node: Node
    spec: NodeSpec
    params: ParamsTemplate
    input_names: tuple[str, ...]
    inputs: tuple[tuple[Source, ...], ...]
    output_names: tuple[str, ...]
    targets: tuple[tuple[int, ...], ...]
    edges_in: int
    weight: Weight


@dataclass(frozen=True, slots=True)
class Segment:
    """What runs in one place: a fused chain of light nodes in their order, or one heavy or control node."""

    nodes: tuple[int, ...]
    weight: Weight


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled version; nodes, triggers and sinks stand in the order of the document.

    `triggers` are those that can fire, without the disabled ones; `sinks` are the nodes that lead nowhere.
    `segment_of[node]` is the number of the node's segment.
    """

    workflow_id: str
    version: int
    name: str
    settings: Settings
    nodes: tuple[PlanNode, ...]
    index: Mapping[str, int]
    triggers: tuple[int, ...]
    sinks: tuple[int, ...]
    segments: tuple[Segment, ...]
    segment_of: tuple[int, ...]

    def trigger(self, key: str | None, kind: str = "trigger.manual") -> PlanNode:
        """The trigger with this key, or the first of type `kind`. Raises TriggerMissing."""
        for number in self.triggers:
            found = self.nodes[number]
            if found.key == key or (key is None and found.spec.name == kind):
                return found
        what = f"trigger `{key}`" if key is not None else f"`{kind}`"
        keys = [self.nodes[number].key for number in self.triggers]
        raise TriggerMissing(f"The workflow `{self.name}` has no {what}.", triggers=keys)


def compile_plan(workflow: Workflow, registry: Registry, *, workflow_id: str = "", version: int = 0) -> Plan:
    """Compile a workflow that the validator let pass for running."""
    graph = workflow.graph
    index = {key: number for number, key in enumerate(graph.nodes)}
    nodes = _nodes(graph, index, {key: _spec(node, registry) for key, node in graph.nodes.items()})
    segments = _fuse(nodes, [index[key] for key in order(graph)])
    segment_of = [0] * len(nodes)
    for number, segment in enumerate(segments):
        for member in segment.nodes:
            segment_of[member] = number
    return Plan(
        workflow_id=workflow_id,
        version=version,
        name=workflow.name,
        settings=workflow.settings,
        nodes=nodes,
        index=index,
        triggers=tuple(node.index for node in nodes if node.spec.trigger and not node.node.disabled),
        sinks=tuple(node.index for node in nodes if not any(node.targets)),
        segments=segments,
        segment_of=tuple(segment_of),
    )


def _nodes(graph: Graph, index: Mapping[str, int], specs: Mapping[str, NodeSpec]) -> tuple[PlanNode, ...]:
    inputs = {key: input_ports(node, specs[key]) for key, node in graph.nodes.items()}
    outputs = {key: output_ports(node, specs[key]) for key, node in graph.nodes.items()}
    sources: dict[str, list[list[Source]]] = {key: [[] for _ in ports] for key, ports in inputs.items()}
    targets: dict[str, list[list[int]]] = {key: [[] for _ in ports] for key, ports in outputs.items()}
    for edge in graph.edges:
        out = outputs[edge.source.node].index(edge.source.port)
        into = inputs[edge.target.node].index(edge.target.port)
        sources[edge.target.node][into].append(Source(index[edge.source.node], out))
        targets[edge.source.node][out].append(index[edge.target.node])
    return tuple(
        PlanNode(
            index=index[key],
            key=key,
            node=node,
            spec=specs[key],
            params=compile_params(specs[key].params, node.params),
            input_names=inputs[key],
            inputs=tuple(tuple(port) for port in sources[key]),
            output_names=outputs[key],
            targets=tuple(tuple(port) for port in targets[key]),
            edges_in=sum(len(port) for port in sources[key]),
            weight=_weight(node, specs[key]),
        )
        for key, node in graph.nodes.items()
    )


def _spec(node: Node, registry: Registry) -> NodeSpec:
    spec = registry.get(node.type, node.type_version)
    if spec is None:
        raise NodeTypeMissing(f"This server has no node type `{node.type}` in version {node.type_version}.")
    return spec


def _weight(node: Node, spec: NodeSpec) -> Weight:
    if spec.kind == "control":
        return "control"
    return "heavy" if spec.heavy or node.resources else "light"


def _fuse(nodes: tuple[PlanNode, ...], ordered: list[int]) -> tuple[Segment, ...]:
    """Chains of light nodes in which each leads only to the next and the next has no other source."""
    segments: list[Segment] = []
    placed: set[int] = set()
    for start in ordered:
        if start in placed:
            continue
        chain = [start]
        while nodes[chain[-1]].weight == "light":
            following = [target for port in nodes[chain[-1]].targets for target in port]
            if len(following) != 1:
                break
            [next_one] = following
            if nodes[next_one].weight != "light" or nodes[next_one].edges_in != 1:
                break
            chain.append(next_one)
        placed.update(chain)
        segments.append(Segment(tuple(chain), nodes[start].weight))
    return tuple(segments)

"""The plan: a checked workflow compiled for running, with nodes as numbers, ports resolved and light chains fused.

The nodes of all its graphs stand in one row: first those of the workflow itself, then body after body. Each graph has
a number too; 0 is the workflow's own.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from budflow.errors import BudflowError
from budflow.graph.credential_needs import CredentialNeed, credential_needs
from budflow.graph.cycles import order
from budflow.graph.params import ParamsTemplate, compile_params
from budflow.graph.ports import input_ports, output_ports
from budflow.model.node import NodeSpec
from budflow.model.workflow import IN, OUT, Graph, Node, Settings, Workflow
from budflow.nodes.registry import Registry

Weight = Literal["light", "heavy", "control"]

#: In place of a node's number: where items enter a body (`$in`), and where they leave it (`$out`).
ENTRY, EXIT = -1, -2


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
    """Where items come from: output port number `port` of node number `node`, or of ENTRY, a body's `$in`."""

    node: int
    port: int


@dataclass(frozen=True, slots=True)
class PlanNode:
    """One node, ready to run.

    `inputs` are the sources of each input port in document order; `targets` the nodes that each output port leads to,
    one entry an edge. `edges_in` is the number of edges that must settle before the node can. `graph` is the number of
    the graph that it stands in, `depth` the number of loops around it, `bodies` the numbers of its own graphs by name.
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
    graph: int = 0
    depth: int = 0
    bodies: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlanGraph:
    """One graph: the workflow's own, or the body `name` of the node `container` (None for the workflow's own).

    `ordered` are its nodes, every one after its sources. `entries` are the nodes that `$in` leads to, one an edge, and
    `exits` the sources of `$out`, both in document order.
    `depth` is the number of loops around its nodes, its own included where it is one. A `light` body only computes:
    all its nodes are light, pure whatever their parameters are, and see whole lists or batches.
    """

    number: int
    nodes: tuple[int, ...]
    ordered: tuple[int, ...] = ()
    container: int | None = None
    name: str = ""
    entries: tuple[int, ...] = ()
    exits: tuple[Source, ...] = ()
    depth: int = 0
    light: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """What runs in one place: a fused chain of light nodes in their order, or one heavy or control node."""

    nodes: tuple[int, ...]
    weight: Weight


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled version; nodes, triggers and sinks stand in the order of the document.

    `names` are the `$names`, without `$`, that any of its expressions reads. `author` is who saved the version: with
    what that principal may do it uses credentials, and `credentials` are those that it names.

    `triggers` are those that can fire, without the disabled ones; `sinks` are the nodes that lead nowhere, none of
    them in a body. `segment_of[node]` is the number of the node's segment.
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
    graphs: tuple[PlanGraph, ...]
    names: frozenset[str] = frozenset()
    author: str = ""
    credentials: tuple[CredentialNeed, ...] = ()

    def trigger(self, key: str | None, kind: str = "trigger.manual") -> PlanNode:
        """The trigger with this key, or the first of type `kind`. Raises TriggerMissing."""
        for number in self.triggers:
            found = self.nodes[number]
            if found.key == key or (key is None and found.spec.name == kind):
                return found
        what = f"trigger `{key}`" if key is not None else f"`{kind}`"
        keys = [self.nodes[number].key for number in self.triggers]
        raise TriggerMissing(f"The workflow `{self.name}` has no {what}.", triggers=keys)


def compile_plan(
    workflow: Workflow, registry: Registry, *, workflow_id: str = "", version: int = 0, author: str = ""
) -> Plan:
    """Compile a workflow that the validator let pass for running."""
    compiler = _Compiler(registry)
    compiler.add(workflow.graph)
    nodes = tuple(compiler.nodes)
    segments = _fuse(nodes, compiler.ordered)
    segment_of = [0] * len(nodes)
    for number, segment in enumerate(segments):
        for member in segment.nodes:
            segment_of[member] = number
    own = compiler.graphs[0]
    return Plan(
        workflow_id=workflow_id,
        version=version,
        name=workflow.name,
        settings=workflow.settings,
        nodes=nodes,
        index=compiler.index,
        triggers=tuple(n for n in own.nodes if nodes[n].spec.trigger and not nodes[n].node.disabled),
        sinks=tuple(n for n in own.nodes if not any(nodes[n].targets)),
        segments=segments,
        segment_of=tuple(segment_of),
        graphs=tuple(compiler.graphs),
        names=frozenset().union(*(node.params.names for node in nodes)),
        author=author,
        # Most plans need none, and what then follows costs them nothing.
        credentials=credential_needs(workflow, registry) if any(node.node.credentials for node in nodes) else (),
    )


class _Compiler:
    """Numbers nodes and graphs in document order, a graph before the bodies inside it."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.nodes: list[PlanNode] = []
        self.graphs: list[PlanGraph] = []
        self.index: dict[str, int] = {}
        self.ordered: list[int] = []  # Every node after its sources.
        self._triggers: frozenset[str] = frozenset()

    def add(self, graph: Graph) -> None:
        """Compile the workflow's own graph and all that is inside it."""
        pending: deque[tuple[Graph, PlanGraph]] = deque([(graph, PlanGraph(0, ()))])
        count = 1  # Numbers are given away when a body is met, which is before it is compiled.
        while pending:
            inner, empty = pending.popleft()
            compiled = self._graph(inner, empty)
            for number in compiled.nodes:
                node = self.nodes[number]
                numbers = {}
                for name, body in node.node.bodies.items():
                    numbers[name] = count
                    depth = node.depth + node.spec.bodies.loops
                    pending.append((body, PlanGraph(count, (), container=number, name=name, depth=depth)))
                    count += 1
                if numbers:
                    self.nodes[number] = replace(node, bodies=numbers)

    def _graph(self, graph: Graph, empty: PlanGraph) -> PlanGraph:
        first = len(self.nodes)
        local = {key: first + position for position, key in enumerate(graph.nodes)}
        specs = {key: _spec(node, self._registry) for key, node in graph.nodes.items()}
        self.index.update(local)
        if not empty.number:
            self._triggers = frozenset(
                key for key, node in graph.nodes.items() if specs[key].trigger and not node.disabled
            )
        inputs = {key: input_ports(node, specs[key]) for key, node in graph.nodes.items()}
        outputs = {key: output_ports(node, specs[key]) for key, node in graph.nodes.items()}
        sources: dict[str, list[list[Source]]] = {key: [[] for _ in ports] for key, ports in inputs.items()}
        targets: dict[str, list[list[int]]] = {key: [[] for _ in ports] for key, ports in outputs.items()}
        entries: list[int] = []
        exits: list[Source] = []
        for edge in graph.edges:
            source = ENTRY if edge.source.node == IN else local[edge.source.node]
            target = EXIT if edge.target.node == OUT else local[edge.target.node]
            out = 0 if source == ENTRY else outputs[edge.source.node].index(edge.source.port)
            (entries if source == ENTRY else targets[edge.source.node][out]).append(target)
            if target == EXIT:
                exits.append(Source(source, out))
            else:
                sources[edge.target.node][inputs[edge.target.node].index(edge.target.port)].append(Source(source, out))
        new = [
            PlanNode(
                index=local[key],
                key=key,
                node=node,
                spec=specs[key],
                params=_with_triggers(compile_params(specs[key].params, node.params), self._triggers),
                input_names=inputs[key],
                inputs=tuple(tuple(port) for port in sources[key]),
                output_names=outputs[key],
                targets=tuple(tuple(port) for port in targets[key]),
                edges_in=sum(len(port) for port in sources[key]),
                weight=_weight(node, specs[key]),
                graph=empty.number,
                depth=empty.depth,
            )
            for key, node in graph.nodes.items()
        ]
        self.nodes.extend(new)
        ordered = tuple(local[key] for key in order(graph))
        self.ordered.extend(ordered)
        compiled = replace(
            empty,
            nodes=tuple(local.values()),
            ordered=ordered,
            entries=tuple(entries),
            exits=tuple(exits),
            light=empty.container is not None and all(_only_computes(node) for node in new),
        )
        self.graphs.append(compiled)
        return compiled


def _with_triggers(params: ParamsTemplate, triggers: frozenset[str]) -> ParamsTemplate:
    """Who reads `$trigger` reads the trigger that fires, which may be any of them."""
    return replace(params, node_keys=params.node_keys | triggers) if "trigger" in params.names else params


def _only_computes(node: PlanNode) -> bool:
    return (
        node.weight == "light"
        and node.spec.kind in ("batch", "list")
        and not node.spec.awaits
        and not node.spec.static
        and node.spec.effect == "pure"
        and node.node.effect in (None, "pure")
        and node.node.timeout_seconds is None
    )


def _spec(node: Node, registry: Registry) -> NodeSpec:
    spec = registry.get(node.type, node.type_version)
    if spec is None:
        raise NodeTypeMissing(f"This server has no node type `{node.type}` in version {node.type_version}.")
    return spec


def _weight(node: Node, spec: NodeSpec) -> Weight:
    if spec.kind == "control":
        return "control"
    if spec.sandboxed:  # It waits for the sandbox, which has limits of its own.
        return "light"
    return "heavy" if spec.heavy or node.resources or node.labels else "light"


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
            if len(following) != 1 or following[0] == EXIT:
                break
            [next_one] = following
            if nodes[next_one].weight != "light" or nodes[next_one].edges_in != 1:
                break
            chain.append(next_one)
        placed.update(chain)
        segments.append(Segment(tuple(chain), nodes[start].weight))
    return tuple(segments)

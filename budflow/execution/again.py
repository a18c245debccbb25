"""What a fork runs again: a node and all behind it, in its own graph and in those around it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from budflow.errors import BudflowError
from budflow.execution.frames import around
from budflow.execution.state import At, FrameId
from budflow.graph.cycles import ancestors, reachable
from budflow.graph.plan import ENTRY, Plan, Source
from budflow.model.workflow import Edge, Endpoint, Graph


class VersionDiffers(BudflowError):
    """The other version differs in what would not be run again."""

    code = "execution.version_differs"
    http_status = 409
    hint = "Fork from the first of the changed nodes, or start the other version anew."


@dataclass(frozen=True, slots=True)
class Again:
    """What is to run again. `behind` are numbers of nodes by graph: those and all inside them run again.

    `opened` are the containers around the node that the fork begins with: they go on with what is kept of their
    bodies. `rounds` None means every round of the loops around that node. Nothing at all is run again by `Again()`,
    but for what never ended well.
    """

    behind: Mapping[int, frozenset[int]] = field(default_factory=dict)
    opened: frozenset[int] = frozenset()
    rounds: tuple[int, ...] | None = None

    def runs(self, plan: Plan, at: At) -> bool:
        """Whether a run of a node is run again."""
        runs = (at, *(container for container, _ in around(plan, at)))
        return any(
            one.node in self.behind.get(plan.nodes[one.node].graph, ()) and self._meant(one.rounds) for one in runs
        )

    def opens(self, at: At) -> bool:
        """Whether a run of a container is taken up in the middle, though it has ended."""
        return at.node in self.opened and self._meant(at.rounds)

    def enters(self, frame: FrameId) -> bool:
        """Whether a run of a body has something that is run again."""
        return frame.graph in self.behind and self._meant(frame.rounds)

    def _meant(self, rounds: tuple[int, ...]) -> bool:
        return self.rounds is None or rounds == self.rounds[: len(rounds)]


def again_from(plan: Plan, key: str, rounds: tuple[int, ...] | None = None, before: Plan | None = None) -> Again:
    """What a fork from the node `key` on runs again.

    `before` is the plan that the kept events were made by, where it is another version's: what else changed is run
    again too. Raises VersionDiffers where that is something that leads to the node.
    """
    changed = set() if before is None else _changed(plan, before)
    changed.discard(key)
    begin, leading = {key}, set[str]()
    behind: dict[int, frozenset[int]] = {}
    opened: set[int] = set()
    here = plan.nodes[plan.index[key]]
    while True:
        graph = _graph(plan, here.graph)
        leading |= ancestors(graph, [here.key])[here.key]
        if wrong := sorted(leading & changed):
            named = ", ".join(f"`{one}`" for one in wrong)
            raise VersionDiffers(f"What leads to `{key}` is not as it was: {named}.", nodes=wrong)
        again = reachable(graph, begin | (changed & graph.nodes.keys())) | reachable(graph, [here.key]) - {here.key}
        behind[here.graph] = frozenset(plan.index[one] for one in again)
        container = plan.graphs[here.graph].container
        if container is None:
            # Which rounds of a loop are meant says little where what is in it changed.
            return Again(behind, frozenset(opened), rounds if before is None else None)
        here = plan.nodes[container]
        opened.add(here.index)
        begin, leading = set(), {here.key}
        if before is None or not _differs(plan, before, here.key, inside=False):
            changed.discard(here.key)  # What is inside it changed, and is run again.


def _graph(plan: Plan, number: int) -> Graph:
    """A graph of the plan as keys and edges only, for questions about its shape."""
    members = [plan.nodes[index] for index in plan.graphs[number].nodes]
    edges = [
        Edge(Endpoint(plan.nodes[source.node].key), Endpoint(node.key))
        for node in members
        for port in node.inputs
        for source in port
        if source.node != ENTRY
    ]
    return Graph({node.key: node.node for node in members}, tuple(edges))


def _changed(plan: Plan, before: Plan) -> set[str]:
    """The keys whose node is new, or does or gets something else than before; a container with any such node too."""
    changed = {node.key for node in plan.nodes if _differs(plan, before, node.key, inside=True)}
    for node in reversed(plan.nodes):  # Bodies come behind their containers.
        container = plan.graphs[node.graph].container
        if container is not None and node.key in changed:
            changed.add(plan.nodes[container].key)
    for key in before.index.keys() - plan.index.keys():
        # A body that lost a node is not what it was, though all that is left may be.
        at = At(before.index[key])
        changed.update(before.nodes[container.node].key for container, _ in around(before, at))
    return changed & plan.index.keys()


def _differs(plan: Plan, before: Plan, key: str, *, inside: bool) -> bool:
    return key not in before.index or _meaning(plan, key, inside=inside) != _meaning(before, key, inside=inside)


def _meaning(plan: Plan, key: str, *, inside: bool) -> object:
    """All that a node's run depends on; of its bodies, with `inside`, only what leaves them."""
    node = plan.nodes[plan.index[key]]
    graph = plan.graphs[node.graph]
    bare = replace(node.node, bodies={}, notes="", position=None, pinned=None)
    place = (None if graph.container is None else plan.nodes[graph.container].key, graph.name)
    inputs = tuple((name, _origins(plan, port)) for name, port in zip(node.input_names, node.inputs, strict=True))
    bodies = sorted(node.bodies.items()) if inside else ()
    return bare, place, inputs, tuple((name, _origins(plan, plan.graphs[number].exits)) for name, number in bodies)


def _origins(plan: Plan, sources: Iterable[Source]) -> tuple[tuple[str, str], ...]:
    return tuple(
        ("$in", "main")
        if source.node == ENTRY
        else (plan.nodes[source.node].key, plan.nodes[source.node].output_names[source.port])
        for source in sources
    )

"""The plan in words: which nodes run fused, where each segment goes, and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from budflow.graph.plan import EXIT, Plan, PlanNode, Segment

#: In the loop of the runner that has the execution; there, or in chunks of rounds in other processes or Ray tasks, by
#: what the rounds turn out to cost; in a process or Ray task of its own; in an execution of its own.
Where = Literal["runner", "by_cost", "apart", "execution"]
_WORDS: Mapping[Where, str] = {
    "runner": "in the runner",
    "by_cost": "in the runner, or in chunks in other processes or Ray tasks",
    "apart": "in a process or Ray task of its own",
    "execution": "in an execution of its own",
}


@dataclass(frozen=True, slots=True)
class Explained:
    """One segment: its nodes in their order, where it runs, why there, and why it ends behind its last node.

    `path` names the containers around it from the outside in, `resources` and `labels` what is asked for where it runs
    apart.
    """

    number: int
    nodes: tuple[str, ...]
    path: tuple[str, ...]
    where: Where
    why: str
    ends: str | None
    resources: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        asked = "".join(f", {name}={amount:g}" for name, amount in self.resources.items())
        asked += "".join(f", {name}={condition}" for name, condition in self.labels.items())
        return f"{' > '.join((*self.path, *self.nodes))}: {_WORDS[self.where]}{asked}. {self.why}"


def explain(plan: Plan) -> Iterator[Explained]:
    """Every segment, in the order in which they become ready where nothing takes time."""
    for number, segment in enumerate(plan.segments):
        first = plan.nodes[segment.nodes[0]]
        yield Explained(
            number,
            tuple(plan.nodes[node].key for node in segment.nodes),
            tuple(_containers(plan, first)),
            _where(plan, first),
            _why(plan, segment),
            _ends(plan, plan.nodes[segment.nodes[-1]]),
            first.node.resources if first.weight == "heavy" else {},
            first.node.labels if first.weight == "heavy" else {},
        )


def _containers(plan: Plan, node: PlanNode) -> list[str]:
    names: list[str] = []
    graph = plan.graphs[node.graph]
    while graph.container is not None:
        container = plan.nodes[graph.container]
        names.insert(0, f"{container.key}.{graph.name}")
        graph = plan.graphs[container.graph]
    return names


def _where(plan: Plan, node: PlanNode) -> Where:
    if node.weight == "heavy":
        return "apart"
    if plan.graphs[node.graph].light:
        return "by_cost"
    return "execution" if node.spec.name == "flow.sub_workflow" else "runner"


def _why(plan: Plan, segment: Segment) -> str:
    first = plan.nodes[segment.nodes[0]]
    if first.weight == "heavy":
        return _why_apart(first) + _at_once(plan, first)
    if first.spec.name == "flow.sub_workflow":
        return (
            "Each call is an execution of its own. A single one is begun by the runner of its caller; where there are "
            "several runners, of many calls that take long most wait in the queue for any of them."
        )
    if first.weight == "control":
        return "It only decides what happens next."
    if plan.graphs[first.graph].light:
        return (
            "The whole body only computes: many rounds are run in one go. What the first cost is measured; where "
            "those that are left take long enough for it, they are computed elsewhere, several chunks at a time."
        )
    if len(segment.nodes) > 1:
        return "Each node leads only to the next: no hop between them, and one task for all."
    return "It is light: a hop to another process would take longer than the node."


def _why_apart(node: PlanNode) -> str:
    if node.node.resources:
        return "It asks for resources."
    if node.node.labels:
        return "It asks for a Ray node with certain labels."
    return f"`{node.spec.name}` computes for long, and would hold everything else up."


def _at_once(plan: Plan, node: PlanNode) -> str:
    """How many runs of it there may be at once, where a loop around it says so."""
    container = plan.graphs[node.graph].container
    fixed = None if container is None else plan.nodes[container].params.fixed
    most = getattr(fixed, "concurrency", None)
    if container is None or most is None:
        return ""
    rounds = "One round is" if most == 1 else f"{most} rounds are"
    return f" {rounds} open at once, as `concurrency` of `{plan.nodes[container].key}` says."


def _ends(plan: Plan, last: PlanNode) -> str | None:
    """Why the last node of a segment is not fused with what follows; None where nothing does."""
    following = [target for port in last.targets for target in port]
    if not following:
        return None
    if last.weight != "light":
        return "Only light nodes are fused."
    if len(following) > 1:
        return f"{len(following)} edges leave `{last.key}`: what they lead to runs in parallel."
    if following[0] == EXIT:
        return "The body ends here."
    next_one = plan.nodes[following[0]]
    if next_one.edges_in > 1:
        return f"`{next_one.key}` waits for {next_one.edges_in} edges."
    return f"`{next_one.key}` is {'heavy' if next_one.weight == 'heavy' else 'no light node'}."

"""Which kinds of schedules a campaign has seen: shapes, containers, faults and orders, each with its share."""

from collections import Counter
from collections.abc import Iterable, Iterator

from budflow.graph.plan import ENTRY, EXIT
from tests.execution.simulated_driver import ORDERS
from tests.execution.simulated_faults import FAULTS
from tests.execution.simulated_graphs import Case

SHAPES = (
    "a join",
    "a join in a body",
    "several triggers",
    "nodes that nothing leads to",
    "a body of `$in` to `$out` alone",
    "a body without nodes or edges out",
    "bodies 1 deep",
    "bodies 2 deep",
    "bodies 3 deep",
    "a container in a loop",
    "an error branch",
)
CONTAINERS = (
    "flow.for_each runs",
    "flow.while runs",
    "flow.try_catch runs",
    "flow.parallel runs",
    "flow.wait runs",
    "flow.sub_workflow runs",
    "flow.rate_limit runs",
    "sim.hostile runs",
)
HAPPENINGS = (
    "failed, on_error stop",
    "failed, on_error continue",
    "failed, on_error error_output",
    "crash that loses events",
    "stopped before it began",
    "ends by itself after it was told to stop",
    "items tried again",
    "`finally` runs after a stop",
    "`finally` goes on after a stop",
    "started late because of a pause",
    "a round in one go",
    "several rounds in one go",
)
CLASSES = {"shape": SHAPES, "container": CONTAINERS, "fault": (*FAULTS, *HAPPENINGS), "order": (*ORDERS,)}


def shapes_of(case: Case) -> Iterator[str]:
    """The shapes that a case has."""
    plan = case.plan
    for node in plan.nodes:
        if node.edges_in > 1:
            yield "a join in a body" if node.graph else "a join"
        if node.edges_in == 0 and not node.spec.trigger:
            yield "nodes that nothing leads to"
        if node.node.on_error == "error_output" and node.targets[-1]:
            yield "an error branch"
        if node.depth and node.bodies:
            yield "a container in a loop"
    if len(plan.triggers) > 1:
        yield "several triggers"
    for graph in plan.graphs[1:]:
        if not graph.nodes and EXIT in graph.entries:
            yield "a body of `$in` to `$out` alone"
        if not graph.exits or all(source.node == ENTRY for source in graph.exits):
            yield "a body without nodes or edges out"
        yield f"bodies {_deep(case, graph.number)} deep"


def _deep(case: Case, number: int) -> int:
    container = case.plan.graphs[number].container
    return 0 if container is None else 1 + _deep(case, case.plan.nodes[container].graph)


class Histogram:
    """Counts schedules by class."""

    def __init__(self) -> None:
        self.schedules = 0
        self.events = 0
        self._counts: Counter[str] = Counter()

    def add(self, seen: Iterable[str], events: int) -> None:
        """One schedule, with the classes that it belongs to."""
        self.schedules += 1
        self.events += events
        self._counts.update(set(seen))

    def rare(self, share: float) -> list[str]:
        """The classes that fewer schedules belong to than this share of all."""
        return [name for names in CLASSES.values() for name in names if self._counts[name] < share * self.schedules]

    def __str__(self) -> str:
        lines = [f"{self.schedules:,} schedules, {self.events:,} events"]
        for kind, names in CLASSES.items():
            lines.extend(f"{kind:>10}  {name:<44}{self._counts[name] / self.schedules:7.1%}" for name in names)
        return "\n".join(lines)

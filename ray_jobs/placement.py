"""Which runner actors a worker wants on a cluster and on which node each: pure, from what Ray says of its nodes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from budflow.errors import BudflowError

ACTOR_PREFIX = "budflow-runner"
#: So much of a node's id, of 56 hex digits, stands in the names of its actors.
NODE_DIGITS = 12
NODES_SHOWN = 5
#: What people call Ray's own resources, as in a node's `resources`.
RAY_NAMES: Mapping[str, str] = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}


class NoNodeFits(BudflowError):
    """No node of the Ray cluster can hold the runner actors that are wanted."""

    code = "ray.no_node_fits"
    http_status = 503
    hint = "Start a node that has what `--label` and `--resource` ask for, or ask for less; it is used when it comes."


class NodeTooSmall(BudflowError):
    """A Ray node cannot hold as many runner actors as are wanted on it."""

    code = "ray.node_too_small"
    http_status = 503
    hint = "Ask for fewer by `--runners`, for less by `--resource`, or give the node more when it is started."


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a worker asks for. `runners` are for each node, None: one a CPU; `labels` are those that a node must have,
    `resources` what each actor takes of its node, by Ray's names.

    By default an actor takes nothing. What it runs itself is light, and if it took the CPU that it may use at times,
    the tasks of heavy segments would find none left and wait for ever.
    """

    runners: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RayNode:
    """A living node of the cluster."""

    id: str
    host: str
    resources: Mapping[str, float]
    labels: Mapping[str, str]

    @staticmethod
    def of(shape: Mapping[str, Any]) -> "RayNode":
        """One of `ray.nodes()`."""
        return RayNode(
            shape["NodeID"],
            shape["NodeManagerHostname"],
            shape.get("Resources") or {},
            shape.get("Labels") or {},
        )

    def __str__(self) -> str:
        return f"{self.id[:NODE_DIGITS]} ({self.host})"


@dataclass(frozen=True, slots=True)
class Placed:
    """Where every actor belongs, by its name; `problems` say what of the wish cannot be had, and what to do."""

    nodes: Mapping[str, RayNode]
    problems: tuple[BudflowError, ...] = ()


def place(wanted: Wanted, nodes: Iterable[RayNode]) -> Placed:
    """Spread the actors over the nodes that fit.

    Every worker that asks for the same gets the same names, which is how several of them share one pool.
    """
    alive = sorted(nodes, key=lambda node: node.id)
    fitting = [node for node in alive if _fits(wanted, node)]
    problems: list[BudflowError] = []
    if not fitting:
        problems.append(NoNodeFits(_nowhere(wanted, alive)))
    placed: dict[str, RayNode] = {}
    for node in fitting:
        count = _cpus(node) if wanted.runners is None else wanted.runners
        room = min((int(node.resources[name] / amount) for name, amount in _taken(wanted)), default=count)
        if room < count and wanted.runners is not None:
            problems.append(NodeTooSmall(f"The node {node} has room for {room} of {count} runner actors."))
        placed |= {f"{ACTOR_PREFIX}-{node.id[:NODE_DIGITS]}-{number}": node for number in range(min(count, room))}
    return Placed(placed, tuple(problems))


def options_of(wanted: Wanted) -> dict[str, Any]:
    """What an actor takes of its node and asks of it, as Ray's options."""
    own = {option: wanted.resources.get(name, 0) for option, name in RAY_NAMES.items() if option != "memory"}
    custom = {name: amount for name, amount in wanted.resources.items() if name not in RAY_NAMES.values()}
    options: dict[str, Any] = {**own, "resources": custom, "label_selector": dict(wanted.labels)}
    return {**options, "memory": int(wanted.resources["memory"])} if wanted.resources.get("memory") else options


def _fits(wanted: Wanted, node: RayNode) -> bool:
    # A head or a node beside a server has no CPUs, so that no work lands there: unless somebody chose it.
    chosen = wanted.runners is not None and bool(wanted.labels or wanted.resources)
    labelled = all(node.labels.get(name) == value for name, value in wanted.labels.items())
    has_all = all(node.resources.get(name, 0) >= amount for name, amount in _taken(wanted))
    return labelled and has_all and (chosen or _cpus(node) > 0)


def _taken(wanted: Wanted) -> list[tuple[str, float]]:
    return [(name, amount) for name, amount in wanted.resources.items() if amount > 0]


def _cpus(node: RayNode) -> int:
    return int(node.resources.get("CPU", 0))


def _nowhere(wanted: Wanted, nodes: list[RayNode]) -> str:
    labels = [f"the label {name}={value}" for name, value in wanted.labels.items()]
    resources = [f"{name}={amount:g}" for name, amount in _taken(wanted)]
    asked = " and ".join([*labels, *resources]) or "a CPU"
    there = "; ".join(f"{node} has {_shown(node)}" for node in nodes[:NODES_SHOWN]) or "there is none at all"
    return f"No Ray node has {asked}: {there}."


def _shown(node: RayNode) -> str:
    resources = [f"{name}={amount:g}" for name, amount in sorted(node.resources.items()) if ":" not in name]
    labels = [f"{name}={value}" for name, value in sorted(node.labels.items()) if not name.startswith("ray.io/")]
    return ", ".join(resources + labels) or "nothing"

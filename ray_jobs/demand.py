"""What a heavy node asks of a Ray cluster, against what its nodes have: pure, from what Ray says of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from budflow.model.failure import NodeError
from budflow.model.label import LabelCondition
from budflow.model.workflow import Node
from ray_jobs.placement import NODES_SHOWN, RAY_NAMES, RayNode

#: A task takes one CPU where its node says nothing of CPUs.
DEFAULT: Mapping[str, float] = {"num_cpus": 1}


class ResourcesInfeasible(NodeError):
    """No node of the Ray cluster has the resources and labels that this node asks for."""

    code = "ray.resources_infeasible"
    hint = (
        "Ask for less in `resources`, or add a machine that has it to the cluster. Where an autoscaler does that, "
        "`BUDFLOW_RAY_SCALE_UP_SECONDS` says how long to wait for it."
    )


@dataclass(frozen=True, slots=True)
class Demand:
    """`amounts` by the names that authors write, one CPU among them; `labels` are conditions, as authors write them."""

    amounts: Mapping[str, float]
    labels: Mapping[str, str]

    @staticmethod
    def of(node: Node) -> "Demand":
        """What a step of a workflow asks for."""
        return Demand({**DEFAULT, **node.resources}, node.labels)

    def __str__(self) -> str:
        amounts = ", ".join(f"{name}={amount:g}" for name, amount in self.amounts.items())
        labels = ", ".join(f"{name}={condition}" for name, condition in self.labels.items())
        return f"{amounts} on a node with {labels}" if labels else amounts

    def options(self) -> dict[str, Any]:
        """The same as options of a Ray task."""
        options: dict[str, Any] = {name: amount for name, amount in self.amounts.items() if name in RAY_NAMES}
        if custom := {name: amount for name, amount in self.amounts.items() if name not in RAY_NAMES}:
            options["resources"] = custom
        if self.labels:
            options["label_selector"] = dict(self.labels)
        return options

    def met_by(self, node: RayNode) -> bool:
        """Whether a node has all of it, be it in use or not."""
        return self.fits(node.resources) and all(
            condition is not None and condition.met_by(node.labels.get(name))
            for name, condition in ((name, LabelCondition.parse(text)) for name, text in self.labels.items())
        )

    def fits(self, resources: Mapping[str, float]) -> bool:
        """Whether these resources of a node, by Ray's names, are enough."""
        return all(_of(resources, name) >= amount for name, amount in self.amounts.items())

    def nowhere(self, nodes: Sequence[RayNode]) -> str:
        """That no node has it, and what of it they have."""
        return f"No Ray node has {self}: {_listed([f'{node} has {self._has(node)}' for node in nodes])}."

    def taken(self, nodes: Sequence[RayNode], free: Mapping[str, Mapping[str, float]]) -> str:
        """That others use it on the nodes that have it; `free` by the id of the node."""
        shown = [f"{node} has {self._free(node, free.get(node.id, {}))} free" for node in nodes]
        return f"Waits on Ray for {self}: {_listed(shown)}."

    def _has(self, node: RayNode) -> str:
        amounts = [f"{name}={_of(node.resources, name):g}" for name in self.amounts]
        labels = [f"{name}={node.labels[name]}" if name in node.labels else f"no {name}" for name in self.labels]
        return ", ".join(amounts + labels)

    def _free(self, node: RayNode, free: Mapping[str, float]) -> str:
        short = [name for name, amount in self.amounts.items() if _of(free, name) < amount]
        return ", ".join(
            f"{name}={_of(free, name):g} of {_of(node.resources, name):g}" for name in short or self.amounts
        )


def _of(resources: Mapping[str, float], name: str) -> float:
    return resources.get(RAY_NAMES.get(name, name), 0)


def _listed(texts: Sequence[str]) -> str:
    if not texts:
        return "there is none at all"
    more = len(texts) - NODES_SHOWN
    return "; ".join(texts[:NODES_SHOWN]) + (f"; and {more} more" if more > 0 else "")

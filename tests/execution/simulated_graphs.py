"""Random nested workflows for the simulation of the pure core, with what their nodes will do."""

import itertools
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

from hypothesis import strategies as st

from budflow.graph.plan import Plan, compile_plan
from budflow.graph.validate import check
from budflow.model.workflow import IN, OUT
from tests.execution.simulated_nodes import Way, registry

REGISTRY = registry()
NODES_MAX, DEPTH_MAX = 18, 3
LIGHT = ("sim.pass", "sim.part", "sim.make", "sim.count", "sim.join", "sim.effect")
SIMPLE_CONTROLS = ("flow.wait", "flow.sub_workflow", "flow.rate_limit")
CONTAINERS = (
    *("flow.for_each", "flow.for_each", "flow.try_catch", "flow.try_catch", "flow.try_catch"),
    *("flow.while", "flow.parallel", "sim.hostile"),
)
KINDS = (*LIGHT, *LIGHT, *SIMPLE_CONTROLS, *SIMPLE_CONTROLS, *CONTAINERS, *CONTAINERS)
PURE_KINDS = ("sim.pass", "sim.part", "sim.make", "sim.count", "sim.join")
FLAT_KINDS = (*LIGHT, *LIGHT, *SIMPLE_CONTROLS)
ON_ERROR = ("stop", "stop", "stop", "continue", "error_output")
PORTS: Mapping[str, tuple[str, ...]] = {
    "sim.part": ("main", "other"),
    "sim.make": ("main", "main", "main", "main", "few", "none"),
    "flow.try_catch": ("main", "main", "caught"),
}
INPUTS: Mapping[str, tuple[str, ...]] = {"sim.join": ("left", "right")}
HOSTILE: tuple[str, ...] = get_args(Way)


@dataclass(frozen=True)
class Case:
    """A workflow, and what its nodes do: by chance, and the same in every order.

    A node fails with a chance of `failing` in a hundred; the trigger gives `items` items.
    """

    document: Mapping[str, Any]
    salt: int
    failing: int
    items: int

    @cached_property
    def plan(self) -> Plan:
        """The document, compiled."""
        return compile_plan(check(self.document, REGISTRY).require("run"), REGISTRY)

    def chance(self, *about: object) -> int:
        """A number below 1,000,000 that is always the same for the same question."""
        return zlib.crc32(repr((self.salt, *about)).encode()) % 1_000_000


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Workflows of up to NODES_MAX nodes, with containers up to DEPTH_MAX deep."""
    graph = _Drawing(draw).graph(0)
    document = {"format": 1, "name": "simulated", **graph}
    failing = draw(st.sampled_from([0, 0, 0, 10, 25]))
    # Hypothesis prefers small numbers, and the same ones: the document makes them differ.
    salt = draw(st.integers(0, 2**32)) ^ zlib.crc32(repr(document).encode())
    return Case(document, salt, failing, draw(st.sampled_from([3, 3, 1])))


class _Drawing:
    """Draws one document."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw, self._left = draw, NODES_MAX
        self._numbers = itertools.count()

    def graph(self, depth: int, *, size_min: int = 0, light: tuple[bool, ...] = (False, False, True)) -> dict[str, Any]:
        """The workflow's own graph at depth 0, else a body: `$in` may lead straight to `$out`, and it may be empty."""
        nodes: dict[str, Any] = {}
        edges: dict[tuple[str, str], None] = {}
        if depth:
            ends = [IN]
        else:
            ends = ["start", "start", "start"]
            nodes["start"] = {"type": "trigger.manual"}
            for key in self._draw(st.sampled_from([(), (), (), ("other",)])):
                nodes[key] = {"type": "trigger.manual"}
                ends.append(key)
        size = max(size_min, self._of(0, 1, 1, 2, 2, 2, 3, 3) if depth else self._of(3, 4, 5, 6, 7))
        only_computes = bool(depth) and self._of(*light)
        for _ in range(min(size, self._left)):
            key, node = self._node(depth, PURE_KINDS if only_computes else KINDS if depth < DEPTH_MAX else FLAT_KINDS)
            nodes[key] = node
            for _ in range(self._of(*[1] * 9, *[2] * 6, 3, 3, 0)):
                port = self._of(*INPUTS.get(node["type"], ("main",)))
                edges[self._of(*ends), f"{key}.{port}"] = None
            ends.extend(f"{key}.{port}" for port in _ports(node))
        if depth:
            for _ in range(self._of(1, 1, 1, 2, 0)):
                edges[self._of(*ends[-4:]), OUT] = None
        return {"nodes": nodes, "edges": [{"from": source, "to": target} for source, target in edges]}

    def _node(self, depth: int, kinds: Sequence[str]) -> tuple[str, dict[str, Any]]:
        self._left -= 1
        kind = self._of(*kinds)
        node: dict[str, Any] = {
            "type": kind,
            "on_error": self._of(*ON_ERROR[2 * (kind == "sim.hostile") :]),
            **self._details(kind, depth),
        }
        if self._of(False, False, False, True):
            node["run_on_empty"] = True
        return f"{kind.partition('.')[2]}_{next(self._numbers)}", node

    def _details(self, kind: str, depth: int) -> dict[str, Any]:
        match kind:
            case "flow.for_each":
                params = {
                    "batch_size": self._of(1, 1, 2),
                    "concurrency": self._of(1, 2, 3, 4, 4),
                    "on_item_error": self._of("stop", "continue", "failed_output"),
                }
                return {"params": params, "bodies": {"body": self.graph(depth + 1, light=(True, True, False))}}
            case "flow.while":
                return {"params": {"condition": True, "rounds_max": 3}, "bodies": {"body": self.graph(depth + 1)}}
            case "flow.try_catch":
                names = ("body", "finally") if self._of(True, True, True, True, False) else ("body",)
                return {"bodies": {name: self.graph(depth + 1, size_min=2, light=(False,)) for name in names}}
            case "flow.parallel":
                branches = ("one", "two", "three")[: self._of(1, 2, 2, 3)]
                join = self._of({}, {"join": "first"}, {"join": "quorum", "quorum": self._of(1, min(2, len(branches)))})
                return {"params": join, "bodies": {name: self.graph(depth + 1) for name in branches}}
            case "flow.wait":
                approval = {"mode": "approval", "text": "Well?"}
                return {"params": self._of({"mode": "duration", "seconds": 5}, approval, {"mode": "webhook"})}
            case "flow.sub_workflow":
                one_each = {"call": "per_item", "concurrency": 2}
                return {"params": {"workflow": "callee", **self._of({}, one_each, {**one_each, "wait": False})}}
            case "flow.rate_limit":
                return {"params": {"limit": 5}}
            case "sim.hostile":
                return {"params": {"way": self._of(*HOSTILE)}, "bodies": {"body": self.graph(depth + 1)}}
            case _:
                return {}

    def _of(self, *choices: Any) -> Any:
        return choices[0] if len(choices) == 1 else self._draw(st.sampled_from(choices))


def _ports(node: Mapping[str, Any]) -> Sequence[str]:
    ports = PORTS.get(node["type"], ("main",))
    params = node.get("params", {})
    if params.get("on_item_error") == "failed_output":
        ports = ("main", "main", "failed")
    if params.get("mode") == "approval":
        ports = ("approved", "rejected")
    return (*ports, "error") if node["on_error"] == "error_output" else ports

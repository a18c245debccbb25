"""Random workflows of real node types, with containers inside one another, for simulations of the running engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

from budflow.model.item import Json

DEPTH_MAX = 3
N = "($json?.n or 0)"
URL = "https://outside.example/{{ $execution.id }}/"
#: Node types with their parameters and output ports.
KINDS: Mapping[str, tuple[str, Json, tuple[str, ...]]] = {
    "add": ("data.set", {"values": {"n": "{{ " + N + " + 1 }}"}}, ("main",)),
    "divide": ("data.set", {"values": {"n": "{{ 12 // (" + N + " % 3) }}"}}, ("main",)),
    "if": ("flow.if", {"condition": "{{ " + N + " % 2 == 0 }}"}, ("true", "false")),
    "filter": ("flow.filter", {"condition": "{{ " + N + " > 1 }}"}, ("kept", "dropped")),
    "switch": (
        "flow.switch",
        {"cases": [{"port": "small", "when": "{{ " + N + " < 2 }}"}], "fallback": "port"},
        ("small", "fallback"),
    ),
    "merge": ("flow.merge", {}, ("main",)),
    "no_op": ("flow.no_op", {}, ("main",)),
    "count": ("data.aggregate", {"operations": [{"operation": "count", "name": "n"}]}, ("main",)),
    "get": ("http.request", {"url": URL}, ("main",)),
    "post": ("http.request", {"url": URL, "method": "POST"}, ("main",)),
    "respond": ("http.respond", {"body": "{{ $json }}"}, ("main",)),
    "respond_faulty": ("http.respond", {"body": "{{ 1 // " + N + " }}"}, ("main",)),
    "stop": ("flow.stop_and_error", {"message": "on purpose"}, ("main",)),
    "rate": ("flow.rate_limit", {"key": "shared", "limit": 20, "per_seconds": 1}, ("main",)),
    "nap": ("flow.wait", {"mode": "duration", "seconds": 0.3}, ("main",)),
    "sleep": ("flow.wait", {"mode": "duration", "seconds": 12}, ("main",)),
    "hook": ("flow.wait", {"mode": "webhook"}, ("main",)),
    "approve": ("flow.wait", {"mode": "approval", "text": "Well?"}, ("approved", "rejected")),
    "expire": ("flow.wait", {"mode": "webhook", "expires_after_seconds": 2}, ("main", "expired")),
    "call": ("flow.sub_workflow", {"workflow": "callee"}, ("main",)),
    "call_each": ("flow.sub_workflow", {"workflow": "callee", "call": "per_item", "concurrency": 2}, ("main",)),
    "set_off": ("flow.sub_workflow", {"workflow": "callee", "call": "per_item", "wait": False}, ("main",)),
    "each": ("flow.for_each", {}, ("main",)),
    "while": ("flow.while", {"condition": "{{ " + N + " < 3 }}", "rounds_max": 3}, ("main",)),
    "try": ("flow.try_catch", {}, ("main", "caught")),
    "parallel": ("flow.parallel", {}, ("main",)),
    "tally": ("sim.tally", {}, ("main",)),
    "seen": ("data.deduplicate", {"key": "{{ $json?.n }}", "scope": "workflow"}, ("main", "duplicates")),
}
RARE = {"stop", "divide", "respond_faulty", "rate", "nap", "sleep", "hook", "approve", "expire"}
CALLS = {"call", "call_each", "set_off"}
CONTAINERS = {"each", "while", "try", "parallel"}
#: What ends by chance: the first of several, or an answer or the time.
RACING = {"expire"}
ITEM_BY_ITEM = {"data.set", "http.request"}
STATIC = frozenset({"tally", "seen"})
WATCHER = {
    "format": 1,
    "name": "watcher",
    "nodes": {
        "failed": {"type": "trigger.error"},
        "note": {
            "type": "http.request",
            "params": {"url": URL + "note", "method": "POST"},
            "timeout_seconds": 9,
        },
    },
    "edges": [{"from": "failed", "to": "note"}],
}


@dataclass(frozen=True)
class Wanted:
    """What a random workflow may hold. `racing`: what comes out may depend on what is faster, or on a time limit.

    `static` are the kinds of nodes that keep static data, and `pure` is the share of those that surely only compute.
    `handling`: nodes that go on after a failure outside; `whole`: such as fail with all their items; `pinned`: pinned
    data.
    """

    calls: bool = True
    racing: bool = True
    static: frozenset[str] = frozenset()
    handling: bool = True
    whole: bool = True
    pure: float = 0.0
    pinned: bool = False


def random_document(random: Random, size: int, wanted: Wanted) -> dict[str, Any]:
    """A workflow of up to `size` nodes behind its trigger, each fed by up to three earlier ones."""
    graph = _Drawing(random, size, wanted).graph(0)
    settings: dict[str, Any] = {}
    if wanted.racing:
        settings["on_crash"] = random.choice(["resume", "resume", "fail", "ask"])
        if random.random() < 0.2:
            settings["timeout_seconds"] = random.choice([3, 30])
    settings["journal"] = random.choice(["every_node", "every_node", "segment", "end"])
    if random.random() < 0.4:
        settings["error_workflow"] = "watcher"
    return {"format": 1, "name": "simulated", **graph, "settings": settings}


class _Drawing:
    def __init__(self, random: Random, size: int, wanted: Wanted) -> None:
        self._random, self._left, self._wanted = random, size, wanted
        self._numbers = count()
        excluded = (set() if wanted.calls else CALLS) | (set() if wanted.racing else RACING)
        excluded |= (STATIC - wanted.static) | (set() if wanted.handling else {"try"})
        self._kinds = [kind for kind in KINDS for _ in range(2 if kind in RARE else 3) if kind not in excluded]
        self._light = random.random() < 0.3  # A workflow whose bodies mostly compute.

    def graph(self, depth: int) -> dict[str, Any]:
        """The workflow's own graph at depth 0, else a body."""
        random = self._random
        nodes: dict[str, Any] = {}
        ports: dict[str, tuple[str, ...]] = {"$in": ("",)}
        if not depth:
            nodes["start"] = {"type": "trigger.manual"}
            ports = {"start": ("main",)}
        edges = []
        size = self._left if not depth else random.choice([0, 1, 1, 2, 2, 3, 4])
        while size > 0 and self._left > 0:
            size -= 1
            kind = self._kind(depth)
            key = f"{kind}_{next(self._numbers)}"
            self._left -= 1
            node, outputs = self._node(kind, key, depth)
            wanted = random.choice([0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3])
            for source in random.sample(list(ports), min(len(ports), wanted)):
                edges.append({"from": self._end(source, ports), "to": key})
            nodes[key] = node
            if kind != "seen":  # Which items others have seen before is a matter of who was faster.
                ports[key] = outputs
        if depth:
            for source in random.sample(list(ports), min(len(ports), random.choice([0, 1, 1, 1, 2]))):
                edges.append({"from": self._end(source, ports), "to": "$out"})
        return {"nodes": nodes, "edges": edges}

    def _end(self, source: str, ports: Mapping[str, tuple[str, ...]]) -> str:
        port = self._random.choice((ports[source][0], *ports[source]))
        return f"{source}.{port}" if port else source

    def _kind(self, depth: int) -> str:
        kinds = self._kinds
        if self._random.random() < self._wanted.pure:
            return self._random.choice(["add", "if", "switch", "filter", "count", "no_op", "merge"])
        if depth and self._light and self._random.random() < 0.8:
            return self._random.choice(["add", "divide", "if", "filter", "count", "no_op"])
        kind = self._random.choice(kinds)
        while depth >= DEPTH_MAX and kind in CONTAINERS:
            kind = self._random.choice(kinds)
        return kind

    def _node(self, kind: str, key: str, depth: int) -> tuple[dict[str, Any], tuple[str, ...]]:
        random = self._random
        name, params, outputs = KINDS[kind]
        node: dict[str, Any] = {"type": name, "params": dict(params)}
        if name == "http.request":
            node["params"]["url"] += key
            node["timeout_seconds"] = random.choice([0.5, 5, 60]) if self._wanted.racing else 60
            node["retry"] = {"tries": random.choice([1, 2, 4]), "wait_seconds": random.choice([0, 1])}
        elif kind in CONTAINERS:
            outputs = self._contain(kind, node, depth) or outputs
        if kind in CONTAINERS | CALLS | {"sleep", "hook"} and self._wanted.racing and random.random() < 0.15:
            node["timeout_seconds"] = random.choice([0.2, 4])
        if kind == "tally" and random.random() < 0.8:
            node["params"]["fails_at"] = random.choice([1, 3])
        if self._wanted.pinned and random.random() < 0.2:
            node["pinned"] = [{"n": random.randrange(5)} for _ in range(random.choice([0, 1, 2]))]
        goes_on = self._wanted.handling or not (name == "http.request" or kind in CONTAINERS | CALLS)
        goes_on = goes_on and (self._wanted.whole or name in ITEM_BY_ITEM)
        node["on_error"] = random.choice(["stop", "stop", "continue", "error_output"] if goes_on else ["stop"])
        for option, chance in (("disabled", 0.05), ("run_once", 0.1), ("run_on_empty", 0.2)):
            if random.random() < chance:
                node[option] = True
        return node, (*outputs, "error") if node["on_error"] == "error_output" else outputs

    def _contain(self, kind: str, node: dict[str, Any], depth: int) -> tuple[str, ...] | None:
        random, params = self._random, node["params"]
        names = ["body"]
        match kind:
            case "each":
                params["concurrency"] = random.choice([1, 2, 3])
                params["batch_size"] = random.choice([1, 1, 2])
                policies = ["stop", "continue", "failed_output"] if self._wanted.handling else ["stop"]
                params["on_item_error"] = random.choice(policies)
                if random.random() < 0.4:
                    params["items"] = "{{ [{'n': 1}, {'n': " + N + " + 2}] }}"
            case "try":
                names += random.choice([[], ["finally"], ["finally"]])
            case "parallel":
                names = ["one", "two", "three"][: random.choice([1, 2, 2, 3])]
                if self._wanted.racing:
                    params.update(random.choice([{}, {"join": "first"}, {"join": "quorum", "quorum": 1}]))
        node["bodies"] = {name: self.graph(depth + 1) for name in names}
        return ("main", "failed") if params.get("on_item_error") == "failed_output" else None

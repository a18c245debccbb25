"""What a fault-free execution of a simulated workflow must give, worked out without the engine, a node at a time.

Items are only their field `n` here (None: the item has none). It shares nothing with the engine but the document
and how paths are written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from budflow.model.path import path_of

Values = list[int | None]
Outputs = dict[str, Values]
At = tuple[str, tuple[int, ...]]
CallWorkflow = Callable[[Values], "Values | None"]
RUNS_ON_EMPTY = {"data.aggregate"}
DISABLED_PORTS = {"flow.if": "true", "flow.filter": "kept", "flow.switch": "small"}
RATIONED_ROUNDS = 3


@dataclass
class Expected:
    """Items by node, rounds and port; `stopped_by` are the nodes that may stop the graph, at any depth.

    `sure` are those that must have run; the others may, beside what failed. `out` is what reached `$out`.
    """

    outputs: dict[At, Outputs] = field(default_factory=dict)
    sure: set[At] = field(default_factory=set)
    stopped_by: set[str] = field(default_factory=set)
    out: Values = field(default_factory=list)

    def take(self, inner: "Expected", *, sure: bool = True) -> None:
        """What happened in a body happened here."""
        self.outputs.update(inner.outputs)
        if sure and not inner.stopped_by:
            self.sure |= inner.sure


def expect(
    document: Mapping[str, Any],
    items: Sequence[int | None],
    call: CallWorkflow | None = None,
    *,
    pinned: bool = False,
) -> Expected:
    """Work a document off; `call` gives what the called workflow does with items, None where it fails."""
    return _Expectation(call, pinned).graph(document, list(items), ())


def cut_off(graph: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The graph with only this node, at any depth, and what leads to it; containers on the way keep other bodies."""
    nodes = dict(graph["nodes"])
    end = next(name for name, node in nodes.items() if name == key or _holds(node, key))
    if end != key:
        bodies = {
            name: cut_off(body, key) if _holds({"bodies": {name: body}}, key) else body
            for name, body in nodes[end]["bodies"].items()
        }
        nodes[end] = {**nodes[end], "bodies": bodies}
    kept, grown = {end}, True
    while grown:
        more = {edge["from"].split(".")[0] for edge in graph["edges"] if edge["to"] in kept}
        grown = not more <= kept
        kept |= more
    ends = kept | {"$in", "$out"}
    edges = [edge for edge in graph["edges"] if edge["from"].split(".")[0] in ends and edge["to"] in ends]
    return {**graph, "nodes": {name: node for name, node in nodes.items() if name in kept}, "edges": edges}


def _holds(node: Mapping[str, Any], key: str) -> bool:
    bodies = node.get("bodies", {}).values()
    return any(key in body["nodes"] or any(_holds(one, key) for one in body["nodes"].values()) for body in bodies)


def result_of(document: Mapping[str, Any], given: Values) -> Values | None:
    """What the last node that leads nowhere and has items gives; None where the workflow fails."""
    expected = expect(document, given)
    if expected.stopped_by:
        return None
    leading = {edge["from"].split(".")[0] for edge in document["edges"]}
    for key in reversed([key for key in document["nodes"] if key not in leading]):
        for values in expected.outputs.get((key, ()), {}).values():
            if values:
                return values
    return []


class _Expectation:
    def __init__(self, call: CallWorkflow | None, pinned: bool) -> None:
        self._call, self._pinned = call, pinned

    def graph(self, graph: Mapping[str, Any], entered: Values, rounds: tuple[int, ...]) -> Expected:
        expected = Expected()
        for key, node in graph["nodes"].items():  # In topological order: edges lead forward.
            arriving = self._arriving(graph, key, expected, entered, rounds)
            given = [value for values in arriving if values is not None for value in values]
            if key == "start":
                given = entered
            elif not given and not _runs_on_empty(node, arriving):
                continue
            if node.get("run_once"):
                given = given[:1]
            if node.get("disabled"):
                outputs: Outputs | None = {_first_port(node): given}
            elif self._pinned and node.get("pinned") is not None:
                outputs = {_first_port(node): [item["n"] for item in node["pinned"]]}
            else:
                outputs = self._run(key, node, given, rounds, expected)
            if outputs is not None:  # Else what is behind it never runs, what is beside it may.
                expected.outputs[key, rounds] = outputs
                expected.sure.add((key, rounds))
        if expected.stopped_by:
            expected.sure = set()
        arriving = self._arriving(graph, "$out", expected, entered, rounds)
        expected.out = [value for values in arriving if values is not None for value in values]
        return expected

    def _arriving(
        self, graph: Mapping[str, Any], key: str, expected: Expected, entered: Values, rounds: tuple[int, ...]
    ) -> list[Values | None]:
        arriving: list[Values | None] = []
        for edge in graph["edges"]:
            if edge["to"] == key:
                source, _, port = edge["from"].partition(".")
                outputs = expected.outputs.get((source, rounds))
                found = None if outputs is None else outputs.get(port, [])
                arriving.append(entered if source == "$in" else found)
        return arriving

    def _run(
        self, key: str, node: Mapping[str, Any], given: Values, rounds: tuple[int, ...], expected: Expected
    ) -> Outputs | None:
        """What a node gives; where it stops its graph None, and `stopped_by` says so."""
        inner = Expected()
        match node["type"]:
            case "flow.for_each":
                outputs = self._for_each(node, given, rounds, inner)
            case "flow.while":
                outputs = self._while(key, node, given, rounds, inner)
            case "flow.try_catch":
                outputs = self._try_catch(node, given, rounds, inner)
            case "flow.parallel":
                outputs = self._parallel(node, given, rounds, inner)
            case "flow.sub_workflow":
                outputs = self._sub_workflow(node, given)
            case _:
                outputs = _settled_by(node, given)
                if outputs is None:
                    expected.stopped_by.add(path_of(key, rounds))
                return outputs
        failed_by = inner.stopped_by
        inner.stopped_by = set()
        expected.take(inner, sure=outputs is not None)
        if outputs is not None:
            return outputs
        outputs = _settled(node, given or [None], [], [True] * max(len(given), 1))
        if outputs is None:
            expected.stopped_by |= failed_by or {path_of(key, rounds)}
        return outputs

    def _for_each(
        self, node: Mapping[str, Any], given: Values, rounds: tuple[int, ...], inner: Expected
    ) -> Outputs | None:
        params = node["params"]
        fed = [n for value in given for n in (1, (value or 0) + 2)] if "items" in params else given
        size, policy = params["batch_size"], params["on_item_error"]
        main: Values = []
        failed: Values = []
        for number, start in enumerate(range(0, len(fed), size)):
            part = fed[start : start + size]
            body = self.graph(node["bodies"]["body"], part, (*rounds, number))
            inner.take(body)
            if not body.stopped_by:
                main += body.out
            elif policy == "stop":
                inner.stopped_by |= body.stopped_by
            elif policy == "continue":
                main += part
            else:
                failed += part
        if inner.stopped_by:
            return None
        return {"main": main, "failed": failed} if policy == "failed_output" else {"main": main}

    def _while(
        self, key: str, node: Mapping[str, Any], given: Values, rounds: tuple[int, ...], inner: Expected
    ) -> Outputs | None:
        current = given
        for number in range(RATIONED_ROUNDS + 1):
            if not current or (current[0] or 0) >= RATIONED_ROUNDS:
                return {"main": current}
            if number == RATIONED_ROUNDS:
                break
            body = self.graph(node["bodies"]["body"], current, (*rounds, number))
            inner.take(body)
            if body.stopped_by:
                inner.stopped_by = body.stopped_by
                return None
            current = body.out
        inner.stopped_by = {path_of(key, rounds)}
        return None

    def _try_catch(
        self, node: Mapping[str, Any], given: Values, rounds: tuple[int, ...], inner: Expected
    ) -> Outputs | None:
        body = self.graph(node["bodies"]["body"], given, rounds)
        inner.take(body)
        if "finally" in node["bodies"]:
            last = self.graph(node["bodies"]["finally"], given, rounds)
            inner.take(last)
            if last.stopped_by:
                inner.stopped_by = last.stopped_by
                return None
        return {"caught": given or [None]} if body.stopped_by else {"main": body.out}

    def _parallel(
        self, node: Mapping[str, Any], given: Values, rounds: tuple[int, ...], inner: Expected
    ) -> Outputs | None:
        main: Values = []
        for graph in node["bodies"].values():
            body = self.graph(graph, given, rounds)
            inner.take(body)
            inner.stopped_by |= body.stopped_by
            main += body.out
        return None if inner.stopped_by else {"main": main}

    def _sub_workflow(self, node: Mapping[str, Any], given: Values) -> Outputs | None:
        params = node["params"]
        if params.get("wait") is False:
            return {"main": given}
        main: Values = []
        for part in [[value] for value in given] if "call" in params else [given]:
            result = None if self._call is None else self._call(part)
            if result is None:
                return None
            main += result
        return {"main": main}


def _first_port(node: Mapping[str, Any]) -> str:
    return "approved" if node["params"].get("mode") == "approval" else DISABLED_PORTS.get(node["type"], "main")


def _runs_on_empty(node: Mapping[str, Any], arriving: Sequence[Values | None]) -> bool:
    ran = any(values is not None for values in arriving)
    return ran and (node["type"] in RUNS_ON_EMPTY or bool(node.get("run_on_empty")))


def _settled_by(node: Mapping[str, Any], given: Values) -> Outputs | None:
    kind, numbers = node["type"], [value or 0 for value in given]
    match kind:
        case "flow.if":
            return _parted(given, {"true": [n % 2 == 0 for n in numbers]}, "false")
        case "flow.filter":
            return _parted(given, {"kept": [n > 1 for n in numbers]}, "dropped")
        case "flow.switch":
            return _parted(given, {"small": [n < 2 for n in numbers]}, "fallback")
        case "data.aggregate":
            return {"main": [len(given)]}
        case "sim.tally" if node["params"].get("fails_at") is not None and node["params"]["fails_at"] in given:
            return _settled(node, given, [], [True] * len(given))
        case "data.set" if "//" in node["params"]["values"]["n"]:
            return _settled(
                node, given, [12 // (n % 3) if n % 3 else None for n in numbers], [n % 3 == 0 for n in numbers]
            )
        case "data.set":
            return {"main": [n + 1 for n in numbers]}
        case "http.request":
            return {"main": [None for _ in given]}
        case "flow.stop_and_error":
            return _settled(node, given or [None], [], [True] * max(len(given), 1))
        case "http.respond" if "//" in str(node["params"]["body"]):
            faulty = not numbers or numbers[0] == 0
            shown = given or [None] if faulty else given  # A failure without an item leaves as an item of its own.
            return _settled(node, shown, shown, [faulty] * len(shown))
        case "flow.wait" if node["params"]["mode"] in ("webhook", "approval"):
            return {_first_port(node): given or [None]}  # The answer leaves with an item of its own.
        case _:
            return {"main": given}


def _parted(given: Values, ports: Mapping[str, Sequence[bool]], otherwise: str) -> Outputs:
    [(port, taken)] = ports.items()
    return {
        port: [value for value, yes in zip(given, taken, strict=True) if yes],
        otherwise: [value for value, yes in zip(given, taken, strict=True) if not yes],
    }


def _settled(node: Mapping[str, Any], given: Values, made: Values, failed: Sequence[bool]) -> Outputs | None:
    """Items that failed by `on_error`, the others as they were made; None where the execution stops."""
    if True not in failed:
        return {"main": made}
    match node["on_error"]:
        case "stop":
            return None
        case "continue":
            port = _first_port(node)
            return {port: [old if bad else made[i] for i, (old, bad) in enumerate(zip(given, failed, strict=True))]}
        case _:
            return {
                "main": [made[i] for i, bad in enumerate(failed) if not bad],
                "error": [value for value, bad in zip(given, failed, strict=True) if bad],
            }

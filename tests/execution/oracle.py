"""What a fault-free execution of a simulated workflow must give, worked out without the engine, a node at a time.

Items are only their field `n` here (None: the item has none). It shares nothing with the engine but the document.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Values = list[int | None]
Outputs = dict[str, Values]
RUNS_ON_EMPTY = {"data.aggregate"}


@dataclass
class Expected:
    """Items by node and port where the execution succeeds; the nodes that may stop it where it does not."""

    outputs: dict[str, Outputs] = field(default_factory=dict)
    stopped_by: set[str] = field(default_factory=set)


def expect(
    document: Mapping[str, Any], items: Sequence[int | None], call: Callable[[Values], "Values | None"] | None = None
) -> Expected:
    """Work a document off; `call` gives what the called workflow does with items, None where it fails."""
    expected = Expected()
    for key, node in document["nodes"].items():  # In topological order: edges lead forward.
        arriving = [_arriving(edge, expected.outputs) for edge in document["edges"] if edge["to"] == key]
        given = [value for values in arriving if values is not None for value in values]
        if key == "start":
            given = list(items)
        elif not given and not _runs_on_empty(node, arriving):
            continue
        if node.get("run_once"):
            given = given[:1]
        outputs = {"main": given} if node.get("disabled") else _run(node, given, call)
        if outputs is None:
            expected.stopped_by.add(key)  # What is behind it never runs, what is beside it may.
            continue
        if node.get("disabled"):
            outputs = {_PORTS.get(node["type"], "main"): given}
        expected.outputs[key] = outputs
    return expected


_PORTS = {"flow.if": "true", "flow.filter": "kept", "flow.switch": "small"}


def _arriving(edge: Mapping[str, str], outputs: Mapping[str, Outputs]) -> Values | None:
    source, port = edge["from"].split(".")
    return outputs[source].get(port, []) if source in outputs else None


def _runs_on_empty(node: Mapping[str, Any], arriving: Sequence[Values | None]) -> bool:
    ran = any(values is not None for values in arriving)
    return ran and (node["type"] in RUNS_ON_EMPTY or bool(node.get("run_on_empty")))


def _run(node: Mapping[str, Any], given: Values, call: Callable[[Values], Values | None] | None) -> Outputs | None:
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
        case "flow.sub_workflow":
            result = call(given) if call is not None else None
            return (
                _settled(node, given or [None], [], [True] * max(len(given), 1)) if result is None else {"main": result}
            )
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
            return {"main": [old if bad else made[i] for i, (old, bad) in enumerate(zip(given, failed, strict=True))]}
        case _:
            return {
                "main": [made[i] for i, bad in enumerate(failed) if not bad],
                "error": [value for value, bad in zip(given, failed, strict=True) if bad],
            }

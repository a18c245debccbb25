"""Documents and a small JSON Patch applier for the tests of the graph."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from budflow.graph.validate import Checked, check
from budflow.model.problem import Problem
from budflow.nodes.registry import build

REGISTRY = build()


def graph(nodes: Mapping[str, Any], edges: Sequence[str] = ()) -> dict[str, Any]:
    """Nodes with edges that are written as `a.port > b.port`; also a body."""
    ends = [edge.split(" > ") for edge in edges]
    return {"nodes": dict(nodes), "edges": [{"from": source, "to": target} for source, target in ends]}


def document(nodes: Mapping[str, Any] | None = None, edges: Sequence[str] = (), **rest: Any) -> dict[str, Any]:
    """A document with a manual trigger `start`."""
    return {"format": 1, "name": "test", **graph({"start": {"type": "trigger.manual"}, **(nodes or {})}, edges), **rest}


def valid_document() -> dict[str, Any]:
    """One of every sort of thing that the format has and this release acts on."""
    return document(
        {
            "hook": {"type": "trigger.webhook", "params": {"path": "orders/{shop}", "respond": "last_node"}},
            "check": {"type": "flow.if", "params": {"condition": "{{ $json.total > 100 }}"}},
            "fetch": {
                "type": "http.request",
                "params": {"url": "https://crm.example/{{ $json.sku }}", "headers": {"x-order": "{{ $json.id }}"}},
                "on_error": "error_output",
                "retry": {"tries": 3, "wait_seconds": 0.5},
                "timeout_seconds": 20,
                "position": [10, 20.5],
                "notes": "Größe ✓",
            },
            "route": {
                "type": "flow.switch",
                "params": {"cases": [{"port": "big", "when": "{{ $node.check.json.total > 9 }}"}], "fallback": "port"},
            },
            "pair": {"type": "flow.merge", "params": {"mode": "by_position"}},
            "done": {"type": "data.set", "params": {"values": {"a.b": [1, {"c": "{{ $json.x }}"}]}}},
            "count": {"type": "data.aggregate", "params": {"operations": [{"operation": "count"}]}},
        },
        [
            "start > check",
            "hook > check",
            "check.true > fetch",
            "check.false > route",
            "fetch > pair.left",
            "route.big > pair.right",
            "route.fallback > done",
            "pair > done",
            "fetch.error > count",
        ],
        settings={"timeout_seconds": 60, "priority": 5, "timezone": "UTC"},
    )


def nested_document() -> dict[str, Any]:
    """A valid document with one of every sort of container, in one another, whose nodes read each other."""
    price = {
        "type": "http.request",
        "params": {"url": "https://crm.example/{{ $json.sku }}/{{ $node.order.json.id }}?round={{ $run_index }}"},
        "on_error": "error_output",
    }
    guarded = {
        "body": graph({"price": price}, ["$in > price", "price > $out"]),
        "finally": graph({"tidy": {"type": "flow.no_op"}}, ["$in > tidy"]),
    }
    each_body = graph(
        {
            "guard": {"type": "flow.try_catch", "bodies": guarded},
            "sum": {"type": "data.set", "params": {"values": {"total": "{{ $node.guard.json.body }}"}}},
        },
        ["$in > guard", "guard > sum", "guard.caught > $out", "sum > $out"],
    )
    ways = {
        "left": graph(
            {"note": {"type": "data.set", "params": {"values": {"n": "{{ $node.each.items }}"}}}},
            ["$in > note", "note > $out"],
        ),
        "right": graph({}, ["$in > $out"]),
    }
    again = {"body": graph({"add": {"type": "data.set", "params": {"values": {"n": 1}}}}, ["$in > add", "add > $out"])}
    return document(
        {
            "order": {"type": "data.set", "params": {"values": {"id": "{{ $json.id }}"}}},
            "each": {
                "type": "flow.for_each",
                "params": {"items": "{{ $json.lines }}"},
                "bodies": {"body": each_body},
                "timeout_seconds": 60,
            },
            "both": {"type": "flow.parallel", "bodies": ways, "pinned": [{"a": 1}]},
            "repeat": {"type": "flow.while", "params": {"condition": "{{ $json.n < 9 }}"}, "bodies": again},
        },
        ["start > order", "order > each", "each > both", "both > repeat"],
        settings={
            "journal": "segment",
            "on_crash": "ask",
            "error_workflow": "wf_0192f0c1",
            "max_concurrency": 2,
            "concurrency_key": "{{ $workflow.id }}/{{ $json.shop }}",
            "concurrency_policy": "drop",
            "retention": {"succeeded_seconds": 0, "failed_seconds": 3600, "executions_max": 100},
        },
    )


def checked(nodes: Mapping[str, Any] | None = None, edges: Sequence[str] = (), **rest: Any) -> Checked:
    """What the validator says of `document(…)`."""
    return check(document(nodes, edges, **rest), REGISTRY)


def codes(found: Checked) -> list[str]:
    return [problem.code for problem in found.problems]


def only(found: Checked) -> Problem:
    """The one problem there is."""
    [problem] = found.problems
    return problem


def mended(data: Any, problem: Problem) -> Any:
    """The document with the problem's patch applied (RFC 6902: add, replace, remove, move)."""
    assert problem.patch
    result = copy.deepcopy(data)
    for step in problem.patch:
        path = parts(step["path"])
        if step["op"] == "move":
            source = parts(step["from"])
            put(result, path, at(result, source[:-1]).pop(source[-1]))
        elif step["op"] == "remove":
            del at(result, path[:-1])[path[-1]]
        else:
            assert step["op"] in ("add", "replace")
            if step["op"] == "replace":
                at(result, path)  # RFC 6902: the target must exist.
            put(result, path, step["value"])
    return result


def at(data: Any, path: Sequence[Any]) -> Any:
    for part in path:
        data = data[int(part)] if isinstance(data, list) else data[part]
    return data


def put(data: Any, path: Sequence[Any], value: Any) -> None:
    holder = at(data, path[:-1])
    holder[int(path[-1]) if isinstance(holder, list) else path[-1]] = value


def parts(pointer: str) -> list[str]:
    """The parts of a JSON Pointer (RFC 6901)."""
    assert pointer == "" or pointer.startswith("/")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]

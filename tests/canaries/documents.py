"""Workflows that carry what an echoing server says of a credential through every kind of node and failure."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from budflow.model.node import NodeSpec
from tests.canaries.kept import first_that_fits, name_of


def ask(url: str, credential: str, *, method: str = "GET", **settings: Any) -> dict[str, Any]:
    """An `http.request` with a credential; `settings` are other fields of the node."""
    params: dict[str, Any] = {"url": url, "method": method, "fail_on_status": True}
    return {"type": "http.request", "params": params, "credentials": {"auth": credential}, **settings}


def chain(name: str, nodes: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
    """A workflow whose nodes follow each other in order."""
    keys = [*nodes]
    edges = [{"from": before, "to": after} for before, after in pairwise(keys)]
    return {"format": 1, "name": name, "nodes": dict(nodes), "edges": edges, "settings": settings}


def body(key: str, node: Mapping[str, Any]) -> dict[str, Any]:
    """A body of one node."""
    return {"nodes": {key: dict(node)}, "edges": [{"from": "$in", "to": key}, {"from": key, "to": "$out"}]}


def through(spec: NodeSpec, url: str, credential: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A workflow that sends what a server says of a credential through one node, as an example of its type has it; and
    the items to start it with: those of the example.
    """
    example = spec.examples[0]
    lists = [*example.given.values()] if isinstance(example.given, Mapping) else [example.given]
    given = [item for items in lists for item in items]
    own = {name: f'{{{{ $node.start.json["{name}"] }}}}' for item in given for name in item}
    node = {"type": spec.name, "params": dict(example.params), "bodies": dict(example.bodies), "on_error": "continue"}
    slots = {name: one for name, one in spec.credentials.items() if one.instead_of not in example.params}
    node["credentials"] = {name: name_of(first_that_fits(one)) for name, one in slots.items()}
    nodes = {
        "start": {"type": "trigger.manual"},
        "ask": ask(f"{url}/echo", credential, method="POST"),
        "both": {"type": "data.set", "params": {"values": {**own, "seen": "{{ $json }}"}}, "on_error": "continue"},
        "node": node if example.bodies else {key: value for key, value in node.items() if key != "bodies"},
    }
    document = chain(f"Through {spec.name}", nodes)
    ports = spec.input_ports(example.params)
    document["edges"][-1:] = [{"from": "both", "to": f"node.{port}"} for port in ports]
    return document, [dict(item) for item in given] or [{}]


def travelling(url: str, credential: str, *, callee: str, error_workflow: str, file: str) -> dict[str, Any]:
    """Everything that is done with an answer: copied, filtered, merged, looped over, written, called with, failed."""

    def inner(key: str, path: str, **settings: Any) -> dict[str, Any]:
        return body(key, ask(f"{url}/{path}", credential, **settings))

    nodes = {
        "start": {"type": "trigger.manual"},
        "echo": ask(f"{url}/echo?q=1", credential, method="POST"),
        "copy": {
            "type": "data.set",
            "params": {"values": {"again": "{{ $json }}", "text": "{{ $node.echo.json.body.head }}"}},
        },
        "kept": {"type": "flow.filter", "params": {"condition": "{{ $json.again.status == 200 }}"}},
        "text": ask(f"{url}/text", credential),
        "near": ask(f"{url}/near?a=b", credential, method="PUT"),
        "away": ask(f"{url}/away", credential),
        "digest": ask(f"{url}/digest", credential, on_error="continue"),
        "noted": ask(f"{url}/fail/403", credential, on_error="continue"),
        "again": ask(
            f"{url}/fail/503",
            credential,
            on_error="continue",
            retry={"tries": 2, "wait_seconds": 0.05, "jitter": False},
        ),
        "each": {
            "type": "flow.for_each",
            "params": {"items": "{{ [1, 2, 3] }}", "concurrency": 2},
            "bodies": {"body": inner("round", "echo", method="POST")},
        },
        "attempt": {
            "type": "flow.try_catch",
            "bodies": {"body": inner("risky", "fail/500"), "finally": inner("tidy", "text")},
        },
        "call": {"type": "flow.sub_workflow", "params": {"workflow": callee}},
        "written": {"type": "files.write_lines", "params": {"path": file}},
        "many": ask(f"{url}/many", credential, run_once=True),
        "split": {"type": "data.split_out", "params": {"field": "body"}},
        "few": {"type": "data.limit", "params": {"count": 3}},
        "stop": ask(f"{url}/fail/500", credential),
    }
    document = chain("Canaries", nodes, error_workflow=error_workflow)
    for edge in document["edges"]:
        if edge["from"] == "kept":
            edge["from"] = "kept.kept"
        if edge["from"] == "attempt":
            edge["from"] = "attempt.caught"
    return document

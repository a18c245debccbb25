"""A document cut down to a node and what leads to it."""

from typing import Any

import pytest

from budflow.graph.up_to import NodeNotInWorkflow, up_to
from budflow.graph.validate import check
from budflow.nodes.registry import build

SET: dict[str, Any] = {"type": "data.set", "params": {"values": {"x": 1}}}
REGISTRY = build()


def body(*edges: tuple[str, str], **nodes: Any) -> dict[str, Any]:
    return {"nodes": nodes, "edges": [{"from": source, "to": target} for source, target in edges]}


def document() -> dict[str, Any]:
    inner = body(("$in", "a"), ("a", "b"), ("b", "$out"), ("a", "c"), a=SET, b=SET, c=SET)
    each = {"type": "flow.for_each", "bodies": {"body": inner}}
    graph = body(
        ("start", "first"),
        ("start", "other"),
        ("first", "each"),
        ("each", "last"),
        start={"type": "trigger.manual"},
        hook={"type": "trigger.webhook", "params": {"path": "hook"}},
        first=SET,
        other=SET,
        each=each,
        last=SET,
    )
    return {"format": 1, "name": "Test", **graph}


def test_only_the_node_and_what_leads_to_it_are_left() -> None:
    cut = up_to(document(), "first")

    assert list(cut["nodes"]) == ["start", "first"]
    assert cut["edges"] == [{"from": "start", "to": "first"}]
    assert check(cut, REGISTRY).blocking("run") == ()


def test_a_container_on_the_way_stays_whole() -> None:
    cut = up_to(document(), "last")

    assert cut["nodes"]["each"] == document()["nodes"]["each"]
    assert "other" not in cut["nodes"]


def test_inside_a_body_the_containers_around_are_cut_too() -> None:
    cut = up_to(document(), "b")

    assert list(cut["nodes"]) == ["start", "first", "each"]
    inner = cut["nodes"]["each"]["bodies"]["body"]
    assert list(inner["nodes"]) == ["a", "b"]
    assert inner["edges"] == [{"from": "$in", "to": "a"}, {"from": "a", "to": "b"}, {"from": "b", "to": "$out"}]
    assert check(cut, REGISTRY).blocking("run") == ()


def test_the_document_itself_stays_as_it_is() -> None:
    whole = document()
    up_to(whole, "b")

    assert whole == document()


def test_a_node_that_is_not_there_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(NodeNotInWorkflow) as raised:
        up_to(document(), "frist")

    assert "first" in raised.value.hint

"""Pinning the versions of types at save."""

import copy

from budflow.graph.pin import pin_types
from tests.graph.documents import REGISTRY, document, valid_document


def test_every_node_gets_the_newest_version_of_its_type() -> None:
    pinned = pin_types(valid_document(), REGISTRY)

    assert {node["type_version"] for node in pinned["nodes"].values()} == {1}
    assert {key: node["type"] for key, node in pinned["nodes"].items()} == {
        key: node["type"] for key, node in valid_document()["nodes"].items()
    }


def test_a_version_that_is_named_stays() -> None:
    given = {"a": {"type": "flow.no_op", "type_version": 7}, "b": {"type": "flow.no_op", "type_version": None}}

    pinned = pin_types(document(given), REGISTRY)

    assert pinned["nodes"]["a"]["type_version"] == 7
    assert pinned["nodes"]["b"]["type_version"] == 1


def test_nodes_of_bodies_are_pinned_too() -> None:
    body = {"nodes": {"b": {"type": "flow.no_op"}}, "edges": [{"from": "$in", "to": "b"}]}

    pinned = pin_types(document({"a": {"type": "flow.no_op", "bodies": {"x": body}}}), REGISTRY)

    assert pinned["nodes"]["a"]["bodies"]["x"]["nodes"]["b"]["type_version"] == 1
    assert pinned["nodes"]["a"]["bodies"]["x"]["edges"] == body["edges"]


def test_a_type_that_is_not_known_stays_without_a_version() -> None:
    assert "type_version" not in pin_types(document({"a": {"type": "gone.type"}}), REGISTRY)["nodes"]["a"]


def test_the_given_document_is_left_as_it_is() -> None:
    given = valid_document()
    before = copy.deepcopy(given)

    pin_types(given, REGISTRY)

    assert given == before

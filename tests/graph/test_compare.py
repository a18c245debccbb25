"""The difference of two documents, as their meaning has it."""

import copy
from typing import Any

from budflow.graph.compare import Change, EdgeChange, NodeChange, compare

DOCUMENT: dict[str, Any] = {
    "format": 1,
    "name": "Orders",
    "nodes": {
        "start": {"type": "trigger.manual"},
        "each": {
            "type": "flow.for_each",
            "bodies": {
                "body": {
                    "nodes": {"price": {"type": "http.request", "params": {"url": "https://a.example/"}}},
                    "edges": [{"from": "$in", "to": "price"}, {"from": "price", "to": "$out"}],
                }
            },
        },
        "last": {"type": "data.set", "params": {"values": {"tags": ["a", "b"]}}},
    },
    "edges": [{"from": "start", "to": "each"}, {"from": "each", "to": "last"}],
}


def changed() -> dict[str, Any]:
    return copy.deepcopy(DOCUMENT)


def test_what_means_the_same_is_equal() -> None:
    other = changed()
    other["nodes"] = dict(reversed(other["nodes"].items()))
    other["nodes"]["last"] |= {"on_error": "stop", "position": [10, 20], "retry": {"tries": 1}}
    other["edges"][0] = {"from": "start.main", "to": "each.main"}
    other["settings"] = {"priority": 0}

    assert compare(DOCUMENT, other).equal


def test_a_changed_value_is_told_with_its_place_in_the_node() -> None:
    other = changed()
    other["nodes"]["last"]["params"]["values"]["tags"][1] = "c"
    other["nodes"]["last"]["retry"] = {"tries": 3}

    [node] = compare(DOCUMENT, other).nodes

    assert (node.key, node.kind, node.path) == ("last", "changed", "/nodes/last")
    assert node.changes == (Change("/params/values/tags/1", "b", "c"), Change("/retry/tries", 1, 3))


def test_nodes_and_edges_inside_bodies_are_compared() -> None:
    other = changed()
    inner = other["nodes"]["each"]["bodies"]["body"]
    inner["nodes"]["price"]["params"]["url"] = "https://b.example/"
    inner["nodes"]["round"] = {"type": "flow.no_op"}
    inner["edges"] = [{"from": "$in", "to": "price"}, {"from": "price", "to": "round"}, {"from": "round", "to": "$out"}]

    found = compare(DOCUMENT, other)

    place = "/nodes/each/bodies/body"
    url = Change("/params/url", "https://a.example/", "https://b.example/")
    assert found.nodes == (
        NodeChange("price", "http.request", "changed", f"{place}/nodes/price", (url,)),
        NodeChange("round", "flow.no_op", "added", f"{place}/nodes/round"),
    )
    assert found.edges == (
        EdgeChange("added", "price", "round", place),
        EdgeChange("added", "round", "$out", place),
        EdgeChange("removed", "price", "$out", place),
    )


def test_a_node_that_moved_into_a_body_is_the_same_node() -> None:
    other = changed()
    inner = other["nodes"]["each"]["bodies"]["body"]
    inner["nodes"]["last"] = other["nodes"].pop("last")
    other["edges"].pop()
    inner["edges"].append({"from": "price", "to": "last"})

    [moved] = compare(DOCUMENT, other).nodes

    assert (moved.key, moved.kind, moved.moved_from) == ("last", "changed", "/nodes/last")


def test_a_body_more_is_a_change_of_its_container() -> None:
    before = changed()
    before["nodes"]["each"] = {"type": "flow.try_catch", "bodies": {"body": {"nodes": {}, "edges": []}}}
    after = copy.deepcopy(before)
    after["nodes"]["each"]["bodies"]["finally"] = {"nodes": {}, "edges": []}

    [node] = compare(before, after).nodes

    assert node.changes == (Change("/bodies/finally", None, True),)


def test_name_and_settings_are_told_by_themselves() -> None:
    other = changed()
    other["name"] = "All orders"
    other["settings"] = {"retention": {"failed_seconds": 60}}

    found = compare(DOCUMENT, other)

    assert found.document == (Change("/name", "Orders", "All orders"),)
    assert found.settings == (Change("/settings/retention/failed_seconds", None, 60),)
    assert not found.nodes


def test_a_changed_credential_is_told_with_its_slot() -> None:
    before, after = changed(), changed()
    for document, name in ((before, "crm-token"), (after, "shop-token")):
        price = document["nodes"]["each"]["bodies"]["body"]["nodes"]["price"]
        price["credentials"] = {"auth": name}

    [node] = compare(before, after).nodes
    [given] = compare(DOCUMENT, before).nodes

    assert node.changes == (Change("/credentials/auth", "crm-token", "shop-token"),)
    assert given.changes == (Change("/credentials/auth", None, "crm-token"),)

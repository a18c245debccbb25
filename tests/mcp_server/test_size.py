"""Cutting answers: what may go goes, the largest first, and what went is told."""

import copy
import json
from typing import Any

from mcp_server.size import fit


def answer() -> dict[str, Any]:
    return {
        "id": "exe_1",
        "nodes": [{"key": f"n{n}", "items": [{"n": i} for i in range(50)], "truncated": False} for n in range(10)],
        "body": {"a": "b"},
    }


def test_an_answer_that_fits_stays_as_it_is() -> None:
    assert fit(answer(), ("nodes",), 1_000_000) == answer()


def test_inner_lists_go_before_outer_ones() -> None:
    short = fit(answer(), ("nodes.*.items", "nodes"), 2000)

    assert len(json.dumps(short["nodes"])) < 2500
    assert len(short["nodes"]) == 10
    assert short["omitted"]["/nodes/0/items"] + len(short["nodes"][0]["items"]) == 50
    assert short["nodes"][0]["truncated"] is True


def test_outer_lists_go_when_inner_ones_are_empty() -> None:
    short = fit(answer(), ("nodes.*.items", "nodes"), 200)

    assert len(short["nodes"]) < 10
    assert short["omitted"]["/nodes"] == 10 - len(short["nodes"])


def test_what_is_no_list_becomes_null() -> None:
    short = fit(answer(), ("body",), 100)

    assert short["body"] is None
    assert short["omitted"] == {"/body": 1}


def test_long_strings_are_cut_last() -> None:
    short = fit({"message": "x" * 10_000}, ("nodes",), 1000)

    assert len(short["message"]) < 600
    assert short["omitted"] == {"/message": 9500}


def test_what_may_not_go_stays() -> None:
    numbers = {"numbers": list(range(1000))}

    assert fit(copy.deepcopy(numbers), (), 100) == numbers

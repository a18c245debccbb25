"""flow.switch."""

from typing import Any

import pytest
from pydantic import ValidationError

from budflow.nodes.flow.switch import SwitchParams, switch_ports
from tests.nodes.harness import run


def cases(json: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "cases": [{"port": "even", "when": json["n"] % 2 == 0}, {"port": "large", "when": json["n"] > 2}],
        **more,
    }


NUMBERS = [{"n": n} for n in range(1, 5)]


def test_an_item_takes_the_first_case_that_holds() -> None:
    ran = run("flow.switch", cases, NUMBERS)

    assert ran.lineage == {"even": [1, 3], "large": [2]}


def test_all_matches_send_an_item_several_ways() -> None:
    ran = run("flow.switch", lambda json: cases(json, all_matches=True), NUMBERS)

    assert ran.lineage == {"even": [1, 3], "large": [2, 3]}


def test_items_of_no_case_are_dropped_or_leave_by_fallback() -> None:
    never = {"cases": [{"port": "a", "when": False}]}

    assert run("flow.switch", never, NUMBERS).ports == {}
    assert run("flow.switch", {**never, "fallback": "port"}, NUMBERS).ports == {"fallback": NUMBERS}


def test_the_ports_follow_from_the_cases() -> None:
    raw = {"cases": [{"port": "a", "when": "{{ x }}"}, {"port": "b"}, {"port": "a"}, {"when": True}, None]}

    assert switch_ports(raw) == ("a", "b")
    assert switch_ports({**raw, "fallback": "port"}) == ("a", "b", "fallback")
    assert switch_ports({"cases": "{{ $json.cases }}"}) == ()


ROUTE = {"route": "{{ $json.kind }}", "ports": ["a", "b"]}
KINDS: list[Any] = [{"kind": "b"}, {"kind": "a"}, {"kind": "c"}, {"kind": None}]


def test_an_expression_may_name_the_port() -> None:
    ran = run("flow.switch", {**ROUTE, "fallback": "port"}, KINDS)

    assert ran.lineage == {"b": [0], "a": [1], "fallback": [2, 3]}
    assert run("flow.switch", ROUTE, KINDS).lineage == {"b": [0], "a": [1]}


def test_a_route_that_is_no_text_fails_the_item() -> None:
    assert run("flow.switch", ROUTE, [{"kind": ["a"]}, {"kind": "a"}]).lineage == {"a": [1], "error": [0]}


def test_a_number_is_the_name_of_no_port() -> None:
    kinds: list[Any] = [{"kind": 3}, {"kind": 0.5}, {"kind": "a"}]

    assert run("flow.switch", {**ROUTE, "fallback": "port"}, kinds).lineage == {"a": [2], "fallback": [0, 1]}


def test_the_ports_of_a_route_are_those_that_are_named() -> None:
    assert switch_ports(ROUTE) == ("a", "b")
    assert switch_ports({**ROUTE, "fallback": "port"}) == ("a", "b", "fallback")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"route": "{{ $json.kind }}"},
        {"ports": ["a"]},
        {"route": "a", "ports": ["a", "a"]},
        {"route": "a", "ports": ["error"]},
        {"route": "a", "ports": ["A"]},
        {"route": "a", "ports": ["a"], "cases": [{"port": "a", "when": True}]},
        {"ports": ["a"], "cases": [{"port": "a", "when": True}]},
    ],
)
def test_there_is_one_way_to_choose(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SwitchParams.model_validate(wrong)


@pytest.mark.parametrize(
    "ports",
    [[], ["a", "a"], ["fallback"], ["error"], ["A"], ["1a"], ["a-b"], [""], ["a" * 65], [f"p{n}" for n in range(65)]],
)
def test_ports_that_cannot_be_told_apart_are_refused(ports: list[str]) -> None:
    with pytest.raises(ValidationError):
        SwitchParams.model_validate({"cases": [{"port": port, "when": True} for port in ports]})

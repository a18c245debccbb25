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


@pytest.mark.parametrize(
    "ports",
    [[], ["a", "a"], ["fallback"], ["error"], ["A"], ["1a"], ["a-b"], [""], ["a" * 65], [f"p{n}" for n in range(65)]],
)
def test_ports_that_cannot_be_told_apart_are_refused(ports: list[str]) -> None:
    with pytest.raises(ValidationError):
        SwitchParams.model_validate({"cases": [{"port": port, "when": True} for port in ports]})

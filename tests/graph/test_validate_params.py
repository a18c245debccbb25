"""Expressions that read the node's credentials: only slots that it has filled, and only where secrets are taken."""

from typing import Any

import pytest

from tests.graph.documents import checked, only


def reading(params: dict[str, Any], *, type_name: str = "http.request", **credentials: str) -> dict[str, Any]:
    given = {"url": "https://crm.example/", **params} if type_name == "http.request" else params
    return {"ask": {"type": type_name, "params": given, **({"credentials": credentials} if credentials else {})}}


@pytest.mark.parametrize(
    "params",
    [
        {"headers": {"X-Token": "{{ $secrets.auth.token }}"}},
        {"query": {"key": '{{ $secrets["auth"].token }}'}},
        {"headers": {"X-Token": "{{ $secrets.auth.token if $json.signed else 'none' }}"}},
    ],
)
def test_a_secret_of_the_nodes_own_credential_may_go_where_secrets_are_taken(params: dict[str, Any]) -> None:
    assert checked(reading(params, auth="crm"), ["start > ask"]).problems == ()


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ({"url": "https://crm.example/{{ $secrets.auth.token }}"}, "url"),
        ({"body": "{{ $secrets.auth.token }}"}, "body"),
        ({"method": "PUT", "body": {"token": "{{ $secrets.auth.token }}"}}, "body/token"),
        ({"method": "PUT", "body_text": "{{ $secrets.auth.token }}"}, "body_text"),
        ({"query": {"keys": ["{{ $secrets.auth.token }}"]}}, "query/keys/0"),
    ],
)
def test_a_parameter_that_takes_no_secret_is_given_none(params: dict[str, Any], place: str) -> None:
    problem = only(checked(reading(params, auth="crm"), ["start > ask"]))

    assert (problem.code, problem.path) == ("expression.secret_not_taken", f"/nodes/ask/params/{place}")
    assert problem.blocks == "run"


@pytest.mark.parametrize("text", ["Bearer {{ $secrets.auth.token }}", "{{ $json.user }}:{{ $secrets.auth.token }}"])
def test_a_secret_within_a_text_is_told_before_it_fails_in_an_execution(text: str) -> None:
    problem = only(checked(reading({"headers": {"Authorization": text}}, auth="crm"), ["start > ask"]))

    assert (problem.code, problem.path) == ("expression.secret_in_text", "/nodes/ask/params/headers/Authorization")
    assert problem.blocks == "run"
    assert "bearer" in problem.hint


def test_a_slot_that_the_type_has_not_is_told_with_those_that_it_has() -> None:
    problem = only(checked(reading({"headers": {"X": "{{ $secrets.auht.token }}"}}, auth="crm"), ["start > ask"]))

    assert problem.code == "expression.unknown_slot"
    assert "`auth`" in problem.hint


def test_a_slot_that_is_empty_is_told_with_how_to_fill_it() -> None:
    problem = only(checked(reading({"headers": {"X": "{{ $secrets.auth.token }}"}}), ["start > ask"]))

    assert problem.code == "expression.empty_slot"
    assert '"credentials": {"auth": "NAME"}' in problem.hint


def test_a_node_type_without_slots_reads_no_secrets() -> None:
    nodes = reading({"values": {"x": "{{ $secrets.auth.token }}"}}, type_name="data.set")

    assert only(checked(nodes, ["start > ask"])).code == "expression.unknown_slot"

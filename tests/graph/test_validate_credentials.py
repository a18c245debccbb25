"""The validator's part for `credentials`: slots of the type, and references that could name a credential."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from budflow.graph.nesting import PlacedGraph
from budflow.graph.validate import check
from budflow.graph.validate_credentials import credential_problems
from budflow.model.credential_kind import CredentialSlot
from budflow.model.node import NodeSpec
from budflow.model.problem import Problem
from budflow.model.workflow import Graph, Node
from tests.graph.documents import REGISTRY, checked, document, mended, only

ID = "crd_0192f0c1d5e67f608b7c8d9e0f102132"


def request(**credentials: Any) -> dict[str, Any]:
    return {"type": "http.request", "params": {"url": "https://crm.example/"}, "credentials": credentials}


def spec_with(slots: Mapping[str, CredentialSlot]) -> NodeSpec:
    spec = REGISTRY.get("http.request")
    assert spec is not None
    return replace(spec, credentials=slots)


def problems_of(slots: Mapping[str, CredentialSlot], credentials: Mapping[str, str]) -> list[Problem]:
    node = Node("a", "http.request", credentials=credentials)
    return list(credential_problems(PlacedGraph(Graph({"a": node})), node, spec_with(slots)))


@pytest.mark.parametrize("reference", ["crm-token", "a", "a.b_c-9", ID])
def test_a_slot_takes_a_name_or_an_id(reference: str) -> None:
    assert checked({"a": request(auth=reference)}, ["start > a"]).problems == ()


@pytest.mark.parametrize(
    "reference",
    ["", "Crm", "crm token", "crd_1", "{{ $json.name }}", "ä", "a" * 65, "a\n", ID.upper(), f"{ID}\n", "1a"],
)
def test_what_no_credential_can_be_called_forbids_running(reference: str) -> None:
    found = checked({"a": request(auth=reference)}, ["start > a"])

    problem = only(found)
    assert (problem.code, problem.path) == ("credential.reference_malformed", "/nodes/a/credentials/auth")
    assert found.blocking("run") and not found.blocking("save")


def test_a_misspelt_slot_is_mended_by_its_patch() -> None:
    data = document({"a": request(atuh="crm-token")}, ["start > a"])

    problem = only(check(data, REGISTRY))

    assert (problem.code, problem.path) == ("credential.slot_unknown", "/nodes/a/credentials/atuh")
    assert problem.hint == "Did you mean `auth`?"
    assert check(mended(data, problem), REGISTRY).problems == ()
    assert mended(data, problem)["nodes"]["a"]["credentials"] == {"auth": "crm-token"}


def test_a_slot_that_resembles_none_hears_which_there_are() -> None:
    problem = only(checked({"a": request(auth="crm-token", zzz="x")}, ["start > a"]))

    assert problem.hint == "Use one of these: `auth`."
    assert problem.patch == ()


def test_a_type_without_slots_takes_no_credentials() -> None:
    data = document({"a": {"type": "flow.no_op", "credentials": {"auth": "x", "b": "y"}}}, ["start > a"])

    problem = only(check(data, REGISTRY))

    assert (problem.code, problem.path, problem.blocks) == ("credential.slot_unknown", "/nodes/a/credentials", "run")
    assert problem.message == "`flow.no_op` takes no credentials."
    assert check(mended(data, problem), REGISTRY).problems == ()


def test_a_required_slot_must_be_filled() -> None:
    slots = {"auth": CredentialSlot("Signs the request.", required=True), "more": CredentialSlot("May be left out.")}

    [problem] = problems_of(slots, {})

    assert (problem.code, problem.path, problem.blocks) == ("credential.slot_missing", "/nodes/a/credentials", "run")
    assert "`auth`" in problem.message
    assert problems_of(slots, {"auth": "crm"}) == []


def test_a_credential_and_the_parameter_that_it_stands_for_are_not_given_together() -> None:
    hook = {"type": "trigger.webhook", "params": {"path": "a", "signature": {"secret": "GITHUB"}}}
    data = document({"hook": {**hook, "credentials": {"signature": "github"}}})

    problem = only(check(data, REGISTRY))

    assert (problem.code, problem.path) == ("credential.given_twice", "/nodes/hook/credentials/signature")
    assert check(mended(data, problem), REGISTRY).problems == ()
    assert check(document({"hook": hook}), REGISTRY).problems == ()


def test_all_of_a_node_is_told_at_once() -> None:
    slots = {"auth": CredentialSlot("Signs the request.", required=True), "more": CredentialSlot("May be left out.")}

    found = problems_of(slots, {"moer": "a", "more": "B"})

    assert [problem.code for problem in found] == [
        *("credential.slot_unknown", "credential.reference_malformed", "credential.slot_missing")
    ]

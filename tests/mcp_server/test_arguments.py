"""Arguments: what is wrong with a call is said in words that an agent can act on."""

import pytest
from pydantic import Field

from budflow.model.problem import WorkflowInvalid
from budflow.services.credential_inputs import Hosts
from budflow.services.use_case import RequestModel
from mcp_server.arguments import ArgumentsInvalid, read_arguments


class Wanted(RequestModel):
    """What a tool of these tests wants."""

    workflow_id: str = Field(description="Which workflow.")
    limit: int = Field(10, ge=1, description="How many at most.")
    items: list[dict[str, object]] = Field(default_factory=list, description="The items.")
    document: dict[str, object] = Field(default_factory=dict, description="The document.")


def test_every_fault_is_named_with_its_place_and_what_to_do() -> None:
    with pytest.raises(ArgumentsInvalid) as raised:
        read_arguments(Wanted, {"workflow": "wf_1", "limit": 0})

    said = {problem.path: (problem.message, problem.hint) for problem in raised.value.problems}
    assert said["/workflow"] == ("There is no argument `workflow`.", "Did you mean `workflow_id`?")
    assert said["/workflow_id"] == ("The argument `workflow_id` is missing.", "Which workflow.")
    assert said["/limit"] == ("`limit`: input should be greater than or equal to 1, not `0`.", "How many at most.")


def test_nothing_points_to_the_website_of_a_library() -> None:
    with pytest.raises(ArgumentsInvalid) as raised:
        read_arguments(Wanted, {"limit": "many"})

    assert "pydantic" not in str(raised.value)


def test_what_a_check_of_our_own_says_is_told_without_words_of_a_library() -> None:
    class Ask(RequestModel):
        hosts: Hosts = Field(description="Where it is sent.")

    with pytest.raises(ArgumentsInvalid) as raised:
        read_arguments(Ask, {"hosts": ["https://api.example.com/v1"]})

    assert str(raised.value).startswith("`hosts.0`: write a host such as")


def test_json_in_a_string_is_read() -> None:
    read = read_arguments(Wanted, {"workflow_id": "wf_1", "document": '{"name": "A"}'})

    assert read == Wanted(workflow_id="wf_1", document={"name": "A"})


def test_a_string_that_is_no_json_object_is_refused() -> None:
    with pytest.raises(ArgumentsInvalid, match="`document`"):
        read_arguments(Wanted, {"workflow_id": "wf_1", "document": "name: A"})


def test_a_key_that_comes_twice_in_a_string_is_refused() -> None:
    with pytest.raises(WorkflowInvalid):
        read_arguments(Wanted, {"workflow_id": "wf_1", "document": '{"name": "A", "name": "B"}'})


def test_a_long_wrong_value_is_not_repeated_in_full() -> None:
    with pytest.raises(ArgumentsInvalid) as raised:
        read_arguments(Wanted, {"workflow_id": "wf_1", "document": "x" * 100_000})

    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("arguments", [{"limit": 2**70}, {"items": [{"n": 2**64}]}, {"items": [{"n": -(2**64)}]}])
def test_a_number_that_nothing_can_hold_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ArgumentsInvalid, match="64 bits") as raised:
        read_arguments(Wanted, {"workflow_id": "wf_1", **arguments})

    assert [problem.code for problem in raised.value.problems] == ["argument.number_too_large"]


def test_items_that_nest_too_deep_are_refused() -> None:
    deep: dict[str, object] = {}
    for _ in range(150):
        deep = {"in": deep}

    with pytest.raises(ArgumentsInvalid, match="An argument nests deeper"):
        read_arguments(Wanted, {"workflow_id": "wf_1", "items": [deep]})


def test_what_a_document_holds_is_left_to_the_validator() -> None:
    assert read_arguments(Wanted, {"workflow_id": "wf_1", "document": {"format": 2**70}})


def test_a_wrong_value_of_any_size_can_be_shown() -> None:
    with pytest.raises(ArgumentsInvalid, match=str(2**70)):
        read_arguments(Wanted, {"workflow_id": "wf_1", "document": 2**70})

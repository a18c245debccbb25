"""What a node asks of the machine it runs on: amounts, names that somebody meant otherwise, labels."""

from typing import Any

import pytest

from budflow.graph.plan import compile_plan
from budflow.graph.validate import Checked, check
from budflow.graph.validate_resources import LABELS_MAX, RESOURCES_MAX
from tests.graph.documents import REGISTRY, document, mended, only


def asking(resources: Any) -> dict[str, Any]:
    node = {"type": "data.sort", "params": {"by": [{"field": "n"}]}, "resources": resources}
    return document({"it": node}, ["start > it"])


def checked(resources: Any) -> Checked:
    return check(asking(resources), REGISTRY)


def test_amounts_and_labels_stand_in_one_object_and_are_told_apart() -> None:
    labels = {"tier": "gpu", "ray.io/market-type": "!in(spot, other)"}
    found = checked({"num_cpus": 2, "license": 1, "labels": labels})

    assert found.problems == ()
    assert found.workflow is not None
    node = found.workflow.graph.nodes["it"]
    assert node.resources == {"num_cpus": 2, "license": 1}
    assert node.labels == labels


def test_a_node_that_asks_for_labels_alone_runs_apart() -> None:
    workflow = checked({"labels": {"tier": "gpu"}}).require("run")

    plan = compile_plan(workflow, REGISTRY, workflow_id="wf_1", version=1)

    assert [node.weight for node in plan.nodes if node.key == "it"] == ["heavy"]


def test_less_than_nothing_is_refused() -> None:
    problem = only(checked({"num_cpus": -1}))

    assert (problem.code, problem.path) == ("node.resource_negative", "/nodes/it/resources/num_cpus")


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        *(("CPU", "num_cpus"), ("cpus", "num_cpus"), ("num_cpu", "num_cpus"), ("numcpus", "num_cpus")),
        *(("GPU", "num_gpus"), ("mem", "memory"), ("memorry", "memory")),
    ],
)
def test_what_others_call_a_resource_is_told_with_a_mend_and_forbids_publishing(wrong: str, meant: str) -> None:
    data = asking({wrong: 1})
    problem = only(check(data, REGISTRY))

    assert (problem.code, problem.blocks) == ("node.resource_misnamed", "publish")
    assert problem.hint == f"Did you mean `{meant}`?"
    assert check(mended(data, problem), REGISTRY).problems == ()


def test_a_resource_that_is_there_under_both_names_is_to_be_removed() -> None:
    assert only(checked({"CPU": 1, "num_cpus": 2})).hint == "Remove it."


@pytest.mark.parametrize("name", ["license", "A100", "tpu", "node_pool"])
def test_any_other_name_is_a_custom_resource(name: str) -> None:
    assert checked({name: 1}).problems == ()


@pytest.mark.parametrize("name", ["x" * 101, "", " ", "größe", "a\nb"])
def test_a_name_that_ray_does_not_take_is_refused(name: str) -> None:
    assert only(checked({name: 1})).code == "node.resource_misnamed"


@pytest.mark.parametrize("condition", ["-a", "in()", "gpu!", "", "a" * 64])
def test_a_condition_that_ray_would_not_understand_is_told_with_those_it_does(condition: str) -> None:
    problem = only(checked({"labels": {"tier": condition}}))

    assert (problem.code, problem.path, problem.blocks) == (
        "node.label_malformed",
        "/nodes/it/resources/labels/tier",
        "run",
    )
    assert '"!gpu"' in problem.hint


def test_a_label_that_no_node_can_have_is_refused() -> None:
    assert "cannot be the name of a label" in only(checked({"labels": {"a tier": "gpu"}})).message


@pytest.mark.parametrize("condition", ["abc", "!abc", "in(a, b)"])
def test_the_id_of_a_node_is_no_label_to_ask_for(condition: str) -> None:
    """Ray ends the whole process that asks for one that no node has."""
    problem = only(checked({"labels": {"ray.io/node-id": condition}}))

    assert (problem.code, problem.blocks) == ("node.label_malformed", "run")
    assert "--labels" in problem.hint


def test_there_is_a_most_of_both() -> None:
    many = {f"r{number}": 1 for number in range(RESOURCES_MAX + 1)}
    assert only(checked(many)).code == "node.too_many_resources"
    labels = {f"l{number}": "a" for number in range(LABELS_MAX + 1)}
    assert only(checked({"labels": labels})).code == "node.label_malformed"


@pytest.mark.parametrize(
    "resources", [{"num_cpus": "2"}, {"num_cpus": True}, {"labels": {"tier": 1}}, {"label": {}}, []]
)
def test_a_value_of_another_kind_is_refused_and_shown_how_to_write_it(resources: Any) -> None:
    problem = only(checked(resources))

    assert (problem.code, problem.blocks) == ("document.invalid_value", "save")
    assert problem.path.startswith("/nodes/it/resources")

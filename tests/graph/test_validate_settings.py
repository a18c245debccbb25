"""The settings of a workflow, as the validator sees them."""

from typing import Any

import pytest

from budflow.graph.parse import parse
from budflow.model.workflow import Retention
from tests.graph.documents import checked, codes, document, nested_document, only


def key_problems(text: str) -> Any:
    return checked(settings={"concurrency_key": text}).problems


@pytest.mark.parametrize(
    "zone", ["Europe/Viena", "", "../../etc/passwd", "Europe", "x" * 5000, "a\x00b", "/etc/passwd", "a.b" * 5000]
)
def test_an_unknown_time_zone_is_told(zone: str) -> None:
    problem = only(checked(settings={"timezone": zone}))

    assert (problem.code, problem.path) == ("settings.unknown_timezone", "/settings/timezone")


def test_a_misspelt_time_zone_names_the_one_that_was_meant() -> None:
    assert only(checked(settings={"timezone": "Europe/Viena"})).hint.startswith("Did you mean `Europe/Vienna`?")


def test_every_setting_that_is_acted_on_may_be_published() -> None:
    found = checked(settings=nested_document()["settings"])

    assert found.problems == ()
    assert found.require("publish").settings.retention == Retention(0, 3600, 100)


def test_what_is_left_out_is_the_default() -> None:
    settings = parse(document(settings={"retention": {"failed_seconds": 5}})).settings

    assert settings.retention == Retention(failed_seconds=5)
    assert settings.concurrency_policy == "queue"
    assert parse(document()).settings.retention == Retention()


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"concurrency_policy": "cancel_newest"}, "/settings/concurrency_policy"),
        ({"retention": {"succeeded_seconds": -1}}, "/settings/retention/succeeded_seconds"),
        ({"retention": {"executions_max": 0}}, "/settings/retention/executions_max"),
        ({"retention": {"failed_second": 1}}, "/settings/retention/failed_second"),
        ({"retention": None}, "/settings/retention"),
        ({"error_workflow": "my workflow"}, "/settings/error_workflow"),
        ({"error_workflow": "x" * 101}, "/settings/error_workflow"),
        ({"error_workflow": ""}, "/settings/error_workflow"),
        ({"concurrency_key": ""}, "/settings/concurrency_key"),
        ({"concurrency_key": "x" * 1001}, "/settings/concurrency_key"),
        ({"max_concurrency": 0}, "/settings/max_concurrency"),
    ],
)
def test_a_setting_that_cannot_be_is_told_where_it_stands(settings: dict[str, Any], path: str) -> None:
    problem = only(checked(settings=settings))

    assert (problem.path, problem.blocks) == (path, "save")


@pytest.mark.parametrize(
    "text",
    ["all", "{{ $json.customer }}", "{{ $workflow.id }}-{{ $execution.mode }}", "{{ 'x' }}", "{{ $vars.a + $env.B }}"],
)
def test_a_concurrency_key_is_a_text_or_made_from_the_first_item(text: str) -> None:
    assert key_problems(text) == ()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{{ $json. }}", "expression.invalid"),
        ("{{ $jsn.x }}", "expression.invalid"),
        ("{{ $now }}", "expression.not_allowed"),
        ("{{ $node.start.json.x }}", "expression.not_allowed"),
        ("{{ $run_index }}", "expression.not_allowed"),
        ("{{ $secrets.x }}", "expression.not_allowed"),
        ("{{ $loop.x }}", "expression.name_reserved"),
    ],
)
def test_a_concurrency_key_reads_only_what_is_there_before_the_start(text: str, code: str) -> None:
    [problem] = key_problems(text)

    assert (problem.code, problem.path, problem.blocks) == (code, "/settings/concurrency_key", "run")


def test_every_name_that_the_key_cannot_read_is_told() -> None:
    assert codes(checked(settings={"concurrency_key": "{{ $item_index + $now }}"})) == ["expression.not_allowed"] * 2

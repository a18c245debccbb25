"""The group that an execution counts in: by its workflow, or by a key from what comes in."""

from typing import Any

import pytest

from budflow.execution.limits import KEY_CHARS_MAX, ConcurrencyKeyFailed, limit_of
from budflow.model.execution import Execution, Limit
from budflow.model.identity import utc_now
from budflow.model.item import ItemList, Json
from tests.execution.fakes import plan_of


def limit(item: Json, **settings: Any) -> Limit | None:
    _, plan = plan_of({"start": {"type": "trigger.manual"}}, [], **settings)
    execution = Execution("exe_1", "default", "wf_1", 3, "api", "queued", utc_now())
    return limit_of(plan, execution, ItemList.of([item, {"customer": "second"}]))


def test_without_settings_there_is_no_limit() -> None:
    assert limit({}) is None


def test_a_maximum_alone_counts_all_executions_of_the_workflow() -> None:
    assert limit({}, max_concurrency=4, concurrency_policy="drop") == Limit("workflow:wf_1", 4, "drop")


def test_a_key_counts_those_with_equal_keys_one_at_a_time() -> None:
    key = "{{ $json.customer }}-{{ $workflow.id }}"

    assert limit({"customer": "ada"}, concurrency_key=key) == Limit("wf_1:ada-wf_1", 1, "queue")
    assert limit({"customer": "ada"}, concurrency_key=key, max_concurrency=2) == Limit("wf_1:ada-wf_1", 2, "queue")


def test_a_key_may_be_any_value() -> None:
    found = limit({"ids": [1, 2]}, concurrency_key="{{ $json.ids }}")

    assert found is not None
    assert found.key == "wf_1:[1,2]"


@pytest.mark.parametrize("value", ["x" * (KEY_CHARS_MAX + 1), "a\0b", "\udc80"])
def test_what_no_database_keeps_well_is_hashed(value: str) -> None:
    found = limit({"key": value}, concurrency_key="{{ $json.key }}")

    assert found is not None
    assert found.key.startswith("wf_1:sha256:")


def test_a_key_that_cannot_be_made_is_a_clear_error() -> None:
    with pytest.raises(ConcurrencyKeyFailed, match=r"\$json\.customer"):
        limit({}, concurrency_key="{{ $json.customer }}")

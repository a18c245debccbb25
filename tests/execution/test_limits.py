"""The group that an execution counts in: by its workflow, or by a key from what comes in."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from budflow.execution.limits import KEY_CHARS_MAX, ConcurrencyKeyFailed, limit_of
from budflow.execution.projection import read_story
from budflow.model import event as e
from budflow.model.execution import Execution, Limit
from budflow.model.identity import new_id, utc_now
from budflow.model.item import ItemList, Json
from tests.execution.fakes import plan_of, until
from tests.execution.server import CALL, SET, Server, hang, serving

AROUND = {"vars": {"region": "north"}, "env": {"STAGE": "test"}}


def limit(item: Json, **settings: Any) -> Limit | None:
    _, plan = plan_of({"start": {"type": "trigger.manual"}}, [], **settings)
    execution = Execution("exe_1", "default", "wf_1", 3, "api", "queued", utc_now())
    return limit_of(plan, execution, ItemList.of([item, {"customer": "second"}]), AROUND)


def test_without_settings_there_is_no_limit() -> None:
    assert limit({}) is None


def test_a_maximum_alone_counts_all_executions_of_the_workflow() -> None:
    assert limit({}, max_concurrency=4, concurrency_policy="drop") == Limit("workflow:wf_1", 4, "drop")


def test_a_key_counts_those_with_equal_keys_one_at_a_time() -> None:
    key = "{{ $json.customer }}-{{ $workflow.id }}"

    assert limit({"customer": "ada"}, concurrency_key=key) == Limit("wf_1:ada-wf_1", 1, "queue")
    assert limit({"customer": "ada"}, concurrency_key=key, max_concurrency=2) == Limit("wf_1:ada-wf_1", 2, "queue")


def test_a_key_may_keep_the_versions_of_a_workflow_apart() -> None:
    found = limit({}, concurrency_key="{{ $execution.workflow_version }}/{{ $workflow.version }}")

    assert found is not None
    assert found.key == "wf_1:3/3"


def test_a_key_may_be_any_value() -> None:
    found = limit({"ids": [1, 2]}, concurrency_key="{{ $json.ids }}")

    assert found is not None
    assert found.key == "wf_1:[1,2]"


def test_a_key_reads_what_the_settings_of_the_server_let_it() -> None:
    found = limit({"customer": "ada"}, concurrency_key="{{ $vars.region }}/{{ $env.STAGE }}/{{ $json.customer }}")

    assert found is not None
    assert found.key == "wf_1:north/test/ada"


@pytest.mark.parametrize("value", ["x" * (KEY_CHARS_MAX + 1), "a\0b", "\udc80"])
def test_what_no_database_keeps_well_is_hashed(value: str) -> None:
    found = limit({"key": value}, concurrency_key="{{ $json.key }}")

    assert found is not None
    assert found.key.startswith("wf_1:sha256:")


def test_a_key_that_cannot_be_made_is_a_clear_error() -> None:
    with pytest.raises(ConcurrencyKeyFailed, match=r"\$json\.customer"):
        limit({}, concurrency_key="{{ $json.customer }}")


async def test_who_made_the_oldest_go_is_told_at_once_and_stays_known() -> None:
    async with serving() as server:
        hang(server)
        await server.save("w", CALL, ["start > call"], max_concurrency=1, concurrency_policy="cancel_oldest")
        await server.save("none", SET, ["start > set"])
        first, second, third = [await submit(server) for _ in range(3)]
        async with asyncio.timeout(0.9):  # Before anybody would look by himself.
            await server.ended(first)
            await server.ended(second)

        for gone, by in ((first, second), (second, third)):
            assert (await server.row(gone)).status == "cancelled"
            _, plan = await server.plans.get("default", "w", 1)
            story = await read_story(server.store, await server.row(gone), plan)
            assert story.cancelled_by == f"cancel_oldest:{by}"
        assert (await server.row(third)).status == "running"


async def submit(server: Server) -> str:
    """Start an execution that its workflow limits, and wait until it runs."""
    version, plan = await server.plans.get_to_run("default", "w")
    execution = Execution(new_id("exe"), "default", "w", 1, "api", "queued", utc_now())
    given = ItemList.of([{}])
    execution = replace(execution, limit=limit_of(plan, execution, given, server.supervisor.surroundings))
    admitted = e.Admitted(utc_now(), "start", "api", "test", given)
    await server.supervisor.submit(execution, admitted, version, plan)
    await until(lambda: execution.id in server.supervisor.holding.held)
    return execution.id

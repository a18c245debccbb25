"""One look at what is due: what starts, what is passed over, and what is told of what cannot start."""

import asyncio
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from budflow.app import open_runtime
from budflow.model.armed_schedule import ArmedSchedule
from budflow.model.execution import Execution
from budflow.model.identity import utc_now
from budflow.model.principal import OWNER
from budflow.services.fire_schedules import DUE_MAX, fire_due_schedules, start_slot
from budflow.services.get_execution import GetExecution, get_execution
from budflow.services.leader_ports import NotLeader
from budflow.services.list_schedules import ListSchedules, list_schedules
from budflow.services.start_execution import StartExecution, start_execution
from budflow.services.unpublish_workflow import UnpublishWorkflow, unpublish_workflow
from budflow.services.use_case import Services
from budflow.services.wait_execution import wait_for_end
from budflow.settings import Settings
from budflow.storage.errors import StorageUnavailable
from budflow.storage.rows import to_micros
from tests.services.scheduling import (
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    armed,
    create,
    open_services,
    publish,
    published,
    settle,
    slots_of,
    ticking,
)
from tests.until import until


async def executions(services: Services) -> list[Execution]:
    """Those that were started, the oldest first."""
    return [*reversed((await services.store.list_executions("default", limit=1_000)).items)]


async def seen(services: Services, execution: Execution) -> dict[str, Any]:
    """The item that an execution began with, once it has ended."""
    await wait_for_end(services, execution, 10)
    detail = await get_execution(services, OWNER, GetExecution(execution_id=execution.id, detail="items"))
    [node] = [node for node in detail.nodes if node.key == "tick"]
    assert node.items is not None
    [item] = node.items["main"].items
    return dict(item["json"])


async def test_a_slot_brings_in_its_time_on_the_clocks_of_its_zone() -> None:
    async with open_services() as services:
        params = {"cron": "0 9 * * *", "timezone": "Europe/Vienna"}
        workflow_id = await published(services, params)
        slot = datetime(2090, 3, 30, 7, tzinfo=UTC)
        await settle(services, workflow_id, slot - SECOND)

        await fire_due_schedules(services, now=slot)

        [execution] = await executions(services)
        assert (execution.mode, execution.workflow_id) == ("schedule", workflow_id)
        assert await seen(services, execution) == {
            "scheduled_at": "2090-03-30T09:00:00+02:00",
            "slot": "2090-03-30T07:00:00Z",
            "timezone": "Europe/Vienna",
            "date": "2090-03-30",
            "time": "09:00:00",
            "year": 2090,
            "month": 3,
            "day": 30,
            "hour": 9,
            "minute": 0,
            "second": 0,
            "weekday": "Thursday",
            "rule": "0 9 * * *",
            "backfill": False,
        }


async def test_a_start_by_hand_brings_in_the_present_second_unless_it_brings_something_itself() -> None:
    async with open_services() as services:
        workflow_id = await create(services, ticking(timezone="Asia/Tokyo"))

        async def start(items: list[dict[str, Any]]) -> dict[str, Any]:
            asked = StartExecution(workflow_id=workflow_id, trigger="tick", items=items)
            started = await start_execution(services, OWNER, asked)
            execution = await services.store.get_execution("default", started.execution.id)
            assert execution is not None
            return await seen(services, execution)

        now = await start([{}])
        assert now["timezone"] == "Asia/Tokyo"
        assert abs(datetime.fromisoformat(now["slot"]) - utc_now()) < MINUTE
        assert await start([{"slot": "2026-03-30T07:00:00Z"}]) == {"slot": "2026-03-30T07:00:00Z"}


async def test_the_time_zone_is_the_workflows_where_the_trigger_names_none() -> None:
    async with open_services() as services:
        workflow_id = await published(services, {"cron": "0 9 * * *"}, timezone="Asia/Tokyo")

        assert (await armed(services, workflow_id)).route.schedule.timezone == "Asia/Tokyo"


async def test_each_slot_is_started_when_it_is_due_and_the_wait_is_until_the_next() -> None:
    async with open_services() as services:
        workflow_id = await published(services)
        await settle(services, workflow_id, NOON - SECOND)

        first = await fire_due_schedules(services, now=NOON)
        between = await fire_due_schedules(services, now=NOON + MINUTE)
        second = await fire_due_schedules(services, now=NOON + HOUR)

        assert (first.fired, between.fired, second.fired) == (1, 0, 1)
        assert first.wait_seconds == pytest.approx(3_600, abs=10)
        assert between.wait_seconds == pytest.approx(3_540, abs=10)
        assert await slots_of(services, workflow_id, NOON, HOUR, 9) == [0, 1]


async def test_without_schedules_there_is_nothing_to_wait_for() -> None:
    async with open_services() as services:
        assert (await fire_due_schedules(services, now=NOON)).wait_seconds is None


@pytest.mark.parametrize(
    ("missed", "expected"), [("run_once", [9]), ("run_all", list(range(1, 10))), ("skip", []), (None, [9])]
)
async def test_after_a_long_stop_the_policy_says_what_becomes_of_missed_slots(
    missed: str | None, expected: list[int]
) -> None:
    async with open_services() as services:
        params = {"every": "1h", "starting_at": NOON.isoformat()} | ({} if missed is None else {"missed": missed})
        workflow_id = await published(services, params)
        await settle(services, workflow_id, NOON)

        await fire_due_schedules(services, now=NOON + 9 * HOUR + 5 * MINUTE)
        await fire_due_schedules(services, now=NOON + 9 * HOUR + 6 * MINUTE)

        assert await slots_of(services, workflow_id, NOON, HOUR, 12) == expected
        assert (await armed(services, workflow_id)).due_at == NOON + 10 * HOUR


async def test_a_clock_that_goes_back_starts_nothing_again() -> None:
    async with open_services() as services:
        workflow_id = await published(services)
        await settle(services, workflow_id, NOON - SECOND)

        for hours in (0, 1, 0, 1, 2):
            await fire_due_schedules(services, now=NOON + hours * HOUR)

        assert await slots_of(services, workflow_id, NOON, HOUR, 9) == [0, 1, 2]
        assert len(await executions(services)) == 3


@pytest.mark.parametrize(("missed", "count"), [("run_once", 1), ("run_all", 5)])
async def test_a_server_that_was_stopped_for_days_sees_to_missed_slots_when_it_starts(
    tmp_path: Path, missed: str, count: int
) -> None:
    database = tmp_path / "budflow.db"
    async with open_runtime(Settings(data_dir=tmp_path), "serve") as running:
        workflow_id = await published(running.services, {"every": "1d", "missed": missed})
    midnight = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    with sqlite3.connect(database) as stopped:
        past = to_micros(midnight - timedelta(days=5))
        stopped.execute("UPDATE schedules SET settled_until = ?, due_at = ?", (past, past))
    stopped.close()

    async with open_runtime(Settings(data_dir=tmp_path), "serve") as running:
        days = [midnight - timedelta(days=day) for day in range(5)]

        async def started() -> bool:
            return len(await running.services.store.schedules.fired_slots(workflow_id, "tick", days)) == count

        await until(started)
        fired = await running.services.store.schedules.fired_slots(workflow_id, "tick", days)
        assert sorted(fired) == sorted(days[:count])


async def test_who_dies_between_starting_and_settling_leaves_nothing_to_be_done_twice() -> None:
    async with open_services() as services:
        workflow_id = await published(services)
        await settle(services, workflow_id, NOON - SECOND)
        await start_slot(services, (await armed(services, workflow_id)).route, NOON)

        again = await fire_due_schedules(services, now=NOON)

        assert again.fired == 0
        assert len(await executions(services)) == 1
        assert (await armed(services, workflow_id)).settled_until == NOON


async def test_many_that_look_at_the_same_time_start_each_slot_once() -> None:
    async with open_services() as services:
        workflow_id = await published(services, {"every": "1s", "starting_at": NOON.isoformat()})
        await settle(services, workflow_id, NOON - SECOND)

        rounds = await asyncio.gather(*(fire_due_schedules(services, now=NOON + 30 * SECOND) for _ in range(5)))

        assert sum(one.fired for one in rounds) == 31
        assert len(await executions(services)) == 31


async def test_one_that_was_paused_while_others_went_on_starts_nothing() -> None:
    async with open_services() as services:
        workflow_id = await published(services)
        await settle(services, workflow_id, NOON - SECOND)
        paused = (await armed(services, workflow_id)).route
        await settle(services, workflow_id, NOON + 5 * HOUR)  # Which passes over what the other had chosen.

        with pytest.raises(Exception, match="settled"):
            await start_slot(services, paused, NOON)

        assert await executions(services) == []


async def test_what_was_unpublished_after_it_was_read_is_not_started() -> None:
    async with open_services() as services:
        workflow_id = await published(services)
        await settle(services, workflow_id, NOON - SECOND)
        route = (await armed(services, workflow_id)).route
        await unpublish_workflow(services, OWNER, UnpublishWorkflow(workflow_id=workflow_id))

        with pytest.raises(Exception, match="settled"):
            await start_slot(services, route, NOON)


async def test_who_does_not_lead_any_more_starts_nothing() -> None:
    async with open_services() as services:
        workflow_id = await published(services)
        await settle(services, workflow_id, NOON - SECOND)

        def require() -> None:
            raise NotLeader

        with pytest.raises(NotLeader):
            await fire_due_schedules(services, require, now=NOON)

        assert await executions(services) == []


async def test_a_full_queue_makes_slots_wait_and_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_services(queued_max=1) as services:
        workflow_id = await published(services, {"every": "10s", "starting_at": NOON.isoformat()}, max_concurrency=1)
        await settle(services, workflow_id, NOON - SECOND)
        full = True

        async def count_queued() -> int:
            return 1 if full else 0

        monkeypatch.setattr(services.store, "count_queued", count_queued)
        refused = await fire_due_schedules(services, now=NOON)
        waiting = await armed(services, workflow_id)
        assert (refused.fired, waiting.settled_until) == (0, NOON - SECOND)
        assert refused.wait_seconds is not None
        assert 0 < refused.wait_seconds <= 1
        assert waiting.refused is not None
        assert waiting.refused.failure.code == "execution.queue_full"

        full = False
        assert (await fire_due_schedules(services, now=NOON + 20 * SECOND)).fired == 3
        assert await slots_of(services, workflow_id, NOON, 10 * SECOND, 9) == [0, 1, 2]
        assert (await armed(services, workflow_id)).refused is None


async def test_a_start_that_is_refused_is_told_where_people_look_and_the_next_slot_is_tried() -> None:
    async with open_services() as services:
        document = ticking()
        document["settings"] = {"concurrency_key": "{{ $json.second // 0 }}", "max_concurrency": 1}
        workflow_id = await create(services, document)
        await publish(services, workflow_id)
        await settle(services, workflow_id, NOON - SECOND)

        await fire_due_schedules(services, now=NOON)

        [shown] = (await list_schedules(services, OWNER, ListSchedules())).schedules
        assert shown.last_error is not None
        assert shown.last_error.slot == NOON
        assert shown.last_error.code
        assert shown.last_error.message
        assert shown.last_error.hint
        assert shown.settled_until == NOON
        assert shown.next[0] == NOON + HOUR
        assert await executions(services) == []


async def test_a_defect_of_one_schedule_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_services() as services:
        broken, sound = await published(services), await published(services)
        for workflow_id in (broken, sound):
            await settle(services, workflow_id, NOON - SECOND)
        settle_one = services.store.schedules.settle

        async def settle_or_break(before: ArmedSchedule, after: ArmedSchedule) -> bool:
            if before.route.workflow_id == broken:
                raise ZeroDivisionError
            return await settle_one(before, after)

        monkeypatch.setattr(services.store.schedules, "settle", settle_or_break)
        first = await fire_due_schedules(services, now=NOON)
        monkeypatch.undo()
        await fire_due_schedules(services, now=NOON + SECOND)

        assert first.wait_seconds is not None
        assert first.wait_seconds <= 1
        for workflow_id in (broken, sound):
            assert await slots_of(services, workflow_id, NOON, HOUR, 3) == [0]


async def test_a_database_that_fails_is_asked_again_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_services() as services:
        workflow_id = await published(services)
        await settle(services, workflow_id, NOON - SECOND)

        async def fail(*_: object) -> bool:
            raise StorageUnavailable

        monkeypatch.setattr(services.store, "append", fail)
        monkeypatch.setattr(services.store, "admit", fail)
        assert (await fire_due_schedules(services, now=NOON)).fired == 0
        monkeypatch.undo()
        assert (await fire_due_schedules(services, now=NOON + 2 * SECOND)).fired == 1

        assert await slots_of(services, workflow_id, NOON, HOUR, 3) == [0]


async def test_more_schedules_than_one_round_sees_to_are_all_seen_to() -> None:
    async with open_services() as services:
        workflow_id = await published(services)
        [one] = (await services.store.schedules.find_due(limit=1, now=NOON + HOUR)).due
        many = [replace(one.route, node=f"tick_{number}") for number in range(DUE_MAX + 5)]
        await services.store.publish("default", workflow_id, 1, many)

        first = await fire_due_schedules(services, now=NOON)

        assert first.wait_seconds == 0
        assert (await services.store.schedules.find_due(limit=10, now=NOON)).due

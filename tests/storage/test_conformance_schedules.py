"""Schedules: arming with a publication, how far they have come, and each slot once: the same over every adapter."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from budflow.execution.records import JournalWrite, ScheduleSlot
from budflow.model.armed_schedule import ArmedSchedule, Refusal, ScheduleRoute, armed_from
from budflow.model.execution import Claim, Execution, SlotFired, SlotSettled
from budflow.model.failure import Failure
from budflow.model.identity import utc_now
from budflow.model.schedule import Schedule
from budflow.model.workflow import WorkflowNotFound, WorkflowRecord
from budflow.services.ports import Store
from budflow.services.schedule_ports import ListedSchedule
from tests.storage.conftest import OpenStore
from tests.storage.journals import event, execution, route, row_of, saved, version

FIRST = [event(0, "execution.admitted")]
HOURLY = Schedule(crons=("0 * * * *",))
SLOT = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def ticking(of: WorkflowRecord, node: str = "tick", schedule: Schedule = HOURLY, number: int = 1) -> ScheduleRoute:
    return ScheduleRoute(of.project_id, of.id, number, node, schedule)


async def published(store: Store, *nodes: str, schedule: Schedule = HOURLY) -> WorkflowRecord:
    """A workflow with such a schedule at each of the nodes, or at `tick`."""
    kept = await saved(store)
    await store.publish("default", kept.id, 1, [ticking(kept, node, schedule) for node in nodes or ("tick",)])
    return kept


async def armed_at(store: Store, of: WorkflowRecord, node: str = "tick") -> ArmedSchedule:
    listed = await store.schedules.get_armed("default", of.id, node)
    assert listed is not None
    return listed.armed


async def settled_at(store: Store, of: WorkflowRecord, moment: datetime) -> ArmedSchedule:
    """The schedule, settled up to then."""
    before = await armed_at(store, of)
    assert await store.schedules.settle(before, armed_from(before.route, moment))
    return await armed_at(store, of)


def slot_of(of: WorkflowRecord, slot: datetime = SLOT, **different: Any) -> ScheduleSlot:
    return replace(ScheduleSlot("default", of.id, "tick", slot, version=1), **different)


async def fire(store: Store, slot: ScheduleSlot) -> Execution:
    new = execution(mode="schedule", workflow_id=slot.workflow_id)
    await store.admit(new, FIRST, slot)
    return new


async def test_publishing_arms_schedules_beside_webhooks(store: Store) -> None:
    kept = await saved(store)
    before = utc_now()
    await store.publish("default", kept.id, 1, [route(kept), ticking(kept), ticking(kept, "tock")])

    page = await store.schedules.list_armed("default", limit=10)

    assert [listed.armed.route for listed in page.schedules] == [ticking(kept), ticking(kept, "tock")]
    assert [listed.last for listed in page.schedules] == [None, None]
    armed = page.schedules[0].armed
    assert abs(armed.settled_until - before) < timedelta(seconds=10)
    assert armed == armed_from(ticking(kept), armed.settled_until)
    assert len(await store.list_webhooks()) == 1


async def test_unpublishing_and_deleting_disarm(store: Store) -> None:
    unpublished, deleted = await published(store), await published(store)

    await store.publish("default", unpublished.id, None, [])
    await store.delete_workflow("default", deleted.id)

    assert (await store.schedules.list_armed("default", limit=10)).schedules == ()


async def test_what_cannot_be_published_arms_nothing(store: Store) -> None:
    kept = await saved(store)

    with pytest.raises(WorkflowNotFound):
        await store.publish("other", kept.id, 1, [ticking(kept)])

    assert (await store.schedules.list_armed("default", limit=10)).schedules == ()


async def test_a_rule_that_stays_goes_on_from_where_it_was_and_another_begins_now(store: Store) -> None:
    kept = await published(store)
    refused = Refusal(SLOT, SLOT, Failure("workflow.invalid", "No.", "Mend it."))
    before = await armed_at(store, kept)
    await store.schedules.settle(before, replace(armed_from(before.route, SLOT), refused=refused))
    await store.add_version(version(kept, 2), name=kept.name, expected_version=1)

    patient = replace(HOURLY, missed="run_all", until=SLOT + 90 * HOUR)
    await store.publish("default", kept.id, 2, [ticking(kept, schedule=patient, number=2)])
    stayed = await armed_at(store, kept)
    assert stayed == replace(armed_from(ticking(kept, schedule=patient, number=2), SLOT), refused=refused)

    other = replace(HOURLY, timezone="Asia/Tokyo")
    await store.publish("default", kept.id, 2, [ticking(kept, schedule=other, number=2)])
    changed = await armed_at(store, kept)
    assert abs(changed.settled_until - utc_now()) < timedelta(seconds=10)
    assert changed.refused is None


async def test_what_was_unpublished_meanwhile_begins_now(store: Store) -> None:
    kept = await published(store)
    await settled_at(store, kept, SLOT)
    await store.publish("default", kept.id, None, [])

    await store.publish("default", kept.id, 1, [ticking(kept)])

    assert abs((await armed_at(store, kept)).settled_until - utc_now()) < timedelta(seconds=10)


async def test_those_that_are_due_come_the_longest_first_and_when_the_next_one_is(store: Store) -> None:
    late, later, future = [await published(store) for _ in range(3)]
    await settled_at(store, late, SLOT)
    await settled_at(store, later, SLOT + HOUR)
    await settled_at(store, future, SLOT + 5 * HOUR)

    found = await store.schedules.find_due(limit=10, now=SLOT + 3 * HOUR)
    assert [one.route.workflow_id for one in found.due] == [late.id, later.id]
    assert (found.now, found.next_at) == (SLOT + 3 * HOUR, SLOT + 6 * HOUR)

    assert len((await store.schedules.find_due(limit=1, now=SLOT + 3 * HOUR)).due) == 1
    by_the_database = await store.schedules.find_due(limit=10)
    assert len(by_the_database.due) == 3
    assert abs(by_the_database.now - utc_now()) < timedelta(seconds=10)


async def test_one_without_further_slots_is_never_due(store: Store) -> None:
    await published(store, schedule=replace(HOURLY, until=SLOT))

    found = await store.schedules.find_due(limit=10, now=SLOT + 10_000 * HOUR)

    assert (found.due, found.next_at) == ((), None)


async def test_settling_succeeds_once(store: Store) -> None:
    kept = await published(store)
    armed = await settled_at(store, kept, SLOT)
    further = armed_from(armed.route, SLOT + HOUR)

    assert await store.schedules.settle(armed, further)
    assert not await store.schedules.settle(armed, armed_from(armed.route, SLOT + 2 * HOUR))
    assert await armed_at(store, kept) == further


async def test_settling_what_is_armed_otherwise_now_changes_nothing(store: Store) -> None:
    kept = await published(store)
    armed = await settled_at(store, kept, SLOT)
    await store.add_version(version(kept, 2), name=kept.name, expected_version=1)
    await store.publish("default", kept.id, 2, [ticking(kept, number=2)])

    assert not await store.schedules.settle(armed, armed_from(armed.route, SLOT + HOUR))
    await store.publish("default", kept.id, None, [])
    assert not await store.schedules.settle(armed, armed_from(armed.route, SLOT + HOUR))


async def test_a_slot_starts_one_execution(store: Store) -> None:
    kept = await published(store)
    await settled_at(store, kept, SLOT - HOUR)
    first = await fire(store, slot_of(kept))
    again = execution(mode="schedule")

    with pytest.raises(SlotFired) as refused:
        await store.admit(again, FIRST, slot_of(kept))

    assert refused.value.details == {"execution_id": first.id}
    assert await store.get_execution("default", again.id) is None
    assert (await row_of(store, first.id)).mode == "schedule"
    assert await store.schedules.fired_slots(kept.id, "tick", [SLOT, SLOT + HOUR]) == {SLOT: first.id}


async def test_a_slot_is_fired_by_an_execution_that_is_taken_on_at_once_too(store: Store) -> None:
    kept = await published(store)
    await settled_at(store, kept, SLOT - HOUR)
    leased = execution(status="running", runner="r1", token=1, mode="schedule")
    write = JournalWrite(Claim(leased.id, "r1", 1), tuple(FIRST), admission=leased, trigger_key=slot_of(kept))

    await store.append(write)

    with pytest.raises(SlotFired):
        await fire(store, slot_of(kept))


async def test_of_many_that_start_a_slot_at_the_same_time_one_does(make_store: OpenStore) -> None:
    stores = [await make_store()]
    if "Postgres" in type(stores[0]).__name__:
        stores.append(await make_store())  # SQLite has one owner, and so has the memory.
    kept = await published(stores[0])
    await settled_at(stores[0], kept, SLOT - HOUR)

    outcomes = await asyncio.gather(
        *(fire(stores[n % len(stores)], slot_of(kept, SLOT + n % 5 * HOUR)) for n in range(60)), return_exceptions=True
    )

    assert sum(isinstance(outcome, Execution) for outcome in outcomes) == 5
    assert sum(isinstance(outcome, SlotFired) for outcome in outcomes) == 55
    assert len((await stores[0].list_executions("default", limit=100)).items) == 5
    for store in stores:
        await store.close()


async def test_slots_of_other_nodes_and_workflows_are_others(store: Store) -> None:
    one, two = await published(store, "tick", "tock"), await published(store)
    for slot in (slot_of(one), slot_of(one, node="tock"), slot_of(two)):
        await fire(store, replace(slot, version=None))

    assert len((await store.list_executions("default", limit=10)).items) == 3


@pytest.mark.parametrize("case", ["settled", "another version", "unpublished", "never armed"])
async def test_who_comes_too_late_starts_nothing(store: Store, case: str) -> None:
    kept = await published(store)
    await settled_at(store, kept, SLOT if case == "settled" else SLOT - HOUR)
    if case == "another version":
        await store.add_version(version(kept, 2), name=kept.name, expected_version=1)
        await store.publish("default", kept.id, 2, [ticking(kept, number=2)])
    elif case == "unpublished":
        await store.publish("default", kept.id, None, [])

    with pytest.raises(SlotSettled):
        await fire(store, slot_of(kept, node="tock" if case == "never armed" else "tick"))

    assert (await store.list_executions("default", limit=10)).items == ()


async def test_a_backfill_may_start_what_is_settled(store: Store) -> None:
    kept = await published(store)
    await settled_at(store, kept, SLOT + HOUR)

    first = await fire(store, slot_of(kept, version=None))

    with pytest.raises(SlotFired):
        await fire(store, slot_of(kept, version=None))
    assert await store.schedules.fired_slots(kept.id, "tick", [SLOT]) == {SLOT: first.id}


async def test_the_list_shows_the_newest_slot_that_started_an_execution(store: Store) -> None:
    kept = await published(store)
    await fire(store, slot_of(kept, SLOT + HOUR, version=None))
    await fire(store, slot_of(kept, SLOT, version=None))

    [listed] = (await store.schedules.list_armed("default", limit=10)).schedules

    assert listed.last is not None
    assert listed.last.slot == SLOT + HOUR
    assert listed == await store.schedules.get_armed("default", kept.id, "tick")


async def test_the_list_comes_in_parts_and_of_one_project(store: Store) -> None:
    both = sorted([await published(store, "a", "b"), await published(store, "a")], key=lambda of: of.id)
    found: list[ListedSchedule] = []
    cursor = None
    while True:
        page = await store.schedules.list_armed("default", limit=1, cursor=cursor)
        found += page.schedules
        if (cursor := page.next_cursor) is None:
            break

    names = [(listed.armed.route.workflow_id, listed.armed.route.node) for listed in found]
    assert names == sorted(names)
    assert len(names) == 3
    own = await store.schedules.list_armed("default", limit=10, workflow_id=both[0].id)
    assert {listed.armed.route.workflow_id for listed in own.schedules} == {both[0].id}
    assert (await store.schedules.list_armed("other", limit=10)).schedules == ()
    assert await store.schedules.get_armed("other", both[0].id, "a") is None


async def test_old_slots_are_forgotten(store: Store) -> None:
    kept = await published(store)
    await fire(store, slot_of(kept, SLOT, version=None))
    newer = await fire(store, slot_of(kept, SLOT + HOUR, version=None))

    await store.schedules.delete_old_slots(SLOT + HOUR)

    assert await store.schedules.fired_slots(kept.id, "tick", [SLOT, SLOT + HOUR]) == {SLOT + HOUR: newer.id}

from datetime import timedelta

import pytest

from budflow.execution.records import ScheduleSlot
from budflow.model.identity import utc_now
from budflow.services.backfill_schedule import SLOT_LIFE
from budflow.services.duties import forget_old_slots as module
from budflow.storage.memory.store import MemoryStore
from tests.services.duties.duty import performing, services
from tests.storage.journals import event, execution
from tests.until import until


async def test_slots_are_known_for_a_year(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.001)
    store, now = MemoryStore(), utc_now()
    old, young = now - SLOT_LIFE - timedelta(seconds=1), now - SLOT_LIFE + timedelta(minutes=1)
    for slot in (old, young):
        await store.admit(execution(), [event()], ScheduleSlot("default", "wf_a", "tick", slot))

    async def gone() -> bool:
        return old not in await store.schedules.fired_slots("wf_a", "tick", [old])

    async with performing(module.forget_old_slots, services(store=store)):
        await until(gone)

    assert list(await store.schedules.fired_slots("wf_a", "tick", [old, young])) == [young]

from datetime import timedelta

import pytest

from budflow.execution.records import KEY_LIFE, TriggerKey
from budflow.model.execution import KeyKnown
from budflow.model.identity import utc_now
from budflow.services.duties import forget_old_keys as module
from budflow.services.leader_ports import NotLeader
from budflow.storage.memory.store import MemoryStore
from tests.services.duties.duty import FakeTerm, performing, services
from tests.storage.journals import event, execution
from tests.until import until

KEY = TriggerKey("default", "order-1", "f1")


async def test_a_key_counts_for_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.001)
    store, forgotten = MemoryStore(), []
    await store.admit(execution(), [event(0)], KEY)

    async def delete(before: object) -> None:
        forgotten.append(before)

    monkeypatch.setattr(store, "delete_old_keys", delete)
    async with performing(module.forget_old_keys, services(store=store)):
        await until(lambda: len(forgotten) > 1)

    assert abs(utc_now() - forgotten[0] - KEY_LIFE) < timedelta(seconds=5)
    with pytest.raises(KeyKnown):
        await store.admit(execution(), [event(0)], KEY)


async def test_who_leads_no_more_forgets_nothing() -> None:
    term = FakeTerm()
    term.leads = False

    with pytest.raises(NotLeader):
        async with performing(module.forget_old_keys, services(store=None), term) as task:
            await until(task.done)

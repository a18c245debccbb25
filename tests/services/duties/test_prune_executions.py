import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from budflow.execution.records import JournalWrite
from budflow.model.execution import Claim, Execution
from budflow.model.identity import utc_now
from budflow.services import prune_executions as steps
from budflow.services.duties import prune_executions as module
from budflow.services.leader_ports import NotLeader
from budflow.services.use_case import Services
from budflow.settings import Settings
from budflow.storage.blobs.directory import DirectoryBlobs
from budflow.storage.memory.store import MemoryStore
from tests.services.duties.duty import FakeTerm, performing, services
from tests.storage.journals import event, execution, version, workflow
from tests.until import until


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "STEP_SECONDS", 0)
    monkeypatch.setattr(module, "AT_ONCE_SECONDS", 0.001)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def given(store: MemoryStore, tmp_path: Path) -> Services:
    return services(store=store, blobs=DirectoryBlobs(tmp_path), settings=Settings())


async def ended(store: MemoryStore, days_ago: float, status: Any = "succeeded", **different: Any) -> Execution:
    at = utc_now() - timedelta(days=days_ago)
    new = execution(created_at=at, **different)
    rows = (event(0), replace(event(1, "execution.finished"), at=at))
    await store.append(JournalWrite(Claim(new.id, "r1", 1), rows, admission=new, status=status))
    return new


async def are_left(store: MemoryStore, *executions: Execution) -> None:
    """Return when these are all that is left."""
    wanted = sorted(one.id for one in executions)

    async def reached() -> bool:
        return sorted(one.id for one in (await store.list_executions("default", limit=100)).items) == wanted

    await until(reached)


async def test_what_is_too_old_goes(store: MemoryStore, given: Services) -> None:
    await ended(store, 15)
    kept = await ended(store, 13)

    async with performing(module.prune_executions, given):
        await are_left(store, kept)


async def test_successes_that_are_not_kept_go_at_once(store: MemoryStore, given: Services) -> None:
    made = workflow(id="wf_a")
    await store.add_workflow(made, version(made, settings={"retention": {"succeeded_seconds": 0}}))
    await ended(store, 0.1, workflow_id="wf_a")
    failed = await ended(store, 0.1, "failed", workflow_id="wf_a")

    async with performing(module.prune_executions, given):
        await are_left(store, failed)
        await ended(store, 0, workflow_id="wf_a")
        await are_left(store, failed)


async def test_who_leads_no_more_removes_nothing(store: MemoryStore, given: Services) -> None:
    await ended(store, 15)
    term = FakeTerm()
    term.leads = False

    with pytest.raises(NotLeader):
        async with performing(module.prune_executions, given, term) as task:
            await asyncio.wait([task])

    assert len((await store.list_executions("default", limit=100)).items) == 1

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from budflow.scaling.wakes_here import WakesHere
from budflow.services.duties import fire_schedules as module
from budflow.services.fire_schedules import Round
from budflow.services.leader_ports import NotLeader
from tests.services.duties.duty import FakeTerm, performing, services
from tests.services.scheduling import open_services, published
from tests.until import until


class Looks:
    """Counts the looks at what is due; each gives how long to wait."""

    def __init__(self, wait_seconds: float | None) -> None:
        self.wait_seconds, self.count = wait_seconds, 0

    async def __call__(self, _services: Any, require: Callable[[], None]) -> Round:
        require()
        self.count += 1
        return Round(0, self.wait_seconds)


async def test_it_looks_again_when_something_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(0.001)
    monkeypatch.setattr(module, "fire_due_schedules", looks)

    async with performing(module.fire_schedules, services(wakes=WakesHere())):
        await until(lambda: looks.count > 5)


async def test_it_looks_at_once_when_it_hears_of_triggers(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, wakes = Looks(3_600), WakesHere()
    monkeypatch.setattr(module, "fire_due_schedules", looks)
    monkeypatch.setattr(module, "LOOK_SECONDS", 3_600)

    async with performing(module.fire_schedules, services(wakes=wakes)):
        await until(lambda: looks.count == 1)
        wakes.tell("triggers", "wf_a")
        await until(lambda: looks.count == 2)


async def test_it_looks_after_a_while_though_nobody_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Looks(None)
    monkeypatch.setattr(module, "fire_due_schedules", looks)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)

    async with performing(module.fire_schedules, services(wakes=WakesHere())):
        await until(lambda: looks.count > 3)


async def test_it_does_nothing_once_its_term_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, term = Looks(0.001), FakeTerm()
    monkeypatch.setattr(module, "fire_due_schedules", looks)

    with pytest.raises(NotLeader):
        async with performing(module.fire_schedules, services(wakes=WakesHere()), term) as duty:
            await until(lambda: looks.count > 0)
            term.leads = False
            count = looks.count
            await asyncio.wait([duty])

    assert looks.count == count


async def test_a_server_starts_by_itself_what_the_time_starts() -> None:
    async with open_services() as real:
        workflow_id = await published(real, {"every": "1s"})

        async def started() -> bool:
            page = await real.store.list_executions("default", limit=10, workflow_id=workflow_id)
            return len(page.items) > 1

        await until(started)
        first, second, *_ = reversed((await real.store.list_executions("default", limit=10)).items)
        assert first.mode == "schedule"
        assert timedelta(seconds=0.5) < second.created_at - first.created_at < timedelta(seconds=3)

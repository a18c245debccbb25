"""What the tests of schedules share: real services over a store in memory, and workflows that the time starts."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from budflow.app import open_temporary
from budflow.model.armed_schedule import ArmedSchedule, armed_from
from budflow.model.principal import OWNER
from budflow.services.create_workflow import CreateWorkflow, create_workflow
from budflow.services.publish_workflow import PublishedView, PublishWorkflow, publish_workflow
from budflow.services.use_case import Services
from budflow.settings import Settings

#: Far in the future, so that the server's own leader has nothing to do with it.
NOON = datetime(2090, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = (timedelta(seconds=seconds) for seconds in (1, 60, 3_600))


@asynccontextmanager
async def open_services(**settings: Any) -> AsyncIterator[Services]:
    async with open_temporary(Settings(**settings)) as runtime:
        yield runtime.services


def ticking(params: Mapping[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    """A workflow that the time starts, every hour from NOON on unless `params` say otherwise."""
    return {
        "format": 1,
        "name": "Tick",
        "nodes": {
            "tick": {
                "type": "trigger.schedule",
                "params": dict(params or {"every": "1h", "starting_at": NOON.isoformat()}),
            },
            "note": {"type": "data.set", "params": {"values": {"seen": "{{ $json.slot }}"}}},
        },
        "edges": [{"from": "tick", "to": "note"}],
        "settings": settings,
    }


async def create(services: Services, document: Mapping[str, Any]) -> str:
    saved = await create_workflow(services, OWNER, CreateWorkflow(document=dict(document)))
    return saved.workflow.id


async def publish(services: Services, workflow_id: str, version: int | None = None) -> PublishedView:
    return await publish_workflow(services, OWNER, PublishWorkflow(workflow_id=workflow_id, version=version))


async def published(services: Services, params: Mapping[str, Any] | None = None, **settings: Any) -> str:
    workflow_id = await create(services, ticking(params, **settings))
    await publish(services, workflow_id)
    return workflow_id


async def armed(services: Services, workflow_id: str) -> ArmedSchedule:
    listed = await services.store.schedules.get_armed("default", workflow_id, "tick")
    assert listed is not None
    return listed.armed


async def settle(services: Services, workflow_id: str, moment: datetime) -> None:
    """Have the slots up to then count as seen to."""
    before = await armed(services, workflow_id)
    assert await services.store.schedules.settle(before, armed_from(before.route, moment))


async def slots_of(services: Services, workflow_id: str, begin: datetime, step: timedelta, count: int) -> list[int]:
    """Which of the slots at `begin` and every `step` after have started an execution, by number."""
    slots = [begin + number * step for number in range(count)]
    found = await services.store.schedules.fired_slots(workflow_id, "tick", slots)
    return [number for number, slot in enumerate(slots) if slot in found]

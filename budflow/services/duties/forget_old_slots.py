"""forget_old_slots: which slots of schedules have started an execution is kept for a year."""

import asyncio

from budflow.model.identity import utc_now
from budflow.services.backfill_schedule import SLOT_LIFE
from budflow.services.leader_only import leader_only
from budflow.services.leader_ports import Leading
from budflow.services.use_case import Services

SWEEP_SECONDS = 3_600.0


@leader_only
async def forget_old_slots(services: Services, leading: Leading) -> None:
    """Remove the slots that are so old that no backfill asks for them any more."""
    while True:
        leading.require()
        await services.store.schedules.delete_old_slots(utc_now() - SLOT_LIFE)
        await asyncio.sleep(SWEEP_SECONDS)

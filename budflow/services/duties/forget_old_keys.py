"""forget_old_keys: idempotency keys of triggers count for a day; what is older goes, hour by hour."""

import asyncio

from budflow.execution.records import KEY_LIFE
from budflow.model.identity import utc_now
from budflow.services.leader_only import leader_only
from budflow.services.leader_ports import Leading
from budflow.services.use_case import Services

SWEEP_SECONDS = 3_600.0


@leader_only
async def forget_old_keys(services: Services, leading: Leading) -> None:
    """Remove the keys that no longer count."""
    while True:
        leading.require()
        await services.store.delete_old_keys(utc_now() - KEY_LIFE)
        await asyncio.sleep(SWEEP_SECONDS)

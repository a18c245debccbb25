"""forget_old_uses: the audit of credentials is kept for a time; what is older goes, hour by hour."""

import asyncio
from datetime import timedelta

from budflow.model.identity import utc_now
from budflow.services.leader_only import leader_only
from budflow.services.leader_ports import Leading
from budflow.services.use_case import Services

SWEEP_SECONDS = 3_600.0


@leader_only
async def forget_old_uses(services: Services, leading: Leading) -> None:
    """Remove uses, and requests that expired, once they are so old."""
    kept = timedelta(seconds=services.settings.credential_uses_seconds)
    while True:
        leading.require()
        await services.store.delete_old_uses(utc_now() - kept)
        await asyncio.sleep(SWEEP_SECONDS)

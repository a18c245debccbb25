"""prune_executions: what retention no longer keeps goes, every minute; at once where a workflow keeps no successes."""

import asyncio

from budflow.model.identity import utc_now
from budflow.services.leader_only import leader_only
from budflow.services.leader_ports import Leading
from budflow.services.prune_executions import Pruner
from budflow.services.use_case import Services

SWEEP_SECONDS = 60.0
#: How often workflows are looked at that keep no successes.
AT_ONCE_SECONDS = 5.0


@leader_only
async def prune_executions(services: Services, leading: Leading) -> None:
    """Remove ended executions and the blobs that nobody refers to any more."""
    pruner = Pruner(services.store, services.blobs, services.settings, require=leading.require)
    none_kept: set[tuple[str, str]] = set()
    loop = asyncio.get_running_loop()
    sweep_at = loop.time()
    while True:
        await asyncio.sleep(AT_ONCE_SECONDS)
        if loop.time() >= sweep_at:
            sweep_at = loop.time() + SWEEP_SECONDS
            none_kept = await pruner.prune_all(utc_now())
        else:
            for project_id, workflow_id in none_kept:
                await pruner.prune_workflow(project_id, workflow_id, utc_now())

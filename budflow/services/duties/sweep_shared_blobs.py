"""sweep_shared_blobs: of a store of blobs that all machines share, the leader removes what no row knows."""

import asyncio

from budflow.services.leader_only import leader_only
from budflow.services.leader_ports import Leading
from budflow.services.sweep_blobs import is_directory, sweep_blobs
from budflow.services.use_case import Services


@leader_only
async def sweep_shared_blobs(services: Services, leading: Leading) -> None:
    """Remove blobs without a row, hour by hour. A directory is swept by each server that has it."""
    if is_directory(services.settings):
        await asyncio.Event().wait()
    await sweep_blobs(services, leading.require)

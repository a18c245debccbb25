"""sweep_blobs: blobs that are a day old and that no row knows go, hour by hour; their writers died too early."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

from budflow.errors import BudflowError
from budflow.log import get_log
from budflow.model.identity import utc_now
from budflow.services.prune_executions import Pruner
from budflow.services.use_case import Services
from budflow.settings import Settings

SWEEP_SECONDS = 3_600.0
FIRST_SECONDS = 5.0  # A server that starts has more urgent things to do.

log = get_log(__name__)


def is_directory(settings: Settings) -> bool:
    """Whether blobs are files, which only the machines see that have the directory."""
    return urlsplit(settings.blob_url or "file:").scheme == "file"


async def sweep_blobs(services: Services, require: Callable[[], None]) -> None:
    """Sweep for ever; `require` is called before anything is removed."""
    pruner = Pruner(services.store, services.blobs, services.settings, require=require)
    await asyncio.sleep(FIRST_SECONDS)
    while True:
        await pruner.collect_orphans(utc_now())
        await asyncio.sleep(SWEEP_SECONDS)


async def sweep_own_directory(services: Services) -> None:
    """Sweep for ever the directory of this server, whoever leads; several may do so at once in the same one."""
    while is_directory(services.settings):
        try:
            await sweep_blobs(services, lambda: None)
        except (BudflowError, OSError) as error:
            log.warning("blobs.not_swept", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(SWEEP_SECONDS)

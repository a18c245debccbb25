"""`budflow worker --ray`: keeps runner actors on a Ray cluster, each a worker by itself, until told to stop."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from budflow.log import get_log
from budflow.server.signals import Signals
from budflow.server.work import WorkerNeedsPostgresql
from budflow.settings import Settings
from budflow.storage.blobs.open import require_shared_blobs
from ray_jobs.open import open_pool
from ray_jobs.placement import Wanted
from ray_jobs.pool_status import PoolStatus

log = get_log(__name__)


@dataclass(frozen=True, slots=True)
class Left:
    """What became of the actors when their worker left: those that `ended`, and those that `others` keep."""

    ended: int
    others: int


async def work_on_ray(settings: Settings, wanted: Wanted, on_status: Callable[[PoolStatus], None]) -> Left:
    """Keep what is wanted on the cluster at `ray_address` until SIGTERM or SIGINT; then drain what nobody else keeps.

    `on_status` is told every second. Raises WorkerNeedsPostgresql, BlobsNotShared, RayConnectionLost, and what
    `open_pool` raises.
    """
    if settings.database_url is None:
        raise WorkerNeedsPostgresql("`database_url` is not set: SQLite belongs to one process.")
    require_shared_blobs(settings)
    signals = Signals()
    cluster, pool = await asyncio.to_thread(open_pool, settings, wanted)
    signals.arm()  # Ray puts a handler of its own before ours, which prints the stack of the process.
    try:
        await pool.keep(signals.told, on_status)
        log.info("worker.stopping", runners=len(pool.status().runners), seconds=settings.drain_seconds)
        ended, others = await pool.leave(settings.drain_seconds)
    finally:
        await pool.let_go()
        await asyncio.to_thread(cluster.stop)
    return Left(ended, others)

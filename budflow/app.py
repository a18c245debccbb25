"""The composition root: from settings to what every door of one process works with, owned or for a single run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from budflow.execution.inprocess import InProcessExecutor
from budflow.execution.lists import ListStore
from budflow.execution.plans import PlanCache
from budflow.execution.ports import Executor
from budflow.execution.process_pool import ProcessPool
from budflow.execution.supervisor import Supervisor
from budflow.model.identity import new_id
from budflow.runner import open_runner
from budflow.services.idempotency_key import forget_old_keys
from budflow.services.keys import Keys
from budflow.services.ports import Store
from budflow.services.prune_executions import Pruner, prune_forever
from budflow.services.resume_links import KEY_NAME, ResumeLinks
from budflow.services.use_case import Services
from budflow.settings import Settings
from budflow.storage.blobs.directory import DirectoryBlobs
from budflow.storage.blobs.open import open_blobs
from budflow.storage.memory.store import MemoryStore
from budflow.storage.owner import OwnerLock, owner_key
from budflow.triggers.resume_door import ResumeDoor
from budflow.triggers.webhook_door import WebhookDoor
from budflow.triggers.webhook_table import WebhookTable

DRAIN_SECONDS = 10.0


@dataclass(slots=True)
class Runtime:
    """What every door of one process works with. `drain_until` is set, in the loop's time, when the end has begun."""

    settings: Settings
    services: Services
    webhooks: WebhookTable
    keys: Keys
    executor: Executor
    owner: OwnerLock | None = None
    drain_until: float | None = None

    @property
    def webhook_door(self) -> WebhookDoor:
        """What answers below `/webhook/`."""
        return WebhookDoor(self.services, self.webhooks)

    @property
    def resume_door(self) -> ResumeDoor:
        """What answers below `/resume/`."""
        return ResumeDoor(self.services)

    def begin_drain(self) -> float:
        """From now on what runs has DRAIN_SECONDS to end, whoever waits for it. Returns the seconds that are left."""
        now = asyncio.get_running_loop().time()
        if self.drain_until is None:
            self.drain_until = now + DRAIN_SECONDS
        return max(0.0, self.drain_until - now)


@asynccontextmanager
async def open_runtime(
    settings: Settings, kind: Literal["serve", "mcp"], owner: OwnerLock | None = None, *, address: str | None = None
) -> AsyncIterator[Runtime]:
    """Own the data directory, or take over `owner`, and start what runs executions; the lock goes last.

    `address` is where this process answers HTTP, for links that others follow. Raises DirectoryOwned when another
    process owns it.
    """
    # SQLAlchemy: a single run in memory needs no database and shall not wait for its import.
    from budflow.storage.open import open_store  # noqa: PLC0415 - see the line above

    with owner or OwnerLock.acquire(settings.data_dir, kind) as lock:
        keys = Keys(owner_key(settings.data_dir))
        store = await open_store(settings.database_url, settings.data_dir)
        try:
            async with _started(
                settings, store, keys, lock, open_blobs(settings.blob_url, settings.data_dir), address
            ) as runtime:
                yield runtime
        finally:
            await store.close()


@asynccontextmanager
async def open_temporary(settings: Settings) -> AsyncIterator[Runtime]:
    """The same over a store in memory, for a single run: nothing is owned and nothing stays."""
    store = MemoryStore()
    with TemporaryDirectory(prefix="budflow-run-") as folder:
        blobs = DirectoryBlobs(Path(folder))
        async with _started(settings, store, Keys(new_id("key")), None, blobs) as runtime:
            yield runtime


@asynccontextmanager
async def _started(
    settings: Settings,
    store: Store,
    keys: Keys,
    owner: OwnerLock | None,
    blobs: DirectoryBlobs,
    address: str | None = None,
) -> AsyncIterator[Runtime]:
    lists = ListStore(blobs)
    # Its processes start with the first heavy node.
    pool = ProcessPool(partial(open_runner, settings.http_allow, file_roots=settings.file_roots))
    runner = open_runner(
        settings.http_allow,
        heavy=pool,
        file_roots=settings.file_roots,
        lists=lists,
        snapshot_events=settings.snapshot_events,
    )
    name = new_id("run")
    plans = PlanCache(store, runner.registry)
    executor = InProcessExecutor(runner.tools, name)
    key = await store.get_server_key(KEY_NAME)
    links = ResumeLinks(key, settings.public_url or address, settings.resume_link_seconds)
    supervisor = Supervisor(
        store,
        plans,
        executor,
        runner=name,
        running_max=settings.running_max,
        queued_max=settings.queued_max,
        lease_seconds=settings.lease_seconds,
        resume_url=links.of_execution,
    )
    webhooks = WebhookTable(store)
    services = Services(store, plans, supervisor, runner.registry, webhooks, settings, links, lists, blobs)
    await webhooks.refresh()
    await supervisor.start()
    sweeping = asyncio.create_task(forget_old_keys(store))
    pruning = asyncio.create_task(prune_forever(Pruner(store, blobs, settings)))
    runtime = Runtime(settings, services, webhooks, keys, executor, owner)
    try:
        yield runtime
    finally:
        sweeping.cancel()
        pruning.cancel()
        await supervisor.stop(runtime.begin_drain())
        await pool.close()
        await runner.close()

"""The composition root: from settings to what every door of one process works with, owned or for a single run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from budflow.credentials.cipher import AesCipher
from budflow.credentials.find_kinds import find_kinds
from budflow.credentials.key_ring import open_key_ring
from budflow.credentials.probe import CredentialProber, PingDatabase
from budflow.credentials.resolve import Resolver
from budflow.egress.policy import AddressPolicy, parse_allow
from budflow.egress.transport import checked_addresses, resolve_with_system
from budflow.execution.inprocess import InProcessExecutor
from budflow.execution.lists import ListStore
from budflow.execution.plans import PlanCache
from budflow.execution.ports import Executor
from budflow.execution.process_pool import ProcessPool
from budflow.execution.supervisor import Supervisor
from budflow.model.credential_kind import Probed
from budflow.model.identity import new_id
from budflow.runner import open_hand_over, open_runner
from budflow.services.check_encryption_keys import check_encryption_keys
from budflow.services.forget_old_uses import forget_old_uses
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
from budflow.web.credential_request_door import CredentialRequestDoor

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

    @property
    def credential_request_door(self) -> CredentialRequestDoor:
        """What answers below `/credential-request/`."""
        return CredentialRequestDoor(self.services)

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
            cipher = AesCipher(open_key_ring(settings.encryption_keys, settings.data_dir))
            await check_encryption_keys(store, cipher, lost=settings.encryption_keys_lost)
            blobs = open_blobs(settings.blob_url, settings.data_dir)
            async with _started(settings, store, keys, lock, blobs, cipher, address) as runtime:
                yield runtime
        finally:
            await store.close()


@asynccontextmanager
async def open_temporary(settings: Settings) -> AsyncIterator[Runtime]:
    """The same over a store in memory, for a single run: nothing is owned and nothing stays."""
    store = MemoryStore()
    with TemporaryDirectory(prefix="budflow-run-") as folder:
        blobs = DirectoryBlobs(Path(folder))
        cipher = AesCipher(open_key_ring((), Path(folder)))
        async with _started(settings, store, Keys(new_id("key")), None, blobs, cipher) as runtime:
            yield runtime


@asynccontextmanager
async def _started(
    settings: Settings,
    store: Store,
    keys: Keys,
    owner: OwnerLock | None,
    blobs: DirectoryBlobs,
    cipher: AesCipher,
    address: str | None = None,
) -> AsyncIterator[Runtime]:
    lists = ListStore(blobs)
    # Its processes start with the first heavy node.
    pool = ProcessPool(
        partial(open_runner, settings.http_allow, file_roots=settings.file_roots), hand_over=open_hand_over()
    )
    runner = open_runner(
        settings.http_allow,
        heavy=pool,
        file_roots=settings.file_roots,
        lists=lists,
        snapshot_events=settings.snapshot_events,
    )
    name = new_id("run")
    plans = PlanCache(store, runner.registry)
    kinds = find_kinds()
    credentials = Resolver(store, cipher, kinds)
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
        credentials=credentials,
    )
    webhooks = WebhookTable(store)
    services = Services(
        store=store,
        plans=plans,
        supervisor=supervisor,
        registry=runner.registry,
        triggers=webhooks,
        settings=settings,
        links=links,
        lists=lists,
        blobs=blobs,
        credential_kinds=kinds,
        cipher=cipher,
        credentials=credentials,
        prober=CredentialProber(runner.tools.http, _ping_database(settings)),
    )
    await webhooks.refresh()
    await supervisor.start()
    sweepers = [
        asyncio.create_task(forget_old_keys(store)),
        asyncio.create_task(forget_old_uses(store, settings.credential_uses_seconds)),
        asyncio.create_task(prune_forever(Pruner(store, blobs, settings))),
    ]
    runtime = Runtime(settings, services, webhooks, keys, executor, owner)
    try:
        yield runtime
    finally:
        for sweeper in sweepers:
            sweeper.cancel()
        await supervisor.stop(runtime.begin_drain())
        await pool.close()
        await runner.close()


def _ping_database(settings: Settings) -> PingDatabase:
    """Tries databases at the addresses that workflows may reach."""
    policy = AddressPolicy(parse_allow(settings.http_allow))

    async def ping(url: str, seconds: float) -> Probed:
        from budflow.storage.postgres.ping import ping_postgres  # noqa: PLC0415 - asyncpg takes 30 ms and few ask

        return await ping_postgres(url, partial(checked_addresses, policy, resolve_with_system), seconds)

    return ping

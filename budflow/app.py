"""The composition root: from settings to what every door of one process works with, owned or for a single run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from budflow.credentials.probe import CredentialProber, PingDatabase
from budflow.egress.policy import AddressPolicy, parse_allow
from budflow.egress.transport import checked_addresses, resolve_with_system
from budflow.execution.ports import Executor
from budflow.model.credential_kind import Probed
from budflow.model.identity import new_id
from budflow.sandbox.open import Sandbox
from budflow.scaling.leader import Leader
from budflow.scaling.open_leader import open_leader
from budflow.scaling.perform_duties import perform_duties
from budflow.services.find_duties import find_duties
from budflow.services.keys import Keys
from budflow.services.sweep_blobs import sweep_own_directory
from budflow.services.use_case import Services
from budflow.settings import Settings
from budflow.storage.memory.store import MemoryStore
from budflow.storage.owner import OwnerLock, owner_key
from budflow.triggers.resume_door import ResumeDoor
from budflow.triggers.webhook_door import WebhookDoor
from budflow.triggers.webhook_table import WebhookTable
from budflow.web.credential_request_door import CredentialRequestDoor
from budflow.worker import Worker, open_worker


@dataclass(slots=True)
class Runtime:
    """What every door of one process works with. `drain_until` is set, in the loop's time, when the end has begun."""

    settings: Settings
    services: Services
    webhooks: WebhookTable
    keys: Keys
    executor: Executor
    leader: Leader
    sandbox: Sandbox
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
        """From now on what runs has `drain_seconds` to end, whoever waits for it. Returns the seconds that are left.

        Leading is handed over at once.
        """
        now = asyncio.get_running_loop().time()
        if self.drain_until is None:
            self.leader.step_down()
            self.drain_until = now + self.settings.drain_seconds
        return max(0.0, self.drain_until - now)


@asynccontextmanager
async def open_runtime(
    settings: Settings, kind: Literal["serve", "mcp"], owner: OwnerLock | None = None, *, address: str | None = None
) -> AsyncIterator[Runtime]:
    """Own the data directory, or take over `owner`, and start what runs executions; the lock goes last.

    `address` is where this process answers HTTP, for links that others follow. Raises DirectoryOwned when another
    process owns it.
    """
    with owner or OwnerLock.acquire(settings.data_dir, kind) as lock:
        keys = _keys(settings, owner_key(settings.data_dir))
        async with (
            open_worker(settings, kind="main", address=address) as worker,
            _behind_doors(worker, keys) as runtime,
        ):
            runtime.owner = lock
            yield runtime


@asynccontextmanager
async def open_temporary(settings: Settings) -> AsyncIterator[Runtime]:
    """The same over a store in memory, for a single run: nothing is owned and nothing stays."""
    with TemporaryDirectory(prefix="budflow-run-") as folder:
        # Nobody would take up what is left at the end: it need not be waited for.
        alone: dict[str, Any] = {"database_url": None, "redis_url": None, "claim": True, "drain_seconds": 0.0}
        scratch = {**alone, "data_dir": Path(folder), "blob_url": None, "encryption_keys": ()}
        # Code runs one after the other, and who reads what the run comes to does not want to read of its sandbox.
        scratch |= {"sandbox_workers_warm": 0, "log_level": "warning"}
        async with (
            open_worker(settings.model_copy(update=scratch), kind="main", store=MemoryStore()) as worker,
            _behind_doors(worker, _keys(settings, new_id("key"))) as runtime,
        ):
            yield runtime


@asynccontextmanager
async def _behind_doors(worker: Worker, keys: Keys) -> AsyncIterator[Runtime]:
    """What the doors of a server need beside a worker; at the end the worker is drained."""
    settings, store = worker.settings, worker.store
    webhooks = WebhookTable(store)
    leader = await open_leader(settings, store, worker.wakes, worker.supervisor.runner)
    services = Services(
        store=store,
        plans=worker.plans,
        supervisor=worker.supervisor,
        registry=worker.runner.registry,
        triggers=webhooks,
        settings=settings,
        links=worker.links,
        lists=worker.lists,
        blobs=worker.blobs,
        credential_kinds=worker.credential_kinds,
        cipher=worker.cipher,
        credentials=worker.credentials,
        prober=CredentialProber(worker.runner.tools.http, _ping_database(settings)),
        leaders=leader,
        wakes=worker.wakes,
        sandbox=worker.sandbox,
    )
    await webhooks.refresh()
    leader.start(partial(perform_duties, find_duties(), services))
    sweeper = asyncio.create_task(sweep_own_directory(services))
    runtime = Runtime(settings, services, webhooks, keys, worker.executor, leader, worker.sandbox)
    try:
        yield runtime
    finally:
        sweeper.cancel()
        runtime.begin_drain()
        await leader.stop()
        await worker.drain(runtime.begin_drain())


def _keys(settings: Settings, owner: str) -> Keys:
    return Keys(owner, settings.metrics_key.get_secret_value() if settings.metrics_key else None)


def _ping_database(settings: Settings) -> PingDatabase:
    """Tries databases at the addresses that workflows may reach."""
    policy = AddressPolicy(parse_allow(settings.http_allow))

    async def ping(url: str, seconds: float) -> Probed:
        from budflow.storage.postgres.ping import ping_postgres  # noqa: PLC0415 - asyncpg takes 30 ms and few ask

        return await ping_postgres(url, partial(checked_addresses, policy, resolve_with_system), seconds)

    return ping

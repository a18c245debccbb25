"""The composition root of a worker: what claims and runs executions, in a server, in `budflow worker` and on Ray."""

import os
import platform
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from budflow import __version__
from budflow.credentials.cipher import AesCipher
from budflow.credentials.find_kinds import find_kinds
from budflow.credentials.key_ring import open_key_ring
from budflow.credentials.resolve import Resolver
from budflow.execution.heavy import Heavy
from budflow.execution.inprocess import InProcessExecutor
from budflow.execution.lists import ListStore
from budflow.execution.plans import PlanCache
from budflow.execution.ports import Executor
from budflow.execution.process_pool import ProcessPool
from budflow.execution.supervisor import Supervisor
from budflow.execution.wakes import Wakes
from budflow.model.execution import Place, RunnerKind
from budflow.model.identity import new_id
from budflow.runner import Runner, open_hand_over, open_runner
from budflow.sandbox.open import Sandbox, open_sandbox
from budflow.scaling.open import open_wakes
from budflow.services.check_encryption_keys import check_encryption_keys
from budflow.services.credential_ports import Kinds
from budflow.services.ports import Store
from budflow.services.resume_links import KEY_NAME, ResumeLinks
from budflow.services.surroundings import surroundings_of
from budflow.settings import Settings
from budflow.storage.blobs import marker
from budflow.storage.blobs.directory import DirectoryBlobs
from budflow.storage.blobs.open import Blobs, open_blobs


@dataclass(slots=True)
class Worker:
    """One runner on a store, claiming what is due, and all that it is made of."""

    settings: Settings
    store: Store
    cipher: AesCipher
    credential_kinds: Kinds
    credentials: Resolver
    blobs: Blobs
    lists: ListStore
    runner: Runner
    plans: PlanCache
    links: ResumeLinks
    executor: Executor
    supervisor: Supervisor
    wakes: Wakes
    sandbox: Sandbox
    drained: bool = False

    async def drain(self, seconds: float) -> None:
        """Claim no more, let what runs end within `seconds`, and give the rest back. The second call does nothing."""
        if not self.drained:
            self.drained = True
            await self.supervisor.stop(seconds)


@asynccontextmanager
async def open_worker(
    settings: Settings,
    *,
    kind: RunnerKind = "worker",
    place: Place | None = None,
    heavy: Heavy | None = None,
    store: Store | None = None,
    address: str | None = None,
    sandbox: Sandbox | None = None,
) -> AsyncIterator[Worker]:
    """Become a living runner of the store that the settings name, or of `store`, which its giver closes.

    `place` is this process unless an executor knows better; `heavy` is where heavy segments run, else in processes of
    this machine; `address` is where this process answers HTTP, for links that others follow; `sandbox` is where code
    runs, else what the settings say. Of the data directory only the blobs and a file of encryption keys are used, and
    only where the settings name no others. At the end what still runs is given back, unless `drain` was called before.

    Raises what opening the store raises, BlobUrlRefused, BlobsNotShared, and EncryptionKeyMissing where stored
    credentials need keys that are not there.
    """
    opened = store or await _open_store(settings)
    try:
        cipher = AesCipher(open_key_ring(settings.encryption_keys, settings.data_dir))
        await check_encryption_keys(opened, cipher, lost=settings.encryption_keys_lost)
        blobs = open_blobs(settings.blob_url, settings.data_dir)
        # Its processes start with the first heavy node. They open the blobs too, and find credentials of their own.
        pool = ProcessPool(
            partial(open_runner, settings.http_allow, file_roots=settings.file_roots, lists=ListStore(blobs)),
            hand_over=open_hand_over(),
        )
        try:
            async with open_wakes(settings, opened) as wakes, _sandbox(settings, sandbox) as code:
                worker = await _put_together(
                    settings, opened, cipher, blobs, wakes, code, kind, place, heavy or pool, address
                )
                try:
                    await worker.supervisor.start()
                    yield worker
                finally:
                    await worker.drain(0)
                    await worker.runner.close()
        finally:
            await pool.close()
    finally:
        if store is None:
            await opened.close()


def _sandbox(settings: Settings, given: Sandbox | None) -> AbstractAsyncContextManager[Sandbox]:
    return open_sandbox(settings) if given is None else nullcontext(given)


async def _open_store(settings: Settings) -> Store:
    # SQLAlchemy: a single run in memory needs no database and shall not wait for its import.
    from budflow.storage.open import open_store  # noqa: PLC0415 - see the line above

    return await open_store(settings.database_url, settings.data_dir)


async def _put_together(
    settings: Settings,
    store: Store,
    cipher: AesCipher,
    blobs: Blobs,
    wakes: Wakes,
    sandbox: Sandbox,
    kind: RunnerKind,
    place: Place | None,
    heavy: Heavy,
    address: str | None,
) -> Worker:
    if settings.database_url is not None and isinstance(blobs, DirectoryBlobs):
        await _meet_in(blobs.directory, store, kind)
    lists = ListStore(blobs)
    links = ResumeLinks(
        await store.get_server_key(KEY_NAME), settings.public_url or address, settings.resume_link_seconds
    )
    runner = open_runner(
        settings.http_allow,
        place,
        heavy,
        file_roots=settings.file_roots,
        lists=lists,
        snapshot_events=settings.snapshot_events,
        sandbox_of=sandbox.of,
    )
    name = new_id("run")
    plans = PlanCache(store, runner.registry)
    kinds = find_kinds()
    credentials = Resolver(store, cipher, kinds)
    executor = InProcessExecutor(runner.tools, name)
    claims = settings.claim or kind != "main"
    supervisor = Supervisor(
        store,
        plans,
        executor,
        runner=name,
        running_max=settings.running_max,
        queued_max=settings.queued_max,
        lease_seconds=settings.lease_seconds,
        resume_url=links.of_execution,
        surroundings=surroundings_of(settings, os.environ),
        credentials=credentials,
        wakes=wakes,
        kind=kind,
        details={**_details(settings, runner.tools.place), "claims": claims},
        claims=claims,
    )
    return Worker(
        *(settings, store, cipher, kinds, credentials, blobs, lists, runner, plans, links, executor, supervisor),
        *(wakes, sandbox),
    )


async def _meet_in(directory: Path, store: Store, kind: RunnerKind) -> None:
    """The first server says which directory has the blobs; others, and workers, look whether theirs is that."""
    key = await store.get_server_key(marker.KEY_NAME)
    if kind == "main" and not await _others_serve(store):
        marker.mark(directory, key)
    else:
        marker.require_marked(directory, key)


async def _others_serve(store: Store) -> bool:
    """Whether a server of the database lives. One that was alone may begin anew with another directory."""
    await store.release_dead("")  # The row of one that was killed stays until somebody looks.
    return any(row.kind == "main" for row in await store.list_runners())


def _details(settings: Settings, place: Place) -> Mapping[str, Any]:
    """What stands in the runner's row, for people."""
    where = {name: value for name, value in place.to_json().items() if name not in ("host", "pid")}
    return {
        **where,
        "running_max": settings.running_max,
        "cores": os.cpu_count(),
        "release": __version__,
        "python": platform.python_version(),
    }

"""prune_executions: remove what retention no longer keeps, in small steps between which everything else goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from pydantic import Field

from budflow.model.identity import utc_now
from budflow.model.principal import Principal
from budflow.services.ports import Store
from budflow.services.retention import ENDED, BlobFiles, Expired, expired_by_age, retention_of
from budflow.services.use_case import RequestModel, Services, View, use_case
from budflow.settings import Settings

#: A blob is kept for so long after its last reference went: an execution may be about to refer to it again.
BLOB_GRACE = timedelta(hours=24)
EXECUTIONS_A_STEP = 50
BLOBS_A_STEP = 100
#: The least pause between two steps; else it is as long as the step took, so that half of the time is for others.
STEP_SECONDS = 0.005
#: How long a request may take.
REQUEST_SECONDS = 10.0


class PruneExecutions(RequestModel):
    """Of which workflow."""

    workflow_id: str | None = Field(None, description="Only executions of this workflow; left out: of all.")


class PrunedView(View):
    """What was removed."""

    executions: int = Field(description="Executions, with their journals.")
    blobs: int = Field(description="Blobs that no execution had referred to for a day.")
    more: bool = Field(description="Whether the time did not suffice: ask again for the rest.")


@use_case("execution:write")
async def prune_executions(services: Services, principal: Principal, request: PruneExecutions) -> PrunedView:
    """Remove ended executions that retention keeps no longer, and unused blobs.

    One of the servers does the same every minute by itself. Executions that others still need stay: the parent, the
    origin and the children of one that has not ended.
    """
    until = asyncio.get_running_loop().time() + REQUEST_SECONDS
    pruner = Pruner(services.store, services.blobs, services.settings, until)
    removed = 0
    for project_id, workflow_id in await services.store.ended_workflows():
        if project_id == principal.project_id and request.workflow_id in (None, workflow_id):
            removed += await pruner.prune_workflow(project_id, workflow_id, utc_now())
    blobs = await pruner.collect_blobs(utc_now())
    return PrunedView(executions=removed, blobs=blobs, more=pruner.time_is_up)


@dataclass(slots=True)
class Pruner:
    """Removes what is not kept, until it is all gone or, in the loop's time, `until`.

    Each step is a short transaction of its own. `require` is called before each and raises where no more may be done.
    """

    store: Store
    blobs: BlobFiles
    settings: Settings
    until: float | None = None
    require: Callable[[], None] = lambda: None

    @property
    def time_is_up(self) -> bool:
        """Whether the rest is for another time."""
        return self.until is not None and asyncio.get_running_loop().time() > self.until

    async def prune_all(self, now: datetime) -> set[tuple[str, str]]:
        """One round over everything; the workflows that keep no successes."""
        none_kept: set[tuple[str, str]] = set()
        for project_id, workflow_id in await self.store.ended_workflows():
            retention = retention_of(self.settings, await self._document(project_id, workflow_id))
            if retention.succeeded_seconds == 0:
                none_kept.add((project_id, workflow_id))
            await self.prune_workflow(project_id, workflow_id, now)
        await self.collect_blobs(now)
        return none_kept

    async def prune_workflow(self, project_id: str, workflow_id: str, now: datetime) -> int:
        """Remove the executions of one workflow that are too old or too many; how many those were."""
        retention = retention_of(self.settings, await self._document(project_id, workflow_id))
        removed = 0
        for expired in expired_by_age(project_id, workflow_id, retention, now):
            removed += await self._remove(expired, now)
        if retention.executions_max is not None:
            up_to = await self.store.newest_to_prune(project_id, workflow_id, retention.executions_max)
            if up_to is not None:
                removed += await self._remove(Expired(project_id, workflow_id, ENDED, up_to=up_to), now)
        return removed

    async def collect_blobs(self, now: datetime) -> int:
        """Remove the blobs that nobody has referred to for a day; how many."""
        before, removed = now - BLOB_GRACE, 0
        while not self.time_is_up and (unused := await self.store.unused_blobs(before, limit=BLOBS_A_STEP)):
            for project_id, sha256 in unused:
                self.require()
                # First the row, looked at once more in its transaction; then the file, unless it was written anew.
                if await self.store.forget_blob(project_id, sha256, before):
                    removed += await self._collect(project_id, sha256, before)
            await asyncio.sleep(STEP_SECONDS)
        return removed

    async def collect_orphans(self, now: datetime) -> int:
        """Remove files that are a day old and that no row knows: their writers died before they were referred to."""
        before, removed = now - BLOB_GRACE, 0
        await asyncio.to_thread(self.blobs.remove_unfinished, older_than=before.timestamp())
        async for some in _some(self.blobs.old_blobs(older_than=before.timestamp())):
            for project_id, sha256 in set(some) - await self.store.known_blobs(some):
                self.require()
                removed += await self._collect(project_id, sha256, before)
            await asyncio.sleep(STEP_SECONDS)
        return removed

    async def _remove(self, expired: Expired, now: datetime) -> int:
        removed, more = 0, True
        loop = asyncio.get_running_loop()
        while more and not self.time_is_up:
            began = loop.time()
            self.require()
            pruned = await self.store.prune_executions(expired, limit=EXECUTIONS_A_STEP, at=now)
            removed, more = removed + pruned.executions, pruned.more
            await asyncio.sleep(max(STEP_SECONDS, loop.time() - began) if more else 0)
        return removed

    async def _collect(self, project_id: str, sha256: str, before: datetime) -> bool:
        older_than = before.timestamp()
        return await asyncio.to_thread(self.blobs.collect, project_id, sha256, older_than=older_than)

    async def _document(self, project_id: str, workflow_id: str) -> dict[str, object] | None:
        """The latest document of a workflow; None where it was deleted."""
        workflow = await self.store.get_workflow(project_id, workflow_id)
        if workflow is None:
            return None
        version = await self.store.get_version(project_id, workflow_id, workflow.latest_version)
        return None if version is None else dict(version.document)


async def _some(blobs: Iterator[tuple[str, str]]) -> AsyncIterator[list[tuple[str, str]]]:
    """The blobs, some at a time; looking for them blocks, so it is done in a thread."""
    while some := await asyncio.to_thread(lambda: list(islice(blobs, BLOBS_A_STEP))):
        yield some

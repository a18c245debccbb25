"""get_status: what this server is made of and how it is doing, in real figures."""

import os
import platform
from datetime import datetime
from typing import Any

from pydantic import Field

from budflow import __version__
from budflow.model.execution import RunnerKind
from budflow.model.principal import Principal
from budflow.services.sandbox_view import SandboxView, view_sandbox
from budflow.services.use_case import RequestModel, Services, View, use_case


class GetStatus(RequestModel):
    """Nothing to choose."""


class RunnerView(View):
    """A runner that is known as living."""

    id: str
    host: str
    pid: int
    started_at: datetime
    lease_until: datetime | None = Field(description="When others take over what it does; null: when its process ends.")
    running: int
    taken_over: int = Field(description="How many of those it took over from runners that died.")
    kind: RunnerKind = Field(description="What it is part of: a server (main), `budflow worker`, or an actor on Ray.")
    details: dict[str, Any] = Field(description="What it told of itself: how much it may run, its release and Python.")


class BlobsView(View):
    """The store for large lists."""

    place: str = Field(description="The directory, or the bucket with the address of its service.")
    works: bool = Field(description="Whether it could be reached a moment ago.")
    problem: str | None = Field(description="Why it could not.")
    hint: str | None


class StatusView(View):
    """The server's status."""

    version: str
    python: str
    pid: int
    database: str
    blobs: BlobsView
    executor: dict[str, Any]
    runner: str
    running: int
    running_max: int
    queued: int
    executions: dict[str, int] = Field(description="How many there are of each status that is not the last, anywhere.")
    runners: list[RunnerView] = Field(description="Every runner of this database that holds a lease.")
    node_types: int
    sandbox: SandboxView = Field(description="Where the code of code nodes runs.")


@use_case("server:read")
async def get_status(services: Services, principal: Principal, request: GetStatus) -> StatusView:
    """Tell what the server uses and how much it has to do."""
    figures = services.supervisor.status()
    counts = await services.store.count_by_status()
    return StatusView(
        version=__version__,
        python=platform.python_version(),
        pid=os.getpid(),
        database="postgresql" if services.settings.database_url else "sqlite",
        blobs=await _blobs(services),
        executor=figures["executor"],
        runner=figures["runner"],
        running=figures["running"],
        running_max=figures["running_max"],
        queued=counts["queued"],
        executions=dict(counts),
        runners=[
            RunnerView(
                id=row.id,
                host=row.host,
                pid=row.pid,
                started_at=row.started_at,
                lease_until=row.lease_until,
                running=row.running,
                taken_over=row.taken_over,
                kind=row.kind,
                details=dict(row.details),
            )
            for row in await services.store.list_runners()
        ],
        node_types=len(services.registry.types()),
        sandbox=await view_sandbox(services.sandbox, services.settings.sandbox),
    )


async def _blobs(services: Services) -> BlobsView:
    place, error = services.blobs.place, await services.cluster.blobs(services.blobs)
    if error is None:
        return BlobsView(place=place, works=True, problem=None, hint=None)
    return BlobsView(place=place, works=False, problem=error.message, hint=error.hint)

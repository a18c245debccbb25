"""get_cluster: the servers, runners and Ray nodes of an installation, its queue and how fast it works."""

import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from budflow import __version__
from budflow.errors import BudflowError
from budflow.model.execution import RunnerKind
from budflow.model.identity import utc_now
from budflow.model.principal import Principal
from budflow.services.cluster_watch import MINUTE_SECONDS, Latency
from budflow.services.sandbox_view import SandboxView, view_sandbox
from budflow.services.use_case import RequestModel, Services, View, use_case


class GetCluster(RequestModel):
    """Nothing to choose."""


class LeaderView(View):
    """Who alone does what one process does for all: schedules, sweeping, retention."""

    holder: str = Field(description="The id of the runner of that server.")
    token: int = Field(description="Grows with every change; who holds an older one leads no more.")
    until: datetime | None = Field(description="When another may lead; null: when the process ends.")
    here: bool = Field(description="Whether it is the server that answers.")


class ClusterRunnerView(View):
    """A runner that is known as living."""

    id: str
    kind: RunnerKind = Field(description="What it is part of: a server (main), `budflow worker`, or an actor on Ray.")
    host: str
    pid: int
    started_at: datetime
    lease_until: datetime | None = Field(description="When others take over what it does; null: when its process ends.")
    lease_seconds_left: float | None = Field(description="Of that lease, by the clock of the server that answers.")
    running: int
    running_max: int | None = Field(description="How many executions it advances at most.")
    taken_over: int = Field(description="How many of those it took over from runners that died.")
    release: str | None = Field(description="Of BudFlow.")
    ray_node: str | None = Field(description="The Ray node that it is on.")


class QueueView(View):
    """The executions of every project that have not ended."""

    queued: int
    running: int
    waiting: int
    oldest_queued_seconds: float | None = Field(description="Since the oldest of the queued was admitted.")
    queued_by_priority: dict[int, int]
    waiting_by_reason: dict[str, int]


class ThroughputView(View):
    """What passed through all servers lately, a second. Executions that are not kept are not counted."""

    seconds: float = Field(description="Over which time it was counted.")
    admitted_per_second: float
    ended_per_second: float = Field(description="Whatever the end: with those that failed or were cancelled.")
    failed_per_second: float


class LatencyView(View):
    """How long an answer took lately."""

    last_ms: float
    median_ms: float
    samples: int = Field(description="Over so many of the latest answers, since the server that answers started.")


class DatabaseView(View):
    """Where the journals are."""

    kind: str
    latency: LatencyView


class RedisView(View):
    """What servers use to agree and to tell each other, where it is set."""

    latency: LatencyView | None = Field(description="Null while it does not answer.")
    error: str | None


class WakesView(View):
    """How servers and runners tell each other that something changed. Where they cannot, they find out by looking."""

    by: str = Field(description="Over `postgresql` or `redis`; `here`: there is nobody else.")
    hears: bool = Field(description="Whether the server that answers hears what others tell at this moment.")


class RayNodeView(View):
    """A machine of the Ray cluster; a dead one stays in the list as long as Ray remembers it."""

    id: str
    host: str
    alive: bool
    resources: dict[str, float] = Field(description="All that it has.")
    available: dict[str, float] = Field(description="What of it is free.")
    labels: dict[str, str] = Field(default_factory=dict, description="Its labels, as `resources` of a step name them.")


class RayView(View):
    """The Ray cluster on which executions run."""

    state: Literal["attached", "starting", "failed", "by_runners"] = Field(
        description="With `by_runners` the server itself is not attached: it knows the nodes of the runners that live."
    )
    address: str | None
    dashboard: str | None
    nodes: list[RayNodeView]
    problem: str | None


class ReleasesView(View):
    """What the server that answers is made of."""

    budflow: str
    python: str
    ray: str | None = Field(description="The one that is installed.")
    tables: str | None = Field(description="The revision of the database's tables.")


class ClusterView(View):
    """An installation: all that share a database. What is not used is null, and `unused` says why."""

    at: datetime
    runner: str = Field(description="The id of the runner of the server that answers.")
    leader: LeaderView | None
    runners: list[ClusterRunnerView]
    queue: QueueView
    throughput: ThroughputView
    database: DatabaseView
    redis: RedisView | None
    wakes: WakesView
    blobs: str = Field(description="The kind of store for large lists: `file` or `s3`.")
    ray: RayView | None
    sandbox: SandboxView | None = Field(description="That of the server that answers.")
    versions: ReleasesView
    unused: dict[str, str] = Field(description="Why a field above is null.")


@use_case("server:read")
async def get_cluster(services: Services, principal: Principal, request: GetCluster) -> ClusterView:
    """Tell how the installation is doing: its servers and runners, queue, throughput, Ray nodes and latencies."""
    status = services.supervisor.status()
    unused: dict[str, str] = {}
    leader = await _leader(services, unused)
    redis = await _redis(services, unused)
    runners = await _runners(services)
    return ClusterView(
        at=utc_now(),
        runner=status["runner"],
        leader=leader,
        runners=runners,
        queue=await _queue(services),
        throughput=await _throughput(services),
        database=DatabaseView(
            kind=_database_kind(services),
            latency=_latency(await services.cluster.database.take(services.store.cluster.ping)),
        ),
        redis=redis,
        wakes=WakesView(by=services.wakes.name, hears=services.wakes.hears),
        blobs=urlsplit(services.settings.blob_url or "").scheme or "file",
        ray=_ray(status["executor"], runners, unused),
        sandbox=await _sandbox(services, unused),
        versions=ReleasesView(
            budflow=__version__,
            python=platform.python_version(),
            ray=_installed("ray"),
            tables=services.store.cluster.schema,
        ),
        unused=unused,
    )


async def _sandbox(services: Services, unused: dict[str, str]) -> SandboxView | None:
    view = await view_sandbox(services.sandbox, services.settings.sandbox)
    if view.state == "off":
        unused["sandbox"] = "The setting `sandbox` is `off`."
        return None
    return view


async def _leader(services: Services, unused: dict[str, str]) -> LeaderView | None:
    try:
        row = await services.leaders.current()
    except BudflowError as error:
        unused["leader"] = f"Nobody can say who leads: {error.message}"
        return None
    if row is None:
        unused["leader"] = "Nobody leads at this moment; another server takes over within `leader_seconds`."
        return None
    return LeaderView(
        holder=row.holder, token=row.token, until=row.until, here=row.holder == services.supervisor.runner
    )


async def _runners(services: Services) -> list[ClusterRunnerView]:
    now = utc_now()
    return [
        ClusterRunnerView(
            id=row.id,
            kind=row.kind,
            host=row.host,
            pid=row.pid,
            started_at=row.started_at,
            lease_until=row.lease_until,
            lease_seconds_left=row.lease_until and round((row.lease_until - now).total_seconds(), 3),
            running=row.running,
            running_max=row.details.get("running_max"),
            taken_over=row.taken_over,
            release=row.details.get("release"),
            ray_node=row.details.get("ray_node"),
        )
        for row in await services.store.list_runners()
    ]


async def _queue(services: Services) -> QueueView:
    figures = await services.cluster.queue(services.store.cluster)
    return QueueView(
        **{str(status): count for status, count in figures.by_status.items()},
        oldest_queued_seconds=figures.oldest_seconds(utc_now()),
        queued_by_priority=dict(figures.by_priority),
        waiting_by_reason={str(reason): count for reason, count in figures.by_reason.items()},
    )


async def _throughput(services: Services) -> ThroughputView:
    passed = await services.cluster.passed(services.store.cluster)

    def rate(count: int) -> float:
        return round(count / MINUTE_SECONDS, 3)

    return ThroughputView(
        seconds=MINUTE_SECONDS,
        admitted_per_second=rate(passed.admitted),
        ended_per_second=rate(sum(passed.ended.values())),
        failed_per_second=rate(passed.ended.get("failed", 0)),
    )


async def _redis(services: Services, unused: dict[str, str]) -> RedisView | None:
    if services.settings.redis_url is None or services.settings.database_url is None:
        unused["redis"] = "It is not set, or not used with SQLite: servers agree by the database."
        return None

    async def ask() -> None:
        await services.leaders.current()  # Where Redis is set it keeps the lease, so this is one question to it.

    try:
        return RedisView(latency=_latency(await services.cluster.redis.take(ask)), error=None)
    except BudflowError as error:
        return RedisView(latency=None, error=error.message)


def _ray(executor: Mapping[str, Any], runners: Sequence[ClusterRunnerView], unused: dict[str, str]) -> RayView | None:
    coming = executor.get("ray")  # While Ray is being started, and when that failed.
    if coming is not None:
        return RayView(state=coming["state"], address=None, dashboard=None, nodes=[], problem=coming.get("message"))
    if executor["name"] == "ray":
        nodes = [RayNodeView(**node) for node in executor.get("nodes") or ()]
        return RayView(
            state="attached",
            address=executor.get("address"),
            dashboard=executor.get("dashboard"),
            nodes=nodes,
            problem=None,
        )
    known = {one.ray_node: one.host for one in runners if one.ray_node is not None}
    if not known:
        unused["ray"] = "This server is attached to no Ray cluster, and no living runner is on one."
        return None
    nodes = [RayNodeView(id=id_, host=host, alive=True, resources={}, available={}) for id_, host in known.items()]
    return RayView(state="by_runners", address=None, dashboard=None, nodes=nodes, problem=None)


def _latency(latency: Latency) -> LatencyView:
    return LatencyView(last_ms=latency.last_ms, median_ms=latency.median_ms, samples=latency.samples)


def _database_kind(services: Services) -> str:
    if services.store.cluster.schema is None:
        return "memory"
    return "postgresql" if services.settings.database_url else "sqlite"


@cache
def _installed(package: str) -> str | None:
    """The version of an installed package, without importing it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None

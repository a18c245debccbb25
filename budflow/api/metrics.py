"""The metrics of a server: what each is called and means, and where its value comes from when it is asked for."""

import asyncio
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from budflow import __version__
from budflow.errors import BudflowError
from budflow.log import get_log
from budflow.model.figures import Counts, Spread, Spreads
from budflow.model.identity import utc_now
from budflow.services.cluster_ports import QueueFigures
from budflow.services.cluster_watch import Latency
from budflow.services.ports import RunnerRow
from budflow.services.use_case import Services

#: A scrape does not wait longer for a database; what comes from it is left out then.
DATABASE_SECONDS_MAX = 5.0

Labels = tuple[str, ...]
Values = Iterable[tuple[Labels, float | Spread]]

log = get_log(__name__)


@dataclass(frozen=True, slots=True)
class Shared:
    """What the database says, which is the same at every server of an installation."""

    queue: QueueFigures
    runners: list[RunnerRow]
    latency: Latency


@dataclass(frozen=True, slots=True)
class Seen:
    """All that one scrape sees. `shared` is None where the database did not answer."""

    services: Services
    status: Mapping[str, Any]
    shared: Shared | None


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric as Prometheus names it, but for the `_total` of counters. `read` gives its values by labels."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    read: Callable[[Seen], Values]
    labels: Labels = ()


async def see(services: Services) -> Seen:
    """Read everything once."""
    return Seen(services, services.supervisor.status(), await _shared(services))


async def _shared(services: Services) -> Shared | None:
    try:
        async with asyncio.timeout(DATABASE_SECONDS_MAX):
            return Shared(
                await services.cluster.queue(services.store.cluster),
                await services.store.list_runners(),
                await services.cluster.database.take(services.store.cluster.ping),
            )
    except (BudflowError, TimeoutError) as error:
        log.warning("metrics.database_silent", error=f"{type(error).__name__}: {error}")
        return None


def _counts(counts: Counts) -> Values:
    return counts.read().items()


def _plain(counts: Counts) -> Values:
    return [((), counts.total())]


def _spread(spread: Spread) -> Values:
    return [((), spread)]


def _spreads(spreads: Spreads) -> Values:
    return spreads.read().items()


def _queue(read: Callable[[QueueFigures], Values]) -> Callable[[Seen], Values]:
    return lambda seen: () if seen.shared is None else read(seen.shared.queue)


def _oldest(queue: QueueFigures) -> Values:
    return [((), queue.oldest_seconds(utc_now()) or 0.0)]


def _by_label(counts: Mapping[Any, int]) -> Values:
    return [((str(label),), count) for label, count in counts.items()]


def _runners(seen: Seen) -> Values:
    return () if seen.shared is None else _by_label(Counter(row.kind for row in seen.shared.runners))


def _ping(seen: Seen) -> Values:
    return () if seen.shared is None else [((), seen.shared.latency.last_ms / 1000)]


def _ray_nodes(seen: Seen) -> Values:
    nodes = seen.status["executor"].get("nodes") or ()
    return _by_label(Counter("alive" if node["alive"] else "dead" for node in nodes))


def _build(seen: Seen) -> Values:
    return [((__version__, platform.python_version(), seen.services.store.cluster.schema or ""), 1)]


#: All of them, but for those of the process, which the client library knows. A new one is one entry here.
METRICS: tuple[Declared, ...] = (
    Declared(
        "budflow_executions_started",
        "counter",
        "Executions that this process began to advance, by what started them.",
        lambda seen: _counts(seen.services.supervisor.figures.started),
        ("mode",),
    ),
    Declared(
        "budflow_executions_finished",
        "counter",
        "Executions that this process advanced to their end, when that was durable.",
        lambda seen: _counts(seen.services.supervisor.figures.ended),
        ("status", "mode"),
    ),
    Declared(
        "budflow_node_runs",
        "counter",
        "Runs of nodes in executions that this process advances, as far as they are journaled one by one.",
        lambda seen: _counts(seen.services.supervisor.figures.node_runs),
        ("type", "outcome"),
    ),
    Declared(
        "budflow_node_run_seconds",
        "histogram",
        "How long those runs took that finished or failed, from their start to their end.",
        lambda seen: _spreads(seen.services.supervisor.figures.node_seconds),
        ("type",),
    ),
    Declared(
        "budflow_executions",
        "gauge",
        "Executions of the whole installation that have not ended.",
        _queue(lambda queue: _by_label(queue.by_status)),
        ("status",),
    ),
    Declared(
        "budflow_executions_waiting",
        "gauge",
        "Waiting executions of the whole installation, by what they wait for.",
        _queue(lambda queue: _by_label(queue.by_reason)),
        ("reason",),
    ),
    Declared(
        "budflow_queue_oldest_seconds",
        "gauge",
        "How long the oldest queued execution of the whole installation has existed; 0 without any.",
        _queue(_oldest),
    ),
    Declared(
        "budflow_runners",
        "gauge",
        "Runners of the whole installation that are known as living.",
        _runners,
        ("kind",),
    ),
    Declared(
        "budflow_runner_executions",
        "gauge",
        "Executions that this process has now.",
        lambda seen: [((), seen.status["running"])],
    ),
    Declared(
        "budflow_runner_executions_max",
        "gauge",
        "How many it takes at most.",
        lambda seen: [((), seen.status["running_max"])],
    ),
    Declared(
        "budflow_claim_seconds",
        "histogram",
        "How long this process took to look for due executions and lease them.",
        lambda seen: _spread(seen.services.supervisor.figures.claims),
    ),
    Declared(
        "budflow_executions_claimed",
        "counter",
        "Executions that this process leased from the queue.",
        lambda seen: _plain(seen.services.supervisor.figures.claimed),
    ),
    Declared(
        "budflow_dead_runners",
        "counter",
        "Runners that this process found dead; what they had was queued again.",
        lambda seen: _plain(seen.services.supervisor.figures.dead_runners),
    ),
    Declared(
        "budflow_lease_changes",
        "counter",
        "What became of this process's own lease: renewed, interrupted, or lost to others.",
        lambda seen: _counts(seen.services.store.cluster.figures.leases),
        ("change",),
    ),
    Declared(
        "budflow_commit_seconds",
        "histogram",
        "How long a transaction of journal writes took, to its durable end.",
        lambda seen: _spread(seen.services.store.cluster.figures.commits),
    ),
    Declared(
        "budflow_commit_writes",
        "histogram",
        "How many writes such a transaction had.",
        lambda seen: _spread(seen.services.store.cluster.figures.group_sizes),
    ),
    Declared(
        "budflow_database_up",
        "gauge",
        "Whether the database answered this scrape. What the whole installation has is missing else.",
        lambda seen: [((), seen.shared is not None)],
    ),
    Declared(
        "budflow_database_ping_seconds",
        "gauge",
        "How long the database took to answer `SELECT 1`.",
        _ping,
    ),
    Declared(
        "budflow_webhook_requests",
        "counter",
        "Requests to webhooks that were answered, by the status of the answer.",
        lambda seen: _counts(seen.services.figures.webhooks),
        ("status",),
    ),
    Declared(
        "budflow_webhook_request_seconds",
        "histogram",
        "How long they took, from the request's headers to its answer.",
        lambda seen: _spread(seen.services.figures.webhook_seconds),
    ),
    Declared(
        "budflow_http_requests",
        "counter",
        "Requests to the API that were answered, by the template of the route.",
        lambda seen: _counts(seen.services.figures.requests),
        ("method", "route", "status"),
    ),
    Declared(
        "budflow_http_request_seconds",
        "histogram",
        "How long they took until the answer began.",
        lambda seen: _spreads(seen.services.figures.request_seconds),
        ("method", "route"),
    ),
    Declared(
        "budflow_leader",
        "gauge",
        "Whether this process leads: it alone does what one does for all.",
        lambda seen: [((), seen.services.leaders.leads)],
    ),
    Declared(
        "budflow_ray_nodes",
        "gauge",
        "Nodes of the Ray cluster that this process is attached to.",
        _ray_nodes,
        ("state",),
    ),
    Declared(
        "budflow_build_info",
        "gauge",
        "Always 1; the labels say what this process is made of.",
        _build,
        ("version", "python", "tables"),
    ),
)

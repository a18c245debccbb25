"""GET /metrics: the metrics of this process in Prometheus' text format, from a registry of its own."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from starlette.responses import Response

from budflow.api.metrics import METRICS, Declared, Seen, see
from budflow.model.figures import Spread
from budflow.model.principal import Principal
from budflow.services.use_case import Services

if TYPE_CHECKING:
    from prometheus_client import Metric

PATH = "/metrics"
PERMISSION = "server:read"


async def expose(services: Services, principal: Principal) -> Response:
    """All metrics. Raises PermissionMissing."""
    principal.require(PERMISSION)
    seen = await see(services)
    # Its import brings an HTTP server and TLS, which a server that nobody scrapes does without.
    from prometheus_client import (  # noqa: PLC0415 - see the line above
        CONTENT_TYPE_PLAIN_0_0_4,
        CollectorRegistry,
        ProcessCollector,
        generate_latest,
    )

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Collector(seen))
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


class _Collector:
    """Meets prometheus_client's Collector by shape."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def collect(self) -> "Iterable[Metric]":
        """Called once, when the text is made."""
        return (_metric(declared, self._seen) for declared in METRICS)


def _metric(declared: Declared, seen: Seen) -> "Metric":
    from prometheus_client import Metric  # noqa: PLC0415 - imported by then, as said above

    name, metric = declared.name, Metric(declared.name, declared.meaning, declared.kind)
    for values, value in declared.read(seen):
        labels = dict(zip(declared.labels, values, strict=True))
        if isinstance(value, Spread):
            for bound, count in _buckets(value):
                metric.add_sample(f"{name}_bucket", {**labels, "le": bound}, count)
            metric.add_sample(f"{name}_count", labels, value.count)
            metric.add_sample(f"{name}_sum", labels, value.sum)
        else:
            metric.add_sample(f"{name}_total" if declared.kind == "counter" else name, labels, value)
    return metric


def _buckets(spread: Spread) -> Iterator[tuple[str, int]]:
    bounds = (*(repr(float(bound)) for bound in spread.bounds), "+Inf")
    return zip(bounds, spread.cumulative(), strict=True)

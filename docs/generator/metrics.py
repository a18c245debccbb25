"""docs/reference/metrics.md: every metric that a server gives to Prometheus."""

from collections.abc import Iterator

from budflow.api.metrics import METRICS, Declared
from generator.markdown import Page, code, codes, page, table

#: What the client library tells of a process, on Linux.
OF_PROCESS = {
    "process_cpu_seconds_total": ("counter", "User and system CPU time of this process."),
    "process_resident_memory_bytes": ("gauge", "Its memory in RAM."),
    "process_virtual_memory_bytes": ("gauge", "Its address space."),
    "process_start_time_seconds": ("gauge", "When it started, in seconds since 1970."),
    "process_open_fds": ("gauge", "Its open files and connections."),
    "process_max_fds": ("gauge", "How many it may have open."),
}


def pages() -> Iterator[Page]:
    """The one page."""
    yield page(
        "reference/metrics.md",
        "# Metrics",
        "What `GET /metrics` gives, in Prometheus' text format. [Monitoring](../guides/monitoring.md) says who may "
        "read it and what to look at. Labels have few values: none is the id of a workflow or an execution, nor "
        "anything that a stranger can choose.",
        table(
            ["metric", "type", "labels", "meaning"],
            (
                *([code(_name(one)), one.kind, codes(one.labels), one.meaning] for one in METRICS),
                *([code(name), kind, "", meaning] for name, (kind, meaning) in OF_PROCESS.items()),
            ),
        ),
        "A histogram `x` is told as `x_bucket` with the label `le`, `x_sum` and `x_count`. What is said of the whole "
        "installation is the same at every server: take the maximum over servers, not the sum.",
    )


def _name(declared: Declared) -> str:
    return f"{declared.name}_total" if declared.kind == "counter" else declared.name

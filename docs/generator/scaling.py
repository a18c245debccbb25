"""docs/scaling.md: what a cluster would give, simulated from what was measured on one machine."""

from collections.abc import Iterator

from benchmarks.simulate_cluster import (
    CORES,
    DATABASE_CORES,
    ITEM_SECONDS,
    ITEMS,
    JITTER,
    Measured,
    executions_table,
    items_table,
)
from generator.markdown import Page, page, table

MICRO = 1e6


def pages() -> Iterator[Page]:
    """The one page."""
    measured = Measured.read()
    yield page(
        "scaling.md",
        "# How far it scales",
        "What 1 to 1,000 nodes would give, **simulated** with the overheads that were **measured** on one machine. "
        "[Scaling](guides/scaling.md) says how to set such a cluster up; [performance](performance.md) has what was "
        "measured without any simulation. `python -m benchmarks.simulate_cluster` prints the tables below; it takes a "
        "file with other figures, such as those of your machines.",
        "## What goes in",
        f"Measured on {measured.made}.",
        table(["figure", "value", "where it comes from"], _figures(measured)),
        f"A node has {CORES} cores and {CORES} runner actors. Networks are taken to be as fast as within one machine, "
        "and nothing fails. So the tables say where BudFlow itself becomes the limit, and not how fast your cluster "
        "is.",
        "## A long list of items that compute",
        f"`flow.for_each` over {ITEMS:,} items of {ITEM_SECONDS * 1e3:.0f} ms (± {JITTER:.0%}) each, which is "
        f"{ITEMS * ITEM_SECONDS / 60:.0f} minutes on one core. The chunks are those that BudFlow's own rule makes.",
        items_table(measured, split=False),
        "**The first bottleneck is the event loop of the runner that has the execution.** It packs every chunk, "
        "unpacks what came of it and journals that, in the order of the items. A chunk takes a quarter of a second at "
        f"most, so one loop keeps some {0.25 / measured.chunk_seconds:.0f} cores busy, and more cores only wait.",
        "**Remedy: several loops.** Cut the list into parts and let a sub-workflow work off each "
        "(`flow.sub_workflow` in the body of the outer loop); sub-workflows run on other runners, each with a loop of "
        "its own. With as many parts as nodes:",
        items_table(measured, split=True),
        "Then the next limit is that one execution starts all the parts. It shows only where a part is a matter of "
        "seconds; two levels of parts, or fewer and longer ones, help.",
        "## Executions a second",
        "Light executions, each with one `data.set`, every node journaled. The database stands on a machine of its "
        "own. Only processor time is counted, so these are upper bounds: disks, networks and locks come on top.",
        *(f"With {cores} cores for PostgreSQL:\n\n{executions_table(measured, cores)}" for cores in DATABASE_CORES),
        "**The first bottleneck is the database.** An execution costs it "
        f"{measured.database_seconds * MICRO:.0f} µs of a core for the claim, the events and the end, and its runner "
        f"{measured.runner_seconds * MICRO:.0f} µs, so one core of PostgreSQL goes with "
        f"{measured.runner_seconds / measured.database_seconds:.0f} cores of runners. Remedies, the cheapest first:",
        "- `settings.journal: end` writes two events instead of several, and a retention of 0 for successes nothing at "
        "all where the caller waits for the answer.\n"
        "- Do more in one execution: a list of 100 items costs the database hardly more than one item.\n"
        "- Give PostgreSQL more cores, and a disk that is quick to sync; commits of many executions share one sync.\n"
        "- Divide: projects that do not call each other may live in installations of their own, each with its own "
        "database. One installation never uses two.",
        "**The second is the number of runners.** Each looks for itself once a second, also when nothing happens, and "
        "each keeps connections open: PostgreSQL allows 100 as it is installed, and few servers bear more than some "
        "thousands. From about 100 nodes on start one runner a node (`--runners 1`): an actor is an event loop, and "
        "what computes goes to Ray tasks on all cores of the node anyway.",
    )


def _figures(measured: Measured) -> Iterator[tuple[str, str, str]]:
    yield (
        "a light execution, in its runner",
        f"{measured.runner_seconds * MICRO:.0f} µs",
        "R of `python -m benchmarks ray_cluster`: a queue that one worker empties",
    )
    yield (
        "the same, in the database",
        f"{measured.database_seconds * MICRO:.0f} µs",
        "D of the same case: claim, journal and end",
    )
    yield (
        "a runner that has nothing to do, in the database",
        f"{measured.looking_seconds * MICRO:.0f} µs each second",
        "six idle workers for 12 s",
    )
    yield "its connections to PostgreSQL", f"{measured.connections}", "the same; up to 20 under load"
    yield (
        "a chunk of rounds, in the loop that sends it",
        f"{measured.chunk_seconds * 1e3:.1f} ms",
        "packing, unpacking and journaling, by processor time",
    )
    yield "and each of its items", f"{measured.item_seconds * MICRO:.0f} µs", "the same"
    yield "the way to a Ray task and back", f"{measured.hop_seconds * 1e3:.1f} ms", "[0001](decisions/0001-queue.md)"

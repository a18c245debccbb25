"""`python -m benchmarks.simulate_cluster [FILE]`: what up to 1,000 nodes would give, from what was measured on one.

A list of CPU-bound items is simulated event by event. The event loop of one runner packs chunks, which are as large as
BudFlow's own rule makes them; cores compute them; the loop takes them back in the order in which it sent them.
Executions a second follow from what one costs its runner and the database, of which the runners' looking is taken off.

The tables stand in docs/scaling.md; docs/generator/scaling.py puts them there.
"""

import heapq
import json
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from random import Random

from budflow.execution.round_costs import MEASURED_MIN, BodyCost
from budflow.execution.rounds_apart import AHEAD

MEASURED = Path(__file__).with_name("measured.json")
NODES = (1, 2, 10, 100, 1_000)
CORES = 2
DATABASE_CORES = (2, 32)
ITEMS = 100_000
ITEM_SECONDS = 0.050
#: Items take so much more or less than that, at most.
JITTER = 0.2
SEED = 1
#: From so much of its time on, whoever is busy counts as what holds the others up.
BUSY_SHARE = 0.9
#: From so much on, nothing counts as holding anybody up.
GOOD_EFFICIENCY = 0.9


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured on one machine with CORES cores; all but `connections` in seconds.

    Of a light execution: what it costs its runner and the database. Of a runner: what its looking costs the database
    each second, and its connections. Of a chunk: what packing and unpacking it costs the loop, apart from its items and
    for each of them, and the way there and back.
    """

    runner_seconds: float
    database_seconds: float
    looking_seconds: float
    connections: int
    chunk_seconds: float
    item_seconds: float
    hop_seconds: float
    made: str = ""

    @classmethod
    def read(cls, path: Path = MEASURED) -> "Measured":
        """From a file of JSON: when and where it was `made`, and the `figures` by name."""
        said = json.loads(path.read_text(encoding="utf-8"))
        return cls(**said["figures"], made=said["made"])


@dataclass(slots=True)
class Spent:
    """A list that was worked off: when, and how long the loop and the cores were busy with it."""

    seconds: float = 0.0
    loop_seconds: float = 0.0
    computing_seconds: float = 0.0
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class Point:
    """What so many nodes give: a figure, how many times that of one core or node, and what holds it up."""

    nodes: int
    value: float
    speed_up: float
    efficiency: float
    bottleneck: str


@dataclass(slots=True)
class _Loop:
    """The event loop of the runner that has the list; it does one thing at a time."""

    measured: Measured
    now: float
    spent: Spent = field(default_factory=Spent)

    def handle(self, items: int) -> None:
        """Pack, or unpack, a chunk of so many items: each is half of what both take."""
        seconds = (self.measured.chunk_seconds + items * self.measured.item_seconds) / 2
        self.now += seconds
        self.spent.loop_seconds += seconds


def work_off(measured: Measured, items: int, cores: int, random: Random, begin: float = 0.0) -> Spent:
    """One list, by one runner and so many cores."""
    cost = BodyCost()
    for _ in range(MEASURED_MIN):
        cost.note(1, ITEM_SECONDS)
    loop, way = _Loop(measured, begin), measured.hop_seconds / 2
    free = [begin] * cores
    away: deque[tuple[float, int]] = deque()  # When each is back, and its items; in the order of sending.
    while items or away:
        if away and away[0][0] <= loop.now:
            loop.handle(away.popleft()[1])
        elif items and len(away) < cores + AHEAD:
            size = min(items, cost.chunk_items(items, cores))
            loop.handle(size)
            seconds = sum(ITEM_SECONDS * random.uniform(1 - JITTER, 1 + JITTER) for _ in range(size))
            end = max(heapq.heappop(free), loop.now + way) + seconds
            heapq.heappush(free, end)
            away.append((end + way, size))
            items -= size
            loop.spent.computing_seconds += seconds
            loop.spent.chunks += 1
        else:
            loop.now = away[0][0]
    loop.spent.seconds = loop.now
    return loop.spent


def items_on(measured: Measured, nodes: int, parts: int = 1) -> Point:
    """A list of ITEMS on so many nodes; with `parts` a sub-workflow each, begun one after the other by the first."""
    random = Random(SEED)
    cores, start = nodes * CORES, measured.runner_seconds + measured.database_seconds
    all_of = [
        work_off(measured, size, ceil(cores / parts), random, begin=(number + 1) * start if parts > 1 else 0.0)
        for number, size in enumerate(_shares(ITEMS, parts))
    ]
    seconds = max(one.seconds for one in all_of)
    speed_up = sum(one.computing_seconds for one in all_of) / seconds
    busiest = max(one.loop_seconds for one in all_of) / seconds
    if speed_up >= GOOD_EFFICIENCY * cores:
        bottleneck = "the cores"
    elif busiest >= BUSY_SHARE:
        bottleneck = "the loop of one runner, which packs and unpacks every chunk"
    elif parts > 1 and parts * start >= seconds * (1 - GOOD_EFFICIENCY):
        bottleneck = "the start of the parts, one after the other"
    else:
        bottleneck = "the last chunks, for which most cores wait"
    return Point(nodes, seconds, speed_up, speed_up / cores, bottleneck)


def executions_on(measured: Measured, nodes: int, database_cores: int) -> Point:
    """Light executions a second on so many nodes, with a database on a machine of its own."""
    runners = nodes * CORES
    by_runners = runners / measured.runner_seconds
    looking = runners * measured.looking_seconds
    by_database = max(0.0, database_cores - looking) / measured.database_seconds
    rate = min(by_runners, by_database)
    alone = CORES / measured.runner_seconds
    if by_runners <= by_database:
        bottleneck = "the runners' cores"
    elif looking > database_cores / 2:
        bottleneck = "the database's cores, by runners that look for something due"
    else:
        bottleneck = "the database's cores"
    return Point(nodes, rate, rate / alone, rate / alone / nodes, bottleneck)


def items_table(measured: Measured, *, split: bool) -> str:
    """The list as one, or with a sub-workflow for each node."""
    points = [items_on(measured, nodes, nodes if split else 1) for nodes in NODES]
    return _table(("nodes", "cores", "time", "speed-up", "efficiency", "what holds it up"), _item_rows(points))


def executions_table(measured: Measured, database_cores: int) -> str:
    """Light executions a second."""
    points = [executions_on(measured, nodes, database_cores) for nodes in NODES]
    heads = ("nodes", "executions a second", "speed-up", "efficiency", "connections", "what holds it up")
    rows = (
        (
            f"{one.nodes:,}",
            f"{one.value:,.0f}",
            f"{one.speed_up:,.1f}",
            f"{one.efficiency:.0%}",
            f"{one.nodes * CORES * measured.connections:,}",
            one.bottleneck,
        )
        for one in points
    )
    return _table(heads, rows)


def main() -> None:
    """Print the tables."""
    measured = Measured.read(Path(sys.argv[1])) if len(sys.argv) > 1 else Measured.read()
    titles = {
        "One list": items_table(measured, split=False),
        "A sub-workflow for each node": items_table(measured, split=True),
        **{f"Executions, a database with {cores} cores": executions_table(measured, cores) for cores in DATABASE_CORES},
    }
    for title, text in titles.items():
        print(f"{title}\n\n{text}\n")


def _shares(count: int, parts: int) -> list[int]:
    """So many in so many parts, as even as can be."""
    whole, more = divmod(count, parts)
    return [whole + (number < more) for number in range(parts)]


def _item_rows(points: Sequence[Point]) -> Iterator[tuple[str, ...]]:
    for one in points:
        seconds = f"{one.value:,.0f} s" if one.value >= 10 else f"{one.value:.1f} s"
        speed_up = f"{one.speed_up:,.1f}" if one.speed_up < 100 else f"{one.speed_up:,.0f}"
        yield (
            f"{one.nodes:,}",
            f"{one.nodes * CORES:,}",
            seconds,
            speed_up,
            f"{one.efficiency:.0%}",
            one.bottleneck,
        )


def _table(heads: Sequence[str], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" if cells[0] != "---" else "|" + "---|" * len(heads) for cells in lines)


if __name__ == "__main__":
    main()

"""What twice the work costs, on SQLite with every node journaled: a longer chain, more branches, more items.

Each figure is the time for the larger over the time for the smaller, each the best of its rounds, which are run by
turns: what else the machine does can only add.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from benchmarks.engine import Engine, chain, open_engine, orders, setting
from benchmarks.figure import Figure

TITLE = "Cost against the amount of work"
GOAL = 2.2
STEP = setting(x="{{ $json.total + 1 }}")
NODES = (125, 250, 500)
ITEMS = (250_000, 500_000, 1_000_000)
NODE_ROUNDS = 10
ITEM_ROUNDS = 3


def branches(count: int) -> Mapping[str, Any]:
    """So many nodes: a trigger that leads to all others side by side."""
    keys = [f"branch{number}" for number in range(count - 1)]
    return {
        "format": 1,
        "name": "Branches",
        "nodes": {"start": {"type": "trigger.manual"}, **dict.fromkeys(keys, STEP)},
        "edges": [{"from": "start", "to": key} for key in keys],
    }


async def measure() -> list[Figure]:
    """Depth, width and items."""
    async with open_engine() as engine:
        deep = [(await engine.add(chain(f"Chain of {count}", *[STEP] * (count - 1))), 1) for count in NODES]
        wide = [(await engine.add(branches(count)), 1) for count in NODES]
        one = await engine.add(chain("Items", STEP))
        return [
            *await doubled(engine, "nodes in a chain", NODES, deep, NODE_ROUNDS),
            *await doubled(engine, "nodes side by side", NODES, wide, NODE_ROUNDS),
            *await doubled(engine, "items", ITEMS, [(one, count) for count in ITEMS], ITEM_ROUNDS),
        ]


async def doubled(
    engine: Engine, what: str, sizes: tuple[int, ...], work: list[tuple[str, int]], rounds: int
) -> list[Figure]:
    """The best time of each size, given as workflow and number of items, against that of the size before it."""
    best = [float("inf")] * len(work)
    for _ in range(rounds):
        for number, (workflow_id, items) in enumerate(work):
            spent, _ = await engine.run(workflow_id, orders(items))
            best[number] = min(best[number], spent)
    return [
        Figure(
            f"{sizes[small]:,} → {sizes[large]:,} {what}",
            f"{best[large] / best[small]:.2f} times ({_shown(best[small])} → {_shown(best[large])})",
            f"≤ {GOAL:g} times",
            best[large] / best[small] <= GOAL,
        )
        for small, large in pairwise(range(len(work)))
    ]


def _shown(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"

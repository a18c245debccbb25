"""Forty sequential `data.set` steps with one item, from the admission to the durable end, every node journaled.

The engine runs in this process. "With an effect" every step is an `idempotent` node that reaches nobody: its start is
committed before it runs, as for a request to another system, and the next step's start commits its end.
"""

from benchmarks.engine import POSTGRES, SQLITE, chain, databases, open_engine, orders, rounds, setting
from benchmarks.figure import Figure, milliseconds, typical

TITLE = "Sequential steps: overhead a step"
STEPS = 40
ROUNDS = 60
STEP = setting(x="{{ $json.total + 1 }}")
GOALS = {SQLITE: 0.002, POSTGRES: 0.003}
PURE_GOAL = 0.0005


async def measure() -> list[Figure]:
    """Pure steps and steps with an effect on each database."""
    figures: list[Figure] = []
    async with databases() as urls:
        for name, url in urls.items():
            async with open_engine(url) as engine:
                pure = await engine.add(chain("Pure", *[STEP] * STEPS))
                effects = await engine.add(chain("Effects", *[{**STEP, "effect": "idempotent"}] * STEPS))
                for what, workflow_id, goal in (("pure", pure, PURE_GOAL), ("with an effect", effects, GOALS[name])):
                    times = [spent / STEPS for spent in await rounds(engine, workflow_id, orders(1), ROUNDS)]
                    figures.append(
                        Figure(
                            f"{name}, {what}",
                            milliseconds(times),
                            f"≤ {goal * 1000:g} ms",
                            typical(times) <= goal,
                        )
                    )
    return figures

"""Many items through few or many nodes in one execution, from its admission to its durable end on SQLite.

`data.set` evaluates one expression an item, `flow.if` another; every node's output is journaled. The items of
`flow.for_each` go one by one through a body with one `data.set`.
"""

from benchmarks.engine import chain, open_engine, orders, rounds, setting
from benchmarks.figure import Figure, milliseconds, typical

TITLE = "Items"
ROUNDS = 7
STEP = setting(x="{{ $json.total + 1 }}")
CHECK = {"type": "flow.if", "params": {"condition": "{{ $json.total >= 0 }}"}}
COUNT = {"type": "data.aggregate", "params": {"operations": [{"operation": "sum", "field": "x"}]}}
EACH = {
    "type": "flow.for_each",
    "bodies": {
        "body": {"nodes": {"inner": STEP}, "edges": [{"from": "$in", "to": "inner"}, {"from": "inner", "to": "$out"}]}
    },
}
EACH_ITEMS = 10_000
EACH_GOAL = 5_000


async def measure() -> list[Figure]:
    """The three shapes."""
    async with open_engine() as engine:
        many = await rounds(engine, await engine.add(chain("Set", *[STEP] * 50)), orders(1_000), ROUNDS)
        few = await rounds(engine, await engine.add(chain("Few", STEP, CHECK, COUNT)), orders(10_000), ROUNDS)
        each = await rounds(engine, await engine.add(chain("Each", EACH)), orders(EACH_ITEMS), ROUNDS)
    rates = sorted(EACH_ITEMS / spent for spent in each)
    rate = typical(rates)
    return [
        Figure("50 times `data.set` over 1,000 items", milliseconds(many), "≤ 0.4 s", typical(many) <= 0.4),
        Figure("10,000 items: set, if, aggregate", milliseconds(few), "≤ 0.15 s", typical(few) <= 0.15),
        Figure(
            "`flow.for_each` over 10,000 items",
            f"{rate:,.0f} items/s ({rates[0]:,.0f} to {rates[-1]:,.0f})",
            f"≥ {EACH_GOAL:,}/s",
            rate >= EACH_GOAL,
        ),
    ]

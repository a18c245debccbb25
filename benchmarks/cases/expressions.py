"""Expressions: what one evaluation takes for one item, budget and checks included, and what compiling one takes.

A scope is made before, as the engine makes one for every item; what is measured is `Template.evaluate`.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from benchmarks.figure import Figure, typical
from budflow.expressions.compile import compile_source, compile_template
from budflow.expressions.evaluate import ExpressionFailed, Scope
from budflow.expressions.tokenize import read

TITLE = "Expressions"
ROUNDS = 7
EVALUATIONS = 20_000
COMPILATIONS = 200
DATA = {"name": "Ada", "total": 120.5, "a": {"b": 1}, "rows": [{"n": number} for number in range(10)]}
#: By what it is called: the expression, and the microseconds that it may take.
CASES: dict[str, tuple[str, float | None]] = {
    "a path": ("$json.a.b", 1.0),
    "a path of another name": ("$execution.id", 1.0),
    "a sum and a comparison": ("$json.total + 1 > 100", None),
    "a call": ("$json.name.upper()", 4.0),
    "a call with arguments": ("$json.name.replace('A', 'a')", 4.0),
    "a loop over ten rows": ("[row.n for row in $json.rows]", None),
}
#: Its worst: what goes on for as long as it is let.
HOSTILE = "[2 ** 4000 // 3 for i in range(99999)]"
HOSTILE_GOAL_MS = 50.0


async def measure() -> list[Figure]:
    """Each expression by itself."""
    names = {"now": datetime(2026, 1, 31, tzinfo=UTC), "execution": {"id": "exe_1"}}
    figures = []
    for title, (expression, goal) in CASES.items():
        template, scope = compile_template(f"{{{{ {expression} }}}}"), Scope(DATA, 0, names)
        spent = _typical(lambda template=template, scope=scope: template.evaluate(scope), EVALUATIONS)  # type: ignore[misc]  # the defaults bind
        figures.append(_figure(f"{title}: `{expression}`", spent * 1e6, goal))
    source = read(f"{{{{ {CASES['a call'][0]} }}}}", 0)
    compiled = _typical(lambda: compile_source(source), COMPILATIONS)
    figures.append(_figure("to compile a call, once a version", compiled * 1e6, None))
    return [*figures, _hostile()]


def _figure(title: str, microseconds: float, goal: float | None) -> Figure:
    if goal is None:
        return Figure(title, f"{microseconds:.2f} µs")
    return Figure(title, f"{microseconds:.2f} µs", f"≤ {goal:g} µs", microseconds <= goal)


def _typical(call: Callable[[], object], times: int) -> float:
    """Seconds of one call."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(times):
            call()
        rounds.append((time.perf_counter() - began) / times)
    return typical(rounds)


def _hostile() -> Figure:
    template, scope = compile_template(f"{{{{ {HOSTILE} }}}}"), Scope(DATA, 0, {})
    spent = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        try:
            template.evaluate(scope)
        except ExpressionFailed:
            spent.append((time.thread_time() - began) * 1000)
    took = typical(spent) if len(spent) == ROUNDS else float("inf")
    title = f"one that would go on for long is stopped: `{HOSTILE}`"
    return Figure(title, f"{took:.0f} ms of a processor", f"≤ {HOSTILE_GOAL_MS:g} ms", took <= HOSTILE_GOAL_MS)

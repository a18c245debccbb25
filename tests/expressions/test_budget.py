"""An evaluation ends when its steps are used up, or its time; time that the garbage collector takes is not its own."""

import pytest

from budflow.expressions import budget as limits
from budflow.expressions.budget import MILLISECONDS_MAX, STEPS_A_LOOK, STEPS_MAX, STEPS_UNTIMED, Budget, Fault


class Clock:
    """A processor's time, and how often everything was looked through."""

    def __init__(self) -> None:
        self.milliseconds = 0.0
        self.collections = 7


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(limits, "thread_time_ns", lambda: int(clock.milliseconds * 1_000_000))
    monkeypatch.setattr(limits, "full_collections", lambda: clock.collections)
    return clock


def begun() -> Budget:
    """A budget that has begun to look at the clock."""
    budget = Budget()
    budget.spend(STEPS_UNTIMED + 1)
    return budget


def test_the_steps_are_used_up() -> None:
    budget = Budget()
    budget.spend(STEPS_MAX)
    with pytest.raises(Fault, match="steps") as caught:
        budget.spend(1)
    assert caught.value.over_budget


def test_the_time_is_up_although_there_are_steps_left(clock: Clock) -> None:
    budget = begun()
    clock.milliseconds = MILLISECONDS_MAX - 1
    budget.spend(STEPS_A_LOOK)
    clock.milliseconds = MILLISECONDS_MAX
    with pytest.raises(Fault, match="ms") as caught:
        budget.spend(STEPS_A_LOOK)
    assert caught.value.over_budget
    assert budget.steps > 0


def test_nobody_looks_at_a_clock_for_the_first_steps(clock: Clock) -> None:
    budget = Budget()
    budget.spend(STEPS_UNTIMED)
    clock.milliseconds = 10 * MILLISECONDS_MAX
    budget.spend(1)  # The time begins here.


def test_the_clock_is_looked_at_every_so_many_steps_only(clock: Clock) -> None:
    budget = begun()
    clock.milliseconds = 10 * MILLISECONDS_MAX
    for _ in range(STEPS_A_LOOK - 1):
        budget.spend(1)
    with pytest.raises(Fault):
        budget.spend(1)


def test_what_the_garbage_collector_takes_is_not_counted(clock: Clock) -> None:
    budget = begun()
    clock.milliseconds = 5 * MILLISECONDS_MAX
    clock.collections += 1
    budget.look()
    clock.milliseconds += MILLISECONDS_MAX - 1
    budget.look()
    clock.milliseconds += 1
    with pytest.raises(Fault):
        budget.look()


def test_work_that_has_been_charged_as_a_whole_can_look_too(clock: Clock) -> None:
    budget = Budget()
    budget.look()
    clock.milliseconds = MILLISECONDS_MAX
    with pytest.raises(Fault):
        budget.look()


def test_nothing_gives_steps_back() -> None:
    budget = Budget()
    budget.text(-1_000_000)
    budget.elements(-1_000_000)
    assert budget.steps == STEPS_MAX

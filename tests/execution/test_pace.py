"""How several runners share a burst: simulated, a millisecond a turn."""

from collections import deque
from dataclasses import dataclass, field
from random import Random

import pytest

from budflow.execution.pace import BATCH_MAX, BATCH_MIN, PAUSE_SECONDS, Pace

PAUSE_MS = round(PAUSE_SECONDS * 1000)
LOOK_MS = 8
POLL_MS = 1000
RUNNING_MAX = 1000


@dataclass(slots=True)
class Runner:
    """One core that works off what it took, one after the other."""

    next_look: int
    pace: Pace = field(default_factory=Pace)
    held: deque[int] = field(default_factory=deque)  # The milliseconds that each still needs.
    took: int = 0

    def turn(self, now: int, queue: deque[int]) -> None:
        if now >= self.next_look:
            asked = self.pace.ask(RUNNING_MAX - len(self.held))
            got = [queue.popleft() for _ in range(min(asked, len(queue)))]
            self.held.extend(got)
            self.took += len(got)
            self.next_look = now + (LOOK_MS + PAUSE_MS if len(got) == asked else POLL_MS)
        if self.held:
            self.held[0] -= 1
            if self.held[0] <= 0:
                self.held.popleft()
                self.pace.end()
                if queue and self.pace.keeps_up:
                    self.next_look = min(self.next_look, now + LOOK_MS)


def share(count: int, each_ms: int, runners: int, *, told_within_ms: int, seed: int = 1) -> tuple[int, list[Runner]]:
    """Milliseconds until a burst is done that is queued at once, and the runners, which are told of it soon after."""
    random, queue = Random(seed), deque([each_ms] * count)
    team = [Runner(random.randrange(told_within_ms)) for _ in range(runners)]
    for one in team:
        one.pace.runners = runners
    now = 0
    while queue or any(one.held for one in team):
        for one in random.sample(team, runners):
            one.turn(now, queue)
        now += 1
    return now, team


@pytest.mark.parametrize("count", [20, 100, 500])
def test_a_burst_of_heavy_executions_is_shared(count: int) -> None:
    spent, team = share(count, 1000, 10, told_within_ms=20)

    assert max(one.took for one in team) <= count / 10 + BATCH_MIN
    assert spent <= 1000 * (count / 10 + BATCH_MIN) + 200


def test_runners_that_only_poll_share_a_burst_too() -> None:
    _, team = share(500, 1000, 10, told_within_ms=POLL_MS)

    assert max(one.took for one in team) <= 3 * 500 / 10


@pytest.mark.parametrize("runners", [2, 10])
def test_a_burst_of_light_executions_keeps_every_runner_busy(runners: int) -> None:
    spent, _ = share(1000 * runners, 2, runners, told_within_ms=20)

    assert spent <= 1.25 * 2000


def test_what_takes_long_without_computing_is_taken_up_soon() -> None:
    pace = Pace()
    pace.runners = 2
    looks, held = 0, 0
    while held < 500:
        held += pace.ask(RUNNING_MAX - held)
        looks += 1

    assert looks * (PAUSE_MS + LOOK_MS) <= 4000


def test_a_runner_that_is_alone_asks_for_all_that_it_has_room_for() -> None:
    pace = Pace()

    assert pace.ask(700) == 700
    assert pace.keeps_up


def test_never_more_than_there_is_room_for_nor_so_much_that_the_others_have_nothing_to_do() -> None:
    pace = Pace()
    pace.runners = 3
    for room, asked in ((5, 5), (RUNNING_MAX, BATCH_MAX)):
        for _ in range(100):
            pace.end()
        assert pace.ask(room) == asked

"""Leaders under every trouble that is drawn: no two act at the same time of the lease, and when it is quiet one leads.

Processes freeze for any time and go on; requests and answers are slow, get lost or fail; clocks go too fast or too
slow; some hand over, and others take their place. More schedules by BUDFLOW_LEADER_SCHEDULES=20000.
"""

import asyncio
import os
from contextvars import copy_context
from random import Random

import pytest

from budflow.scaling.leader import Leader
from budflow.scaling.wakes_here import WakesHere
from budflow.services.leader_ports import Leading
from tests.execution.simulated_loop import PROCESS, SimulatedLoop, simulate
from tests.scaling.fake_lease import FakeLease, LeaseAway, Truth

SCHEDULES = int(os.environ.get("BUDFLOW_LEADER_SCHEDULES", "100"))
PARTS = 4
#: Clocks that are checked against time servers differ by far less.
CLOCK_ERROR = 0.04


class World:
    """One lease, and processes that come and go."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.seconds = self.random.choice((0.3, 1.0, 10.0))
        self.truth = Truth()
        self.wakes = WakesHere()
        self.troubled = True
        self.leaders: dict[str, Leader] = {}
        self.acts, self.faults = list[tuple[str, int]](), list[str]()
        self.names = 0

    def begin(self) -> None:
        """One more process."""
        name = f"process_{self.names}"
        self.names += 1
        rate = 1 + self.random.uniform(-CLOCK_ERROR, CLOCK_ERROR)
        offset = self.random.uniform(0, 1_000)
        lease = FakeLease(self.truth, there=self.travel, back=self.travel)
        leader = Leader(
            lease, self.wakes, holder=name, seconds=self.seconds, clock=lambda: offset + rate * self.truth.now
        )
        self.leaders[name] = leader
        context = copy_context()
        context.run(PROCESS.set, name)
        context.run(leader.start, lambda leading: self.work(name, leading))

    async def work(self, name: str, leading: Leading) -> None:
        """Act every now and then; what an act finds must be what the lease itself says."""
        while True:
            leading.require()
            truth = self.truth
            if not truth.is_held or (truth.holder, truth.token) != (name, leading.token):
                self.faults.append(f"{truth.now:.3f}: {name} acts with {leading.token} beside {truth}")
            self.acts.append((name, leading.token))
            await asyncio.sleep(self.random.uniform(0, self.seconds / 5))

    async def travel(self) -> None:
        """What happens to a request or an answer on its way."""
        if not self.troubled:
            return
        trouble = self.random.random()
        if trouble < 0.1:
            raise LeaseAway
        if trouble < 0.15:
            await asyncio.Event().wait()  # Lost.
        if trouble < 0.5:
            await asyncio.sleep(self.random.expovariate(5 / self.seconds))

    async def trouble(self) -> None:
        """Something that happens to a process."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        name = self.random.choice([*self.leaders])
        happens = self.random.random()
        if happens < 0.5:
            loop.freeze(name)
            await asyncio.sleep(self.random.expovariate(0.7 / self.seconds))
            loop.thaw(name)
        elif happens < 0.7:
            await self.leaders.pop(name).stop()
            self.begin()
        else:
            await asyncio.sleep(self.random.uniform(0, 3 * self.seconds))


async def live(seed: int) -> None:
    """Troubles for a while, then quiet, then the end."""
    world = World(seed)
    for _ in range(world.random.randint(1, 4)):
        world.begin()
    for _ in range(world.random.randint(1, 12)):
        await world.trouble()
    world.troubled = False
    await asyncio.sleep(4 * world.seconds)  # What is held runs out, and the longest pause comes to its end.
    assert sum(leader.leads for leader in world.leaders.values()) == 1
    acts = len(world.acts)
    await asyncio.sleep(2 * world.seconds)
    assert len(world.acts) > acts
    for leader in world.leaders.values():
        await leader.stop()
    assert not world.truth.is_held
    assert not world.faults
    tokens = [token for _, token in world.acts]
    assert tokens == sorted(tokens)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_two_leaders_act_at_the_same_time_of_the_lease(part: int) -> None:
    for seed in range(part, SCHEDULES, PARTS):
        try:
            simulate(live(seed))
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise

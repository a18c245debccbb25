"""What runners hear of each other saves waiting, and nothing depends on it."""

import asyncio
from random import Random

import pytest

from budflow.execution.hearing import SPREAD_SECONDS_MAX, Hearing
from budflow.scaling.wakes_here import WakesHere
from tests.execution.simulated_checks import check_outputs, check_world
from tests.execution.simulated_documents import WATCHER, Wanted, random_document
from tests.execution.simulated_life import live, use
from tests.execution.simulated_loop import simulate
from tests.execution.simulated_server import Faults
from tests.execution.simulated_wakes import Airwaves
from tests.execution.simulated_world import World
from tests.until import until

SEEDS = 24
TROUBLES = [
    Faults(),
    Faults(cancel=0.5, pause=0.2),
    Faults(store=0.05, cancel=0.3),
    Faults(deaths=2, frozen=1, stops=1),
]


async def with_bad_reception(seed: int, faults: Faults) -> Airwaves:
    world = World(seed, faults)
    world.wakes = airwaves = Airwaves(Random(seed))
    racing = bool(faults.cancel)
    documents = {
        "callee": random_document(world.random, 1 + seed % 7, Wanted(calls=False, racing=racing)),
        "caller": random_document(world.random, 3 + seed % 16, Wanted(racing=racing)),
        "watcher": WATCHER,
    }
    for _ in range(2):
        await world.new_server()
    await live(world, documents, [use(world) for _ in range(6)])
    await check_world(world)
    if not racing:
        await check_outputs(world, documents)
    await world.close()
    return airwaves


def test_nothing_depends_on_what_is_heard() -> None:
    heard: list[Airwaves] = []

    async def one(seed: int) -> None:
        heard.append(await with_bad_reception(seed, TROUBLES[seed % len(TROUBLES)]))

    for seed in range(SEEDS):
        try:
            simulate(one(seed))
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    for kind in ("lost", "late", "doubled"):
        assert sum(getattr(airwaves, kind) for airwaves in heard) > SEEDS, f"hardly any were {kind}"


class FakeIntake:
    """Counts what it is asked for."""

    running_max = 10

    def __init__(self, runners: int = 2, room: int = 10) -> None:
        self.runners, self.room = runners, room
        self.looks = self.listens = 0
        self.looked_for: list[str] = []

    def look(self) -> None:
        self.looks += 1

    def look_for(self, execution_id: str) -> None:
        self.looked_for.append(execution_id)

    def listen(self) -> None:
        self.listens += 1


class FakeHolding:
    def __init__(self, *held: str) -> None:
        self.held = dict.fromkeys(held)


def hearing(intake: FakeIntake, *held: str) -> tuple[Hearing, WakesHere]:
    wakes = WakesHere()
    ears = Hearing(wakes, intake, FakeHolding(*held), runner="run_1")  # type: ignore[arg-type] # they meet it by shape
    ears.begin()
    return ears, wakes


async def test_a_burst_in_the_queue_is_one_look() -> None:
    intake = FakeIntake(runners=10)
    ears, wakes = hearing(intake)
    for _ in range(100):
        wakes.tell("queue")
    await until(lambda: intake.looks == 1)
    await asyncio.sleep(SPREAD_SECONDS_MAX)  # Longer than any turn: no other look was on its way.

    assert intake.looks == 1
    ears.end()


async def test_of_one_that_was_queued_the_name_is_passed_on() -> None:
    intake = FakeIntake()
    ears, wakes = hearing(intake)
    wakes.tell("queue", "exe_1")
    await until(lambda: bool(intake.looked_for))
    wakes.tell("queue", "exe_2")
    await until(lambda: len(intake.looked_for) == 2)

    assert (intake.looked_for, intake.looks) == (["exe_1", "exe_2"], 0)
    ears.end()


@pytest.mark.parametrize("told", [["exe_1", "exe_2"], ["exe_1", ""], [""]])
async def test_of_several_or_of_nobody_knows_which_it_only_looks(told: list[str]) -> None:
    intake = FakeIntake()
    ears, wakes = hearing(intake)
    for execution_id in told:
        wakes.tell("queue", execution_id)
    await until(lambda: intake.looks == 1)

    assert intake.looked_for == []
    ears.end()


async def test_the_only_other_runner_looks_at_once_and_of_many_those_with_room_first() -> None:
    ears, _ = hearing(FakeIntake(runners=2))
    assert ears._turn() == 0

    idle, _ = hearing(FakeIntake(runners=10, room=10))
    full, _ = hearing(FakeIntake(runners=10, room=0))
    assert max(idle._turn() for _ in range(100)) <= SPREAD_SECONDS_MAX / 2
    assert min(full._turn() for _ in range(100)) >= max(idle._turn() for _ in range(100)) * 0.5 > 0


@pytest.mark.parametrize(("subject", "listens"), [("exe_here", 1), ("exe_elsewhere", 0), ("", 1)])
async def test_only_who_has_an_execution_looks_for_its_signals(subject: str, listens: int) -> None:
    intake = FakeIntake()
    ears, wakes = hearing(intake, "exe_here")
    told: list[str] = []
    wakes.listen("signals", told.append)
    wakes.tell("signals", subject)
    await until(lambda: bool(told))

    assert intake.listens == listens
    ears.end()


async def test_nothing_is_heard_after_the_end() -> None:
    intake = FakeIntake()
    ears, wakes = hearing(intake, "exe_here")
    wakes.tell("signals", "exe_here")
    ears.end()
    await asyncio.sleep(0)

    assert intake.listens == 0

"""How a worker looks after one actor, with an actor that does what a test says instead of one on Ray."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError

from budflow.credentials.settings_hand_over import Given, SettingsReceiver
from budflow.model.execution import Place
from budflow.settings import Settings
from budflow.storage.blobs.marker import BlobsNotShared
from ray_jobs import kept_runner
from ray_jobs.cluster_runner import RunnerStatus, offer_info
from ray_jobs.kept_runner import KeptRunner, RunnerNotStarted, RunnerPending
from ray_jobs.placement import RayNode, Wanted
from tests.until import until

NAME = "budflow-runner-0123456789ab-0"
NODE = RayNode("0123456789ab" + "0" * 44, "one", {"CPU": 2, "budflow": 2}, {})
GIVEN = Given(Settings(database_url="postgresql://budflow@db.example/budflow"))


class Method:
    """A method of the actor as Ray's handles have them."""

    def __init__(self, call: Callable[..., Awaitable[Any]]) -> None:
        self._call = call

    def options(self, **_options: Any) -> "Method":
        return self

    def remote(self, *args: Any) -> Awaitable[Any]:
        return self._call(*args)


class FakeActor:
    """`fails` is raised by the next calls, the last one for good; a `silent` one never answers."""

    def __init__(self) -> None:
        self.given: Given | None = None
        self.fails: list[Exception | None] = []
        self.refuses: Exception | None = None
        self.silent = False
        self.keepers = 1
        self._receiver = SettingsReceiver(offer_info(NAME))
        self.look, self.offer = Method(self._look), Method(self._offer)
        self.provision, self.leave = Method(self._provision), Method(self._leave)

    async def _answering(self) -> None:
        if self.silent:
            await asyncio.Event().wait()
        if self.fails and (error := self.fails.pop(0)) is not None:
            raise error

    async def _look(self, _keeper: str) -> RunnerStatus:
        await self._answering()
        state: Any = "empty" if self.given is None else "running"
        return RunnerStatus(NAME, state, Place("ray", "one", 1), datetime.now(UTC), "1", "run_1", keepers=self.keepers)

    async def _offer(self) -> bytes:
        return self._receiver.public_key

    async def _provision(self, _key: bytes, sealed: bytes) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.given = self._receiver.open(sealed)

    async def _leave(self, _keeper: str, _seconds: float) -> bool:
        await self._answering()
        return False


class World:
    """The actors that were made, and those that were killed; what Ray says of the last one."""

    def __init__(self) -> None:
        self.next = [FakeActor()]
        self.made: list[FakeActor] = []
        self.killed: list[FakeActor] = []
        self.state = "ALIVE"
        self.free = dict(NODE.resources)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    world = World()

    def make(_self: KeptRunner) -> FakeActor:
        world.made.append(world.next.pop(0) if world.next else FakeActor())
        return world.made[-1]

    def kill(self: KeptRunner) -> None:
        world.killed.append(self._actor)
        self._actor.silent, self._actor.fails = False, [ActorDiedError()]

    monkeypatch.setattr(KeptRunner, "_make", make)
    monkeypatch.setattr(KeptRunner, "_kill", kill)
    monkeypatch.setattr(KeptRunner, "_ray_state", lambda _: world.state)
    monkeypatch.setattr(kept_runner, "available_resources_per_node", lambda: {NODE.id: world.free})
    for name in ("LOOK_SECONDS", "SILENCE_SECONDS", "RETRY_SECONDS", "RESTART_SECONDS_MAX"):
        monkeypatch.setattr(kept_runner, name, 0.01)
    yield world


Keep = Callable[[], KeptRunner]


@pytest.fixture
async def keep(world: World) -> AsyncIterator[Keep]:
    """Begins to look after the actor."""
    begun: list[KeptRunner] = []

    def begin() -> KeptRunner:
        begun.append(KeptRunner(NAME, NODE, Wanted(resources={"budflow": 1}), GIVEN, keeper="k1", siblings=1))
        return begun[-1]

    yield begin
    for runner in begun:
        await runner.let_go()


def is_up(kept: KeptRunner) -> Callable[[], bool]:
    return lambda: kept.status is not None and kept.status.state == "running"


async def test_an_empty_actor_is_handed_its_settings(world: World, keep: Keep) -> None:
    kept = keep()
    await until(is_up(kept))

    assert world.made[0].given == GIVEN
    assert kept.problem is None


async def test_one_that_ray_restarted_is_handed_them_again(world: World, keep: Keep) -> None:
    kept = keep()
    await until(is_up(kept))
    world.made[0].given, world.made[0]._receiver = None, SettingsReceiver(offer_info(NAME))
    world.made[0].fails = [ActorUnavailableError("it died", None)]

    await until(lambda: world.made[0].given == GIVEN)
    assert len(world.made) == 1


async def test_one_that_died_for_good_is_made_anew(world: World, keep: Keep) -> None:
    kept = keep()
    await until(is_up(kept))
    world.made[0].fails = [ActorDiedError()]

    await until(lambda: len(world.made) == 2 and is_up(kept)())
    assert kept.problem is None


async def test_why_one_cannot_be_opened_is_told_and_tried_again(world: World, keep: Keep) -> None:
    refusal = BlobsNotShared("They are elsewhere.")
    world.next[0].refuses = RayTaskError("provision", "", refusal)  # type: ignore[no-untyped-call] # Ray gives it no types
    kept = keep()

    await until(lambda: kept.problem is not None)

    assert isinstance(kept.problem, RunnerNotStarted)
    assert "They are elsewhere." in kept.problem.message
    assert kept.problem.hint == refusal.hint
    world.made[0].refuses, world.made[0]._receiver = None, SettingsReceiver(offer_info(NAME))
    await until(is_up(kept))
    assert kept.problem is None


async def test_one_that_waits_for_what_others_use_says_for_what(world: World, keep: Keep) -> None:
    world.next[0].silent, world.state, world.free = True, "PENDING_CREATION", {"budflow": 0.5}
    kept = keep()

    await until(lambda: kept.problem is not None)

    assert isinstance(kept.problem, RunnerPending)
    assert "budflow=1, of which 0.5 of 2 are free" in kept.problem.message
    assert world.killed == []


async def test_one_whose_process_is_not_up_yet_is_not_taken_for_one_that_waits(world: World, keep: Keep) -> None:
    world.next[0].silent, world.state, world.free = True, "PENDING_CREATION", {"budflow": 1}
    kept = keep()
    looks: list[str] = []
    ask = kept._missing
    kept._missing = lambda: looks.append(ask()) or looks[-1]  # type: ignore[method-assign, func-returns-value] # counts

    await until(lambda: len(looks) > 2)

    assert kept.problem is None


async def test_one_that_does_not_come_back_is_killed_and_made_anew(world: World, keep: Keep) -> None:
    kept = keep()
    await until(is_up(kept))
    world.state, world.made[0].silent = "RESTARTING", True

    await until(lambda: len(world.made) == 2 and is_up(kept)())
    assert world.killed == [world.made[0]]


async def test_leaving_waits_for_one_that_is_being_restarted(world: World, keep: Keep) -> None:
    kept = keep()
    await until(is_up(kept))
    await kept.let_go()
    world.made[0].fails = [ActorUnavailableError("it died", None), None]

    assert await kept.leave(0, 10) is False
    assert world.killed == []


@pytest.mark.parametrize(("keepers", "killed"), [(1, True), (2, False)])
async def test_one_that_does_not_drain_is_killed_unless_others_keep_it(
    world: World, keep: Keep, keepers: int, killed: bool
) -> None:
    world.next[0].keepers = keepers
    kept = keep()
    await until(is_up(kept))
    await kept.let_go()
    world.made[0].silent = True

    assert await kept.leave(0, 0.05) is killed
    assert bool(world.killed) is killed

"""The pool of runner actors: which there are, how busy they are, and their way back after a death."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError

from budflow.errors import BudflowError
from budflow.model.execution import Place
from ray_jobs.runner import OpenRunner, RunnerActor
from ray_jobs.segment_policy import NO_POLICY, SegmentPolicy

#: Polls that may be open at the same time in one actor; a poll without news ends, so more runs only wait longer.
CONCURRENCY = 1_000
RESTART_SECONDS_MAX = 60.0
READY_SECONDS_MAX = 60.0


class RunnerLost(BudflowError):
    """The runner actor that advanced this execution died."""

    code = "ray.runner_lost"
    http_status = 503
    hint = "The execution stays unfinished; what it did so far stands in its journal."


@dataclass(slots=True, eq=False)
class Runner:
    """One runner actor as its owner sees it. `executions` are those it advances now."""

    name: str
    actor: Any
    place: Place
    executions: set[str] = field(default_factory=set)
    alive: asyncio.Event = field(default_factory=asyncio.Event)

    def to_json(self) -> dict[str, Any]:
        """For `budflow status`."""
        shape = {"actor": self.name, "alive": self.alive.is_set(), "executions": len(self.executions)}
        return {**shape, "host": self.place.host, "pid": self.place.pid, "ray_node": self.place.ray_node}


class Pool:
    """Runner actors, made once and kept: Ray restarts one that died, empty, under the same handle."""

    def __init__(self, runners: list[Runner]) -> None:
        self.runners = runners
        self._coming_back: dict[str, asyncio.Task[None]] = {}

    @staticmethod
    def open(
        size: int,
        runner: str,
        http_allow: tuple[str, ...],
        open_runner: OpenRunner,
        *,
        local: bool,
        policy: SegmentPolicy = NO_POLICY,
    ) -> "Pool":
        """Make the actors and wait until they answer; blocks. Raises a RayError or GetTimeoutError.

        They die with the driver: an actor whose owner is gone has nobody to report to.
        """
        # Ray repeats nothing: whatever was under way when an actor died is for the journal to say.
        lasting = {"max_restarts": -1, "max_task_retries": 0, "max_concurrency": CONCURRENCY}
        remote: Any = ray.remote(RunnerActor)
        # On a cluster Ray's default keeps actors off nodes without CPUs, the head's and the mains'; here is one node.
        own: dict[str, Any] = {"num_cpus": 0} if local else {"scheduling_strategy": "SPREAD"}
        names = [f"runner-{number}" for number in range(size)]
        actors = [
            remote.options(name=f"{runner}/{name}", **lasting, **own).remote(
                name, runner, http_allow, open_runner, policy
            )
            for name in names
        ]
        places = ray.get([actor.place.remote() for actor in actors], timeout=READY_SECONDS_MAX)
        pool = Pool([Runner(*made) for made in zip(names, actors, places, strict=True)])
        for made in pool.runners:
            made.alive.set()
        return pool

    def pick(self, *, apart_from: str | None) -> Runner:
        """The runner with the fewest executions; where there is another, not the one that has `apart_from`."""

        def cost(runner: Runner) -> tuple[bool, bool, int]:
            return (not runner.alive.is_set(), apart_from in runner.executions, len(runner.executions))

        return min(self.runners, key=cost)

    async def ready(self, runner: Runner) -> None:
        """Until the runner is alive. Raises RunnerLost when it does not come back."""
        try:
            async with asyncio.timeout(RESTART_SECONDS_MAX):
                await runner.alive.wait()
        except TimeoutError:
            raise RunnerLost(f"{runner.name} did not come back within {RESTART_SECONDS_MAX:g} s.") from None

    def lost(self, runner: Runner) -> None:
        """A call found the runner dead: use it again only when its restarted actor answers."""
        runner.alive.clear()
        task = self._coming_back.get(runner.name)
        if task is None or task.done():
            self._coming_back[runner.name] = asyncio.get_running_loop().create_task(self._come_back(runner))

    async def close(self) -> None:
        """Stop waiting for actors that died."""
        for task in self._coming_back.values():
            task.cancel()
        await asyncio.gather(*self._coming_back.values(), return_exceptions=True)

    def kill(self) -> None:
        """End every actor, for good; blocks a few milliseconds. On a cluster they would go some seconds later."""
        for runner in self.runners:
            ray.kill(runner.actor, no_restart=True)

    async def _come_back(self, runner: Runner) -> None:
        while not runner.alive.is_set():
            try:
                runner.place = await runner.actor.place.remote()
            except RayError:
                await asyncio.sleep(0.2)
            else:
                runner.alive.set()

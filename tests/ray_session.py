"""The one local Ray of a test session: its cluster and actors are started once, executors over them per test."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from budflow.execution.lists import ListStore
from budflow.runner import open_hand_over
from budflow.settings import Settings
from budflow.storage.blobs.directory import DirectoryBlobs
from tests.execution.heavy_nodes import RUNTIME_ENVS, open_test_runner
from tests.execution.office import RUNNER

if TYPE_CHECKING:
    from ray_jobs.executor import RayExecutor

#: What its node has as the label ray.io/availability-zone.
ZONE = "near-1"
#: With so little room each image of the sandbox that nobody uses any more is collected at once.
CACHE_GB = "0.000000001"


@dataclass
class RaySession:
    """A running Ray with two CPUs and two runner actors."""

    directory: Path
    opened: "RayExecutor"

    @asynccontextmanager
    async def executor(self) -> AsyncIterator["RayExecutor"]:
        """An executor for one event loop, over the session's actors, all of them alive."""
        from ray_jobs.executor import RayExecutor
        from ray_jobs.pool import Pool, Runner

        shared = self.opened.pool.runners
        places = await asyncio.gather(*(_place_of(runner.actor) for runner in shared))
        runners = [Runner(old.name, old.actor, place) for old, place in zip(shared, places, strict=True)]
        for runner in runners:
            runner.alive.set()

        class Sharing(RayExecutor):
            async def close(self) -> None:
                await self.let_go()  # Ray stays, for the other tests.

        executor = Sharing(self.opened.cluster, self.opened.joined, Pool(runners), open_hand_over())
        yield executor
        await executor.close()


async def _place_of(actor: Any) -> Any:
    """Where an actor is, once it is back: the test before may have killed it."""
    from ray.exceptions import RayActorError

    async with asyncio.timeout(60):
        while True:
            try:
                return await actor.place.remote()
            except RayActorError:
                await asyncio.sleep(0.1)


@contextmanager
def open_session() -> Iterator[RaySession]:
    """Start Ray, and end it without a trace."""
    from ray_jobs.open import open_ray

    # Ray's sockets need a short path, which pytest's own directories have not.
    with tempfile.TemporaryDirectory(prefix="budflow-test-ray-", dir="/tmp") as directory:
        data_dir = Path(directory)
        settings = Settings(data_dir=data_dir, ray_runners=2, http_allow=("127.0.0.1",), ray_runtime_envs=RUNTIME_ENVS)
        opener = partial(open_test_runner, lists=ListStore(DirectoryBlobs(data_dir / "blobs")))
        with patch.dict(os.environ, {"RAY_NODE_ZONE": ZONE, "RAY_RUNTIME_ENV_BUDFLOW_SANDBOX_CACHE_SIZE_GB": CACHE_GB}):
            session = RaySession(data_dir, open_ray(settings, RUNNER, opener, num_cpus=2))
        try:
            yield session
        finally:
            asyncio.run(session.opened.close())


def processes_naming(text: str) -> list[str]:
    """The command lines, of this machine's other processes, that contain a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # It has just ended.
            if text in command:
                found.append(command)
    return found

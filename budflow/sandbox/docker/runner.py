"""The runner that starts workers in containers: it meets WorkerRunner (budflow/sandbox/runners.py) with Docker."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from budflow.log import get_log
from budflow.model.sandbox import Isolation, SandboxUnavailable
from budflow.sandbox.docker.created import created
from budflow.sandbox.docker.engine import Engine
from budflow.sandbox.docker.hardening import OWNER_LABEL, Container, container_config
from budflow.sandbox.docker.images import Images
from budflow.sandbox.docker.watch import LOOK_SECONDS, Watch
from budflow.sandbox.runners import End, Limits, OnProgress, WorkerKind

#: Calls to the engine at once; a start takes it 0.1 to 0.3 s.
CALLS_MAX = 6

LIMITS = Limits()

T = TypeVar("T")
log = get_log(__name__)


@dataclass
class DockerWorker:
    """A container that was started; meets StartedWorker."""

    id: str
    runner: "DockerRunner"
    ended: asyncio.Future[End] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    out_of_memory: bool = False
    found: End | None = None

    async def wait(self) -> End:
        """See StartedWorker."""
        return await asyncio.shield(self.ended)

    async def kill(self) -> None:
        """See StartedWorker."""
        await self.runner.remove(self)

    def end(self, end: End) -> None:
        """Tell who waits; the first word counts."""
        if not self.ended.done():
            self.ended.set_result(End("out_of_memory", end.status) if self.out_of_memory else end)


class DockerRunner:
    """Starts hardened containers. `owner` is the daemon's id: what it left behind is removed at its next start."""

    isolation: Isolation = "docker"

    def __init__(self, engine: Engine, owner: str, images: Images, runtime: str, limits: Limits) -> None:
        """Use `open`."""
        self._engine = engine
        self._owner = owner
        self._images = images
        self._runtime = runtime
        self._limits = limits
        self._executor = ThreadPoolExecutor(CALLS_MAX, thread_name_prefix="docker")
        self._workers: dict[str, DockerWorker] = {}
        self._watch = Watch(engine, OWNER_LABEL, owner, self._on_event)
        self._looking = asyncio.create_task(self._look())
        self._endings: set[asyncio.Task[None]] = set()
        self._left: set[str] = set()  # What the engine did not remove when it was asked to.

    @classmethod
    async def open(
        cls, engine: Engine, owner: str, images: Images, *, runtime: str = "runc", limits: Limits = LIMITS
    ) -> "DockerRunner":
        """Remove what an earlier run left, and stand ready. Raises SandboxUnavailable."""
        described = await asyncio.to_thread(engine.describe)
        if runtime not in described["runtimes"]:
            raise SandboxUnavailable(
                f"Docker has no runtime {runtime!r}",
                hint=f"Set `sandbox_runtime` to one of those it has: {', '.join(described['runtimes'])}.",
            )
        runner = cls(engine, owner, images, runtime, limits)
        try:
            images.remove_old_locks()
            await runner._call(runner._remove_leftovers)
        except BaseException:
            await runner.close()
            raise
        return runner

    async def prepare(self, requirements: Sequence[str], on_progress: OnProgress) -> str:
        """See WorkerRunner."""
        return await self._images.prepare(requirements, on_progress)

    async def start(self, kind: WorkerKind, sockets: Path, environment: Mapping[str, str]) -> DockerWorker:
        """See WorkerRunner."""
        config = container_config(
            Container(
                owner=self._owner,
                role="worker",
                image=kind.image,
                memory_mb=kind.memory_mb,
                sockets=sockets,
                limits=self._limits,
                internet=kind.egress,
                runtime=self._runtime,
                environment=environment,
            )
        )
        try:
            worker = DockerWorker(await created(self._engine, config, self._call), self)
        except SandboxUnavailable:
            self._images.forget(kind.image)  # It may have been removed: then it is made anew.
            raise
        self._workers[worker.id] = worker  # Before it starts, so that no event is missed.
        try:
            await self._call(self._engine.start, worker.id)
        except BaseException:
            await asyncio.shield(self.remove(worker))
            raise
        return worker

    async def remove(self, worker: DockerWorker) -> None:
        """End a container with all its processes, and remove it."""
        if self._workers.pop(worker.id, None) is None:
            return
        try:
            await asyncio.shield(self._call(self._remove, worker))
        finally:
            worker.end(worker.found or End("killed"))

    def _remove(self, worker: DockerWorker) -> None:
        """In a thread. How it ended by itself, just before, is asked first."""
        with contextlib.suppress(SandboxUnavailable):
            worker.found = _end_of(self._engine.state(worker.id))
        try:
            self._engine.remove(worker.id)
        except SandboxUnavailable:
            self._left.add(worker.id)
            raise

    def _remove_left(self) -> None:
        """In a thread."""
        for container_id in tuple(self._left):
            self._engine.remove(container_id)
            self._left.discard(container_id)

    async def image_bytes(self, image: str) -> int:
        """See KeepsImages."""
        return await self._call(self._images.own_bytes, image)

    async def remove_image(self, image: str) -> int:
        """See KeepsImages."""
        return await self._call(self._images.remove, image)

    async def describe(self) -> Mapping[str, Any]:
        """See WorkerRunner."""
        return {
            **await self._call(self._engine.describe),
            "runtime": self._runtime,
            "containers": len(self._workers),
            **await self._call(self._images.describe),
        }

    async def close(self) -> None:
        """See WorkerRunner."""
        self._looking.cancel()
        await asyncio.gather(self._looking, return_exceptions=True)
        for worker in list(self._workers.values()):
            try:
                await self.remove(worker)
            except SandboxUnavailable as error:
                log.warning("sandbox.container_left", container=worker.id, reason=error.message)
        await asyncio.gather(*self._endings, return_exceptions=True)
        await self._watch.close()
        await asyncio.to_thread(self._executor.shutdown)
        self._engine.close()

    def _remove_leftovers(self) -> None:
        for container_id in self._engine.containers_labelled(OWNER_LABEL, self._owner):
            self._engine.remove(container_id)

    def _on_event(self, container_id: str, what: str) -> None:
        worker = self._workers.get(container_id)
        if worker is None:
            return
        if what == "oom":
            worker.out_of_memory = True
            return
        ending = asyncio.create_task(self._ended(worker))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def _ended(self, worker: DockerWorker) -> None:
        with contextlib.suppress(SandboxUnavailable):
            await self._tell_end(worker)
        worker.end(End("exited"))

    async def _look(self) -> None:
        """Find containers whose end was missed, and end those that are still there against our will."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for worker in list(self._workers.values()):
                if not worker.ended.done():
                    try:
                        await self._tell_end(worker)
                    except SandboxUnavailable:
                        break
            if self._left:
                with contextlib.suppress(SandboxUnavailable):
                    await self._call(self._remove_left)

    async def _tell_end(self, worker: DockerWorker) -> None:
        """Ask how a container ended, if it did."""
        state = await self._call(self._engine.state, worker.id)
        end = End("exited") if state is None else _end_of(state)
        if end is not None:
            worker.end(end)

    def _call(self, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._executor, function, *args)


def _end_of(state: Mapping[str, Any] | None) -> End | None:
    """How a container ended, of which the engine tells this; None while it runs, or where there is none."""
    if state is None or state["Status"] not in {"exited", "removing", "dead"}:
        return None
    return End("out_of_memory" if state["OOMKilled"] else "exited", int(state["ExitCode"]))

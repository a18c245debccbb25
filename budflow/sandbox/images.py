"""Images by requirements: prepared by the runner once, however many wait for them, and remembered for a while."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from budflow.model.sandbox import SandboxUnavailable
from budflow.sandbox.runners import KeepsImages, OnProgress, WorkerRunner

REMEMBERED_MAX = 1_000
#: The runner says which versions the requirements mean now, and whether the image is still there.
REMEMBERED_SECONDS = 300.0
Requirements = tuple[str, ...]


@dataclass(slots=True)
class _Building:
    task: "asyncio.Task[str]"
    listeners: list[OnProgress] = field(default_factory=list)


class Images:
    """What `WorkerRunner.prepare` gave. A build ends when nobody waits for it any more."""

    def __init__(self, runner: WorkerRunner) -> None:
        self._runner = runner
        self._known: dict[Requirements, tuple[str, float]] = {}
        self._found: set[str] = set()
        self._building: dict[Requirements, _Building] = {}

    async def image(self, requirements: Requirements, on_progress: OnProgress) -> str:
        """The digest for these requirements. Raises RequirementsFailed, SandboxUnavailable."""
        requirements = tuple(sorted(set(requirements)))
        known, until = self._known.get(requirements, ("", 0.0))
        if until > time.monotonic():
            return known
        building = self._building.get(requirements) or self._build(requirements)
        building.listeners.append(on_progress)
        try:
            return await asyncio.shield(building.task)
        finally:
            building.listeners.remove(on_progress)
            if not building.listeners:
                building.task.cancel()
                self._forget_building(requirements, building.task)

    async def require(self, image: str) -> None:
        """Raises SandboxUnavailable where it is no image of the sandbox, or is not there."""
        if image in self._found or any(known == image for known, _ in self._known.values()):
            return
        if not isinstance(self._runner, KeepsImages):
            raise SandboxUnavailable("This sandbox has no images: it isolates by processes.")
        await self._runner.image_bytes(image)
        self._found.add(image)

    def forget(self, image: str) -> None:
        """It was removed, or may have been: no worker could be started with it."""
        self._known = {needs: known for needs, known in self._known.items() if known[0] != image}
        self._found.discard(image)

    def _forget_building(self, requirements: Requirements, task: "asyncio.Task[str]") -> None:
        building = self._building.get(requirements)
        if building is not None and building.task is task:
            del self._building[requirements]

    def _build(self, requirements: Requirements) -> _Building:
        listeners: list[OnProgress] = []
        task = asyncio.create_task(self._prepare(requirements, _tell(listeners)))
        building = self._building[requirements] = _Building(task, listeners)
        task.add_done_callback(lambda done: self._forget_building(requirements, done))
        return building

    async def _prepare(self, requirements: Requirements, on_progress: OnProgress) -> str:
        image = await self._runner.prepare(requirements, on_progress)
        if len(self._known) >= REMEMBERED_MAX:
            self._known.clear()  # They are asked for again, and are there.
        self._known[requirements] = (image, time.monotonic() + REMEMBERED_SECONDS)
        return image


def _tell(listeners: list[OnProgress]) -> Callable[[str], None]:
    def tell(line: str) -> None:
        for listener in list(listeners):
            listener(line)

    return tell

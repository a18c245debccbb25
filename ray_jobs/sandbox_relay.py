"""The sandbox relay: an actor with the runtime environment `budflow_sandbox`, between runners and its node's sandboxd.

Its process is a plain Ray worker of ours, which runs nobody's code: that runs where sandboxd starts it. Relays are
shared by all runners of a cluster, by their names, and end by themselves when nobody needs them.
"""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import ray
from ray._private.state import actors
from ray.exceptions import RayError

from budflow.log import configure, get_log
from budflow.model.item import Json
from budflow.model.log import Level
from budflow.model.sandbox import SandboxUnavailable
from ray_jobs.blobs import Content
from ray_jobs.sandbox_env import IMAGE_VARIABLE, NO_IMAGE
from ray_jobs.sandbox_node import run_code
from ray_jobs.sandbox_wire import log_frame, pack_frames, part_frame, unpack_task

LOOK_SECONDS = 0.5
#: Frames that wait for Ray to take them; the code waits when there are more.
FRAMES_MAX = 64

#: How often it is looked whether who asked for the code still lives.
CALLERS_SECONDS = 2.0

#: The id of an actor and its process, which a restarted one has no more; None for who is no actor.
Caller = tuple[str, int] | None

log = get_log(__name__)


class SandboxRelay:
    """Runs the code of one project, in containers of one image, on one Ray node."""

    def __init__(self, name: str, project_id: str, image: str, idle_seconds: float) -> None:
        """It ends when nobody has used it for `idle_seconds`.

        `image` is what the runtime environment must have prepared: else the plugin is missing on this node.
        """
        configure("info")  # On stderr, which Ray keeps in a file for each worker.
        self._name, self._project_id = name, project_id
        self._image = "" if image == NO_IMAGE else image
        self._prepared = os.environ.get(IMAGE_VARIABLE) == image
        self._running, self._used_at = 0, time.monotonic()
        self._runs: dict[Caller, set[asyncio.Task[None]]] = {}
        self._watching = asyncio.get_running_loop().create_task(self._watch())
        self._idling = asyncio.get_running_loop().create_task(self._idle(idle_seconds))
        log.info("relay.started", relay=name, image=image)

    def __repr__(self) -> str:
        """How Ray's dashboard and logs call it."""
        return self._name

    async def use(self) -> None:
        """Stay: a task is coming. Raises SandboxUnavailable where this node has no such runtime environments."""
        self._used_at = time.monotonic()
        if not self._prepared:
            raise SandboxUnavailable(
                "The Ray node of the sandbox did not prepare its image: it runs without the plugin.",
                hint="Start nodes with the resource `sandbox` with RAY_RUNTIME_ENV_PLUGINS; see the guide.",
            )

    async def idle_seconds(self) -> float:
        """For how long nobody has used it; 0 while it runs something."""
        return 0.0 if self._running else time.monotonic() - self._used_at

    async def run(
        self, caller: Caller, ticket: str, head: bytes, *parts: bytes | Content
    ) -> AsyncGenerator[bytes, None]:
        """Run a packed task and give messages of frames, as they come. `ticket` lets this process ask for it.

        Raises what SandboxCapability says.
        """
        self._running += 1
        frames = Frames()
        running = asyncio.get_running_loop().create_task(self._pump(ticket, head, parts, frames))
        running.add_done_callback(lambda _: frames.end())
        self._runs.setdefault(caller, set()).add(running)
        try:
            while message := await frames.take():
                yield pack_frames(message)
            await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            self._runs.get(caller, set()).discard(running)
            self._running -= 1
            self._used_at = time.monotonic()

    async def leave(self, idle_seconds: float) -> bool:
        """End where nobody has used it for so long, else False. The caller meets its end as an error."""
        if self._running or await self.idle_seconds() < idle_seconds:
            return False
        log.info("relay.leaves", relay=self._name)
        self._idling.cancel()
        ray.actor.exit_actor()  # type: ignore[no-untyped-call] # Ray gives it no types
        return True

    async def _pump(self, ticket: str, head: bytes, parts: tuple[bytes | Content, ...], frames: "Frames") -> None:
        task = unpack_task(head, parts)
        async with aclosing(run_code(ticket, self._project_id, self._image, task, FrameLog(frames))) as given:
            async for part in given:
                frames.add(part_frame(part))
                await frames.room()

    async def _watch(self) -> None:
        """End what runs for actors that died: Ray lets a call go on whose caller is gone."""
        while True:
            await asyncio.sleep(CALLERS_SECONDS)
            self._runs = {caller: runs for caller, runs in self._runs.items() if runs}
            for caller, runs in [*self._runs.items()]:
                if caller is not None and await asyncio.to_thread(_died, *caller):
                    log.warning("relay.caller_died", relay=self._name, actor=caller[0], runs=len(runs))
                    for running in [*runs]:
                        running.cancel()

    async def _idle(self, idle_seconds: float) -> None:
        me = ray.get_runtime_context().current_actor
        while True:
            await asyncio.sleep(max(LOOK_SECONDS, idle_seconds - await self.idle_seconds()))
            if await self.idle_seconds() >= idle_seconds:
                me.leave.remote(idle_seconds)  # Only a call can end an actor so that Ray takes it for meant.


def caller_here() -> Caller:
    """This process, as one that asks for code."""
    actor_id = ray.get_runtime_context().get_actor_id()
    return None if actor_id is None else (actor_id, os.getpid())


def _died(actor_id: str, pid: int) -> bool:
    try:
        shape = actors(actor_id)
    except (RayError, RuntimeError, OSError):
        return False  # Ray's head is away, and nobody knows.
    return bool(shape) and (shape["State"] in ("DEAD", "RESTARTING") or shape["Pid"] not in (0, pid))


class Frames:
    """Frames on their way out of one task, in order."""

    def __init__(self) -> None:
        self._waiting: list[Json] = []
        self._news, self._taken, self._over = asyncio.Event(), asyncio.Event(), False

    def add(self, frame: Json) -> None:
        """Returns at once."""
        self._waiting.append(frame)
        self._news.set()

    def end(self) -> None:
        """No more will come."""
        self._over = True
        self._news.set()

    async def room(self) -> None:
        """Until there is room for more."""
        while len(self._waiting) >= FRAMES_MAX:
            self._taken.clear()
            await self._taken.wait()

    async def take(self) -> list[Json]:
        """All that wait, when there are any; none at the end."""
        while not self._waiting and not self._over:
            self._news.clear()
            await self._news.wait()
        taken, self._waiting = self._waiting, []
        self._taken.set()
        return taken


class FrameLog:
    """Meets LogCapability: what the code logs becomes frames."""

    def __init__(self, frames: Frames, item: int | None = None) -> None:
        self._frames, self._item = frames, item

    def debug(self, message: str, /, **fields: Any) -> None:
        """See LogCapability."""
        self._add("debug", message, fields)

    def info(self, message: str, /, **fields: Any) -> None:
        """See LogCapability."""
        self._add("info", message, fields)

    def warning(self, message: str, /, **fields: Any) -> None:
        """See LogCapability."""
        self._add("warning", message, fields)

    def error(self, message: str, /, **fields: Any) -> None:
        """See LogCapability."""
        self._add("error", message, fields)

    def for_item(self, index: int) -> "FrameLog":
        """See LogCapability."""
        return FrameLog(self._frames, index)

    def _add(self, level: Level, message: str, fields: Mapping[str, Any]) -> None:
        self._frames.add(log_frame(level, message, fields, self._item))

"""The cluster runner: a detached actor that is a whole worker, with its own connection, lease and claims.

Ray starts it empty, and restarts it empty after a death: a worker process looks at it, finds it so, and hands it the
settings, sealed for this one process. From then on it needs nobody. A second process of the same name, as there may be
when Ray took a living one for dead, is another runner with another lease: what either holds is fenced by tokens.
"""

import asyncio
import os
import socket
import time
from collections import OrderedDict
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Literal

import ray

from budflow import __version__
from budflow.credentials.settings_hand_over import SettingsNotHandedOver, SettingsReceiver
from budflow.execution import interpreter
from budflow.execution.hand_over import TicketRefused
from budflow.log import configure, get_log
from budflow.model.blobs import BlobsClosed
from budflow.model.execution import Place
from budflow.model.identity import utc_now
from budflow.model.item import BlobRef
from budflow.runner import open_hand_over, open_runner
from budflow.settings import Settings
from budflow.worker import Worker, open_worker
from ray_jobs.segment_policy import SegmentPolicy
from ray_jobs.segments import RaySegments

#: A worker that has not looked for so long keeps this actor no more.
KEEPER_SECONDS = 5.0
#: Keys for which settings may be sealed at the same time, by several workers.
OFFERS_MAX = 16
RAYLET_LOOK_SECONDS = 1.0
#: For how long an actor whose node died under it lets its executions end.
ORPHAN_DRAIN_SECONDS = 60.0

log = get_log(__name__)


@dataclass(frozen=True, slots=True)
class RunnerStatus:
    """What an actor says of itself. `runner` is its id in the database, None until it is provisioned."""

    name: str
    state: Literal["empty", "running", "draining"]
    place: Place
    since: datetime
    release: str
    runner: str | None = None
    running: int = 0
    running_max: int = 0
    keepers: int = 0

    def to_json(self) -> dict[str, Any]:
        """For `budflow worker`."""
        return {
            "actor": self.name,
            "state": self.state,
            "runner": self.runner,
            "running": self.running,
            "running_max": self.running_max,
            "host": self.place.host,
            "pid": self.place.pid,
            "ray_node": self.place.ray_node,
            "since": self.since.isoformat(),
            "release": self.release,
            "keepers": self.keepers,
        }


def offer_info(name: str) -> bytes:
    """What sealed settings are bound to, beside the key that they are sealed for: the name of the actor."""
    return f"budflow/cluster-runner/{name}".encode()


class ClusterRunner:
    """One actor of the pool of `budflow worker --ray`. Everything here runs on its one event loop."""

    def __init__(self, name: str, node: str) -> None:
        """`node` is the id of the Ray node that it is placed on."""
        configure("info")  # On stderr, which Ray keeps in a file for each worker.
        self._name = name
        self._place = Place("ray", socket.gethostname(), os.getpid(), name, node)
        self._since = utc_now()
        self._receivers: OrderedDict[bytes, SettingsReceiver] = OrderedDict()
        self._keepers: dict[str, float] = {}
        self._opening, self._opened = asyncio.Lock(), AsyncExitStack()
        self._worker: Worker | None = None
        self._segments: RaySegments | None = None
        self._draining = False
        self._watching = asyncio.get_running_loop().create_task(self._watch_raylet(os.getppid()))

    def __repr__(self) -> str:
        """How Ray's dashboard and logs call it."""
        return self._name

    async def look(self, keeper: str) -> RunnerStatus:
        """What this actor is doing. `keeper` is the worker that asks: while it does, this actor stays."""
        self._keepers[keeper] = time.monotonic()
        status = RunnerStatus(
            self._name, self._state(), self._place, self._since, __version__, keepers=len(self._living_keepers())
        )
        if self._worker is None:
            return status
        supervisor = self._worker.supervisor
        figures = supervisor.status()
        return replace(status, runner=supervisor.runner, running=figures["running"], running_max=figures["running_max"])

    async def offer(self) -> bytes:
        """A public key, for which settings may be sealed with `offer_info`, for `provision`. Each is good for once."""
        receiver = SettingsReceiver(offer_info(self._name))
        self._receivers[receiver.public_key] = receiver
        if len(self._receivers) > OFFERS_MAX:
            self._receivers.popitem(last=False)
        return receiver.public_key

    async def provision(self, public_key: bytes, sealed: bytes) -> None:
        """Become a living runner with the settings that were sealed for an offer; nothing happens where this is one.

        Raises SettingsNotHandedOver, and what `open_worker` raises: then it is as empty as before.
        """
        receiver = self._receivers.pop(public_key, None)
        if receiver is None:
            raise SettingsNotHandedOver("No such key was offered, or it was used.")
        given = receiver.open(sealed)
        async with self._opening:
            if self._worker is None and not self._draining:
                os.environ.update(given.variables)  # Of this process alone: nothing that Ray starts inherits them.
                await self._open(given.settings)

    async def hand_over_to_segment(self, number: int, question: bytes) -> bytes:
        """Sealed credentials for the task of a heavy segment, which asks. Raises TicketRefused."""
        if self._segments is None:
            raise TicketRefused
        return await self._segments.answer(number, question)

    async def find_blob_for_segment(self, number: int, ref: BlobRef, anew: bool) -> list[Any]:
        """Ray's reference to the content of a blob, for the task of a heavy segment, in a list, so that Ray passes the
        reference itself. Raises as RaySegments.find_blob.
        """
        return [await self._segments_open().find_blob(number, ref, anew=anew)]

    async def take_blob_of_segment(self, number: int, contents: list[Any], ref: BlobRef) -> BlobRef:
        """Make durable what such a task wrote: a list of one reference. Raises as RaySegments.take_blob."""
        return await self._segments_open().take_blob(number, contents[0], ref)

    async def hear_segment(self, number: int, told: bytes) -> None:
        """What the task of a heavy segment logs while it runs."""
        if self._segments is not None:
            self._segments.hear(number, told)

    async def drop(self, execution_id: str, token: int) -> bool:
        """Give up an execution that is held by an older claim than `token`, which somebody else has; whether it was."""
        return self._worker is not None and self._worker.supervisor.drop(execution_id, token)

    async def leave(self, keeper: str, seconds: float) -> bool:
        """A keeper goes. False where another one stays; else this actor drains for at most so long, and ends.

        The caller meets its end as an error, in place of an answer. Ray does not restart it.
        """
        self._keepers.pop(keeper, None)
        if self._living_keepers():
            return False
        await self._drain(seconds)
        ray.actor.exit_actor()  # type: ignore[no-untyped-call] # Ray gives it no types
        return True

    def _segments_open(self) -> RaySegments:
        if self._segments is None:
            raise BlobsClosed
        return self._segments

    def _state(self) -> Literal["empty", "running", "draining"]:
        if self._draining:
            return "draining"
        return "empty" if self._worker is None else "running"

    def _living_keepers(self) -> list[str]:
        since = time.monotonic() - KEEPER_SECONDS
        return [keeper for keeper, looked_at in self._keepers.items() if looked_at >= since]

    async def _open(self, settings: Settings) -> None:
        configure(settings.log_level)
        interpreter.tune()
        policy = SegmentPolicy.of(settings)
        segments = RaySegments(partial(open_runner, settings.http_allow, file_roots=settings.file_roots), policy)
        segments.hand_over = open_hand_over()
        self._worker = await self._opened.enter_async_context(
            open_worker(settings, kind="ray", place=self._place, heavy=segments, sandbox=policy.sandbox)
        )
        self._segments, self._since = segments, utc_now()
        interpreter.keep()
        log.info("runner.opened", actor=self._name, runner=self._worker.supervisor.runner)

    async def _drain(self, seconds: float) -> None:
        """Claim no more, let what runs end, give the rest back."""
        self._draining = True
        async with self._opening:
            log.info("runner.draining", actor=self._name)
            if self._worker is not None:
                await self._worker.drain(seconds)
            await self._opened.aclose()

    async def _watch_raylet(self, raylet: int) -> None:
        """End this process when Ray on this machine is gone, after what it runs: nobody else would ever end it.

        A raylet that is killed alone leaves its actors behind, and Ray takes them for dead; one that is cut off from
        the head ends itself after a minute, and them with it. Until then the lease in the database says who may write.
        """
        while os.getppid() == raylet:  # noqa: ASYNC110 - only the system knows of it
            await asyncio.sleep(RAYLET_LOOK_SECONDS)
        log.warning("runner.orphaned", actor=self._name)
        await self._drain(ORPHAN_DRAIN_SECONDS)
        os._exit(0)

"""One runner actor as a worker keeps it: made, looked at, provisioned, and made anew where it does not come back."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

import ray
from ray._private.state import actors, available_resources_per_node
from ray.exceptions import ActorDiedError, ActorUnschedulableError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from budflow.credentials.settings_hand_over import Given, seal_settings
from budflow.errors import BudflowError
from budflow.log import get_log
from ray_jobs.cluster import NAMESPACE
from ray_jobs.cluster_runner import ClusterRunner, RunnerStatus, offer_info
from ray_jobs.placement import RayNode, Wanted, options_of

#: Calls that may be under way in an actor at the same time: workers that look, and tasks that ask for credentials.
CONCURRENCY = 500
LOOK_SECONDS = 0.5
#: After so long without an answer it is asked what Ray knows of the actor.
SILENCE_SECONDS = 5.0
#: One that Ray restarts for longer is made anew.
RESTART_SECONDS_MAX = 20.0
#: One that lives and does not answer for longer is ended. Its lease ends when its loop has stalled for 60 s.
STALL_SECONDS_MAX = 90.0
#: Until it is tried again to make an actor, or to provision it.
RETRY_SECONDS = 3.0

T = TypeVar("T")
log = get_log(__name__)


class RunnerPending(BudflowError):
    """A runner actor waits for resources of its Ray node, which others use."""

    code = "ray.cluster_full"
    http_status = 503
    hint = "Wait for what uses them, add a node, or ask for less by `--resource` or `--runners`."


class RunnerNotStarted(BudflowError):
    """A runner actor could not be started on its Ray node."""

    code = "ray.runner_not_started"
    http_status = 503
    hint = "Every node needs the same BudFlow, Ray and Python as this worker; logs under Ray's directory say more."


class KeptRunner:
    """Looks after one actor until it is let go. Ray's handle is made in a thread: making one waits for the head."""

    def __init__(self, name: str, node: RayNode, wanted: Wanted, given: Given, *, keeper: str, siblings: int) -> None:
        """`keeper` is the worker that keeps it; of its node `siblings` are wanted, itself among them."""
        self.name, self.node = name, node
        self.status: RunnerStatus | None = None
        self.problem: BudflowError | None = None
        self._wanted, self._given, self._keeper = wanted, given, keeper
        self._siblings, self._began = siblings, False
        self._actor: Any = None
        self._making: asyncio.Future[Any] | None = None
        self._task = asyncio.get_running_loop().create_task(self._look_after())

    def to_json(self) -> dict[str, Any]:
        """For `budflow worker`."""
        if self.status is None:
            state = "away" if self._began else "starting"
            return {"actor": self.name, "state": state, "ray_node": self.node.id, "host": self.node.host}
        return self.status.to_json()

    def forget(self) -> None:
        """Look after it no more."""
        self._task.cancel()

    async def let_go(self) -> None:
        """The same, and wait until that is so."""
        self.forget()
        await asyncio.gather(self._task, return_exceptions=True)

    async def leave(self, drain_seconds: float, more_seconds: float) -> bool:
        """Keep it no more: whether it ended, because no other worker keeps it. One that does not drain is killed."""
        await self.let_go()
        if self._actor is None and self._making is not None:
            self._actor = await self._making  # A thread goes on when its task is cancelled.
        if self._actor is None:
            return False
        try:
            async with asyncio.timeout(drain_seconds + more_seconds):
                return await self._told_to_leave(drain_seconds)
        except TimeoutError:
            alone = self.status is None or self.status.keepers <= 1
            log.warning("runner.not_drained", actor=self.name, killed=alone)
            if alone:  # Else it is for the others to find out what ails it.
                await asyncio.to_thread(self._kill)
            return alone

    async def _told_to_leave(self, drain_seconds: float) -> bool:
        while True:
            try:
                ended: bool = await self._actor.leave.remote(self._keeper, drain_seconds)
                return ended
            except (ActorDiedError, ActorUnschedulableError):
                return True  # So an actor that ends answers, and one that had ended before.
            except RayError:
                await asyncio.sleep(LOOK_SECONDS)  # Ray is restarting it.

    async def _look_after(self) -> None:
        while True:
            pause = LOOK_SECONDS
            try:
                await self._look()
            except (ActorDiedError, ActorUnschedulableError) as error:
                pause = self._lost(error)
            except RayTaskError as error:
                pause = self._failed(error)
            except Exception as error:  # noqa: BLE001 - the worker's loop: whatever it was, the next turn tries again
                if self.status is not None:  # Most often Ray is restarting it.
                    log.info("runner.away", actor=self.name, reason=type(error).__name__)
                self.status = None
            await asyncio.sleep(pause)

    async def _look(self) -> None:
        """Ask the actor what it is doing, and provision it where it is empty."""
        if self._actor is None:
            self._making = asyncio.ensure_future(asyncio.to_thread(self._make))
            self._actor = await asyncio.shield(self._making)
        # Ray's dashboard need not list two calls a second.
        call = self._actor.look.options(enable_task_events=False)
        status: RunnerStatus = await self._answer(call.remote(self._keeper))
        if status.state == "empty":
            key: bytes = await self._answer(self._actor.offer.remote())
            sealed = seal_settings(self._given, key, offer_info(self.name))
            await self._answer(self._actor.provision.remote(key, sealed))
            status = await self._answer(call.remote(self._keeper))
            log.info("runner.up", actor=self.name, runner=status.runner, host=status.place.host, pid=status.place.pid)
        self.status, self.problem, self._began = status, None, True

    def _make(self) -> Any:
        """The actor of this name, which is made where there is none; blocks some milliseconds."""
        remote: Any = ray.remote(ClusterRunner)
        return remote.options(
            name=self.name,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            # Ray starts it again, empty, and repeats nothing: what was under way is for the journal to say.
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=CONCURRENCY,
            # Only there: the other nodes have actors of their own.
            scheduling_strategy=NodeAffinitySchedulingStrategy(self.node.id, soft=False),
            **options_of(self._wanted),
        ).remote(self.name, self.node.id)

    async def _answer(self, asked: Awaitable[T]) -> T:
        """What the actor answers. While it is silent, find out why, and end it where it is for good."""
        answer, began = asyncio.ensure_future(asked), time.monotonic()
        try:
            while not (await asyncio.wait({answer}, timeout=SILENCE_SECONDS))[0]:
                await self._judge(time.monotonic() - began)
            return answer.result()
        finally:
            answer.cancel()

    async def _judge(self, silent_seconds: float) -> None:
        self.status = None
        state = await asyncio.to_thread(self._ray_state)
        if state in ("PENDING_CREATION", "DEPENDENCIES_UNREADY") and (
            missing := await asyncio.to_thread(self._missing)
        ):
            self.problem = RunnerPending(f"{self.name} waits on the node {self.node} for {missing}.")
        too_long = {"RESTARTING": RESTART_SECONDS_MAX, "ALIVE": STALL_SECONDS_MAX}.get(state)
        if too_long is not None and silent_seconds > too_long:
            log.warning("runner.replaced", actor=self.name, state=state, silent_seconds=round(silent_seconds))
            await asyncio.to_thread(self._kill)
            raise ActorDiedError

    def _lost(self, error: RayError) -> float:
        """It is dead for good: make another. One that never started says why."""
        began, self._began = self._began, False
        self._actor, self.status = None, None
        log.warning("runner.lost", actor=self.name, reason=type(error).__name__)
        if began:
            return 0.0
        self.problem = RunnerNotStarted(f"{self.name} did not start on the node {self.node}: {_last_line(error)}")
        return RETRY_SECONDS

    def _failed(self, error: RayTaskError) -> float:
        """It lives and could not be provisioned."""
        cause = error.cause
        if isinstance(cause, BudflowError):
            self.problem = RunnerNotStarted(f"{self.name}: {cause.message} ({cause.code})", hint=cause.hint)
        else:
            self.problem = RunnerNotStarted(f"{self.name} could not be opened: {type(cause).__name__}.")
        return RETRY_SECONDS

    def _ray_state(self) -> str:
        state: str = actors(self._actor._actor_id.hex()).get("State", "DEAD")
        return state

    def _missing(self) -> str:
        """What of its node others use; nothing while only its process is not up yet. Blocks some milliseconds."""
        free = available_resources_per_node().get(self.node.id, {})  # type: ignore[no-untyped-call] # Ray gives it no types
        short = []
        for name, amount in self._wanted.resources.items():
            total, left = self.node.resources.get(name, 0), free.get(name, 0)
            # What one of the pool waits for may be given to it already: only what others have is missing.
            if left < amount and total - left > amount * self._siblings:
                short.append(f"{name}={amount:g}, of which {left:g} of {total:g} are free")
        return " and ".join(short)

    def _kill(self) -> None:
        try:
            ray.kill(self._actor, no_restart=True)
        except (RayError, ValueError):
            return  # It is gone already.


def _last_line(error: RayError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__

"""Finding the relay for an author's code: a Ray node with a sandbox, the image ready there, and the actor's name."""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError, RuntimeEnvSetupError
from ray.util import list_named_actors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from budflow import __version__
from budflow.errors import BudflowError
from budflow.log import get_log
from budflow.model.sandbox import SandboxBusy, SandboxUnavailable, SandboxWorkerLost
from ray_jobs.living_nodes import LivingNodes
from ray_jobs.placement import NODE_DIGITS, RayNode
from ray_jobs.sandbox_address import RESOURCE
from ray_jobs.sandbox_env import NO_IMAGE, runtime_env, short
from ray_jobs.sandbox_prepare import prepare_sandbox_image_task
from ray_jobs.sandbox_relay import SandboxRelay

#: A relay takes so little of the resource that so many fit on a node that has 1.
RELAYS_A_NODE_MAX = 16
RELAY_SHARE = 1 / RELAYS_A_NODE_MAX
#: After so long without a task a relay ends, and after so long it may have to make room for another.
IDLE_SECONDS = 300.0
EVICTED_IDLE_SECONDS = 15.0
#: Tasks that may be under way in one relay.
CONCURRENCY = 1_000
#: A relay that was used so lately is there still; one that was not is asked first.
FRESH_SECONDS = 5.0
START_SECONDS_MAX = 90.0
#: How often the nodes are looked at, while there is one with a sandbox.
NODES_SECONDS = 5.0
TRIES = 3
#: So many tasks of one runner go to a node with a relay before others are taken too.
PACKED_A_NODE = 4
#: Relays that a process knows, those used last.
KNOWN_MAX = 1_000
PREFIX = "budflow-sandbox"

log = get_log(__name__)

Sign = Callable[[str, str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class RelayKey:
    """What tasks have in common that go through one relay; `node` is the id of a Ray node."""

    project_id: str
    requirements: tuple[str, ...]
    egress: bool
    node: str


@dataclass(slots=True, eq=False)
class Relay:
    """A relay as a runner knows it."""

    key: RelayKey
    image: str
    actor: Any
    used_at: float


class Relays:
    """The relays that one process uses. They are everybody's: another process that needs the same finds them too."""

    def __init__(self, sign: Sign, nodes: LivingNodes) -> None:
        """`sign` makes a ticket for a project and an image, with which a relay asks the sandboxd of its node."""
        self._sign, self._nodes = sign, nodes
        self._known: OrderedDict[RelayKey, Relay] = OrderedDict()
        self._making: dict[RelayKey, asyncio.Lock] = {}
        self._running: Counter[str] = Counter()
        self._looked_at = float("-inf")

    async def find(
        self, project_id: str, requirements: tuple[str, ...], *, egress: bool, on_progress: Callable[[str], None]
    ) -> Relay:
        """A relay that is ready. Raises SandboxUnavailable, SandboxBusy, RequirementsFailed."""
        for left in reversed(range(TRIES)):
            key = RelayKey(project_id, requirements, egress, await self._place(project_id, requirements, egress=egress))
            lock = self._making.setdefault(key, asyncio.Lock())
            try:
                async with lock:
                    return await self._ready(key, on_progress)
            except RayTaskError as error:
                if isinstance(error.cause, BudflowError):
                    raise error.cause from None
                raise SandboxUnavailable(f"{type(error.cause).__name__}: {error.cause}") from error
            except RuntimeEnvSetupError as error:
                raise SandboxUnavailable(f"The Ray node could not prepare the sandbox: {_reason(error)}") from error
            except RayError as error:  # It left just now, or its node did.
                log.warning("relay.gone", node=key.node, error=type(error).__name__)
                self._known.pop(key, None)
                if not left:
                    raise SandboxWorkerLost(f"The relay to the sandbox died: {type(error).__name__}.") from error
            finally:
                if not lock.locked():
                    self._making.pop(key, None)
        raise SandboxWorkerLost

    @contextmanager
    def busy(self, relay: Relay) -> Iterator[None]:
        """While a task runs over there."""
        self._running[relay.key.node] += 1
        try:
            yield
        finally:
            self._running[relay.key.node] -= 1
            relay.used_at = time.monotonic()

    def lost(self, relay: Relay) -> None:
        """A call found it dead."""
        if self._known.get(relay.key) is relay:
            del self._known[relay.key]

    async def ticket(self, relay: Relay) -> str:
        """What lets a relay ask for one task."""
        return await self._sign(relay.key.project_id, "" if relay.image == NO_IMAGE else relay.image)

    async def _place(self, project_id: str, requirements: tuple[str, ...], *, egress: bool) -> str:
        """The node: this one first, or where there is a relay already, and others when these have enough to do."""
        having = _with_sandbox(self._nodes.latest)
        if not having or time.monotonic() - self._looked_at >= NODES_SECONDS:
            self._looked_at = time.monotonic()
            await self._nodes.look()
            having = _with_sandbox(self._nodes.latest)
        if not having:
            raise SandboxUnavailable(
                f"No node of the Ray cluster has a sandbox: {_listed(self._nodes.latest)}.",
                hint="Start nodes with the resource `sandbox` beside a `budflow sandbox serve`; see the guide.",
            )
        here = ray.get_runtime_context().get_node_id()

        def cost(node: RayNode) -> tuple[int, bool, bool, str]:
            known = RelayKey(project_id, requirements, egress, node.id) in self._known
            return (self._running[node.id] // PACKED_A_NODE, not known, node.id != here, node.id)

        return min(having, key=cost).id

    async def _ready(self, key: RelayKey, on_progress: Callable[[str], None]) -> Relay:
        relay = self._known.get(key)
        if relay is None:
            image = await self._prepare(key, on_progress) or NO_IMAGE
            relay = Relay(key, image, await self._actor(key, image), float("-inf"))
        if time.monotonic() - relay.used_at >= FRESH_SECONDS:
            try:
                async with asyncio.timeout(START_SECONDS_MAX):
                    await relay.actor.use.remote()
            except TimeoutError:
                self.lost(relay)
                raise SandboxBusy(f"The relay to the sandbox did not start within {START_SECONDS_MAX:g} s.") from None
        relay.used_at = time.monotonic()
        self._known[key] = relay
        self._known.move_to_end(key)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return relay

    async def _prepare(self, key: RelayKey, on_progress: Callable[[str], None]) -> str:
        """The image for the requirements, on that node: built there by its sandboxd where it has none."""
        ticket = await self._sign(key.project_id, "")
        task: Any = prepare_sandbox_image_task
        told = task.options(
            name=f"{PREFIX}/prepare/{key.project_id}",
            scheduling_strategy=NodeAffinitySchedulingStrategy(key.node, soft=False),
        ).remote(ticket, key.requirements)
        done = False
        image = ""
        try:
            async for reference in told:
                image, progress = await reference
                if progress:
                    on_progress(progress)
            done = True
        finally:
            if not done:
                ray.cancel(told, force=True)
        return image

    async def _actor(self, key: RelayKey, image: str) -> Any:
        name = _name(key, image)
        await self._make_room(key.node, name)
        remote: Any = ray.remote(SandboxRelay)
        options = remote.options(
            name=name,
            get_if_exists=True,
            lifetime="detached",
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=CONCURRENCY,
            num_cpus=0,
            resources={RESOURCE: RELAY_SHARE},
            runtime_env=runtime_env(image, egress=key.egress),
            scheduling_strategy=NodeAffinitySchedulingStrategy(key.node, soft=False),
        )
        return await asyncio.to_thread(options.remote, name, key.project_id, image, IDLE_SECONDS)

    async def _make_room(self, node: str, name: str) -> None:
        """Where a node has as many relays as it may, end the one that has been idle for longest. Raises SandboxBusy."""
        names = [other for other in await asyncio.to_thread(list_named_actors) if other.startswith(_of_node(node))]
        if name in names or len(names) < RELAYS_A_NODE_MAX:
            return
        idle = await asyncio.gather(*(self._idle_seconds(other) for other in names))
        for _, actor in sorted(idle, key=lambda one: one[0], reverse=True):
            if actor is None:
                return
            try:
                await actor.leave.remote(EVICTED_IDLE_SECONDS)
            except RayActorError:
                return  # So one that ends answers.
        raise SandboxBusy(f"All {RELAYS_A_NODE_MAX} relays to the sandbox of the Ray node run code of others.")

    async def _idle_seconds(self, name: str) -> tuple[float, Any]:
        try:
            actor = await asyncio.to_thread(ray.get_actor, name)
            return await actor.idle_seconds.remote(), actor
        except (ValueError, RayError):
            return float("inf"), None  # It has just gone.


def _of_node(node: str) -> str:
    return f"{PREFIX}/{node[:NODE_DIGITS]}/"


def _name(key: RelayKey, image: str) -> str:
    """The same in every process. One of another release is another one: they may not speak the same."""
    profile = "egress" if key.egress else "strict"
    return f"{_of_node(key.node)}{key.project_id}/{profile}/{short(image)}/{__version__}"


def _reason(error: RuntimeEnvSetupError) -> str:
    """What the plugin raised; Ray tells it at the end of a traceback, after the name of its class."""
    last = (error.error_message or "").strip().rpartition("\n")[2]
    return last.partition(": ")[2] or last or "Ray does not say why."


def _with_sandbox(nodes: Sequence[RayNode]) -> list[RayNode]:
    return [node for node in nodes if node.resources.get(RESOURCE, 0) > 0]


def _listed(nodes: Sequence[RayNode]) -> str:
    return "; ".join(str(node) for node in nodes[:5]) or "it has no nodes"

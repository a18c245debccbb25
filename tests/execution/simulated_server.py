"""The processes of a simulated world and what is outside: servers that die and freeze, requests that go wrong."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Coroutine
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar, cast

import orjson

from budflow.egress.transport import ConnectFailed
from budflow.execution.inprocess import InProcessExecutor
from budflow.execution.lists import ListStore
from budflow.execution.plans import PlanCache
from budflow.execution.supervisor import Supervisor
from budflow.execution.tools import Tools
from budflow.execution.wakes import Wakes
from budflow.model import event as e
from budflow.model.credential_kind import OpenCredential
from budflow.model.http import HttpRequest, HttpResponse
from budflow.model.item import Json
from budflow.model.journal import decode
from budflow.model.path import path_of
from budflow.scaling.wakes_here import WakesHere
from tests.execution.fakes import PLACE
from tests.execution.simulated_blobs import SimulatedBlobs
from tests.execution.simulated_loop import PROCESS, SimulatedLoop
from tests.execution.simulated_store import Connection, SharedStore
from tests.execution.simulated_types import TYPES
from tests.execution.simulated_vault import SimulatedVault
from tests.execution.vault import Token

T = TypeVar("T")
LEASE_SECONDS = 1.0
#: So few that a short execution is taken up from its snapshot, too.
SNAPSHOT_EVENTS = 4


@dataclass(frozen=True)
class Faults:
    """How likely each request and write goes wrong, and each execution is cancelled or paused; servers that die.

    `frozen` servers stop for longer than their lease and go on later; `stops` are ordinary restarts.
    """

    http: float = 0.0
    store: float = 0.0
    cancel: float = 0.0
    pause: float = 0.0
    deaths: int = 0
    frozen: int = 0
    stops: int = 0


@dataclass
class Outside:
    """The world that effects happen in: answers late, with errors or never, and checks that it was announced."""

    random: Random
    faults: Faults
    store: SharedStore
    silent: bool = False  # Whether nothing is ever answered.
    mischief: tuple[str, ...] = ("never", "late", "refused", "defect", "cancelled")
    unannounced: list[str] = field(default_factory=list)
    #: How often each idempotency key was sent, by what it means: execution's effect scope, node path, item.
    received: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    #: Servers that died or were frozen: nobody knows how far the requests are that they sent.
    doubtful: set[str] = field(default_factory=set)
    crowded: list[str] = field(default_factory=list)
    _busy: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: Which nodes of which executions sent anything.
    asked: set[tuple[str, str]] = field(default_factory=set)
    #: What was sent with a key: execution, key, node path, item.
    sent: list[tuple[str, str, str, int]] = field(default_factory=list)
    vault: SimulatedVault = field(default_factory=lambda: SimulatedVault(0))
    #: The nodes that have a credential, with their workflows; what they sent with and, wrongly, without.
    signed: set[tuple[str, str]] = field(default_factory=set)
    signatures: int = 0
    unsigned: list[str] = field(default_factory=list)

    async def send(self, request: HttpRequest, credential: OpenCredential | None = None) -> HttpResponse:
        execution_id, node = request.url.split("/")[-2:]
        self.asked.add((execution_id, node))
        key = dict(request.headers)["Idempotency-Key"] if request.method == "POST" else None
        announced = await self._announced(execution_id, node)
        await self._watch_signature(execution_id, node, credential)
        if key is None:
            if not announced:
                self.unannounced.append(request.url)
        elif key not in announced:
            self.unannounced.append(f"{request.url} with {key}")
        else:
            self.received[announced[key]] += 1
            self.sent.append((execution_id, key, *announced[key][1:]))
        busy = PROCESS.get(), execution_id
        self._busy[busy] += 1
        try:
            await self._watch_limits(execution_id)
            return await self._answer(request, credential)
        finally:
            self._busy[busy] -= 1

    async def _watch_limits(self, execution_id: str) -> None:
        """See that no more executions are at work side by side than their limit says."""
        mine = await self.store.get_execution("default", execution_id)
        if mine is None or mine.limit is None:
            return
        ids = {id_ for (server, id_), count in self._busy.items() if count and server not in self.doubtful}
        rows = [row for id_ in ids if (row := await self.store.get_execution("default", id_)) is not None]
        if sum(row.limit == mine.limit and not row.cancelling for row in rows) > mine.limit.running_max:
            self.crowded.append(execution_id)

    async def _watch_signature(self, execution_id: str, node: str, credential: OpenCredential | None) -> None:
        """See that a request is signed where it should be, and that this was durably said before."""
        execution = await self.store.get_execution("default", execution_id)
        workflow = "" if execution is None else execution.workflow_id
        if credential is None:
            if (workflow, node) in self.signed:
                self.unsigned.append(f"{execution_id} {node}")
            return
        self.signatures += 1
        events = [decode(row) for row in await self.store.read_events("default", execution_id)]
        used = [event for event in events if isinstance(event, e.CredentialsUsed) and event.node == node]
        if (workflow, node) not in self.signed or not any(credential.id in one.credentials.values() for one in used):
            self.unsigned.append(f"{execution_id} {node} with {credential.id}")

    async def _answer(self, request: HttpRequest, credential: OpenCredential | None) -> HttpResponse:
        if self.silent:
            await asyncio.Event().wait()
        await asyncio.sleep(self.random.choice([0, 0.01, 0.2]))
        if self.random.random() < self.faults.http:
            fault = self.random.choice(self.mischief)
            if fault == "never":
                await asyncio.Event().wait()
            elif fault == "late":
                await asyncio.sleep(3)
            else:
                raise {
                    "refused": ConnectFailed("on purpose"),
                    "defect": RuntimeError("on purpose"),
                    "cancelled": asyncio.CancelledError(),
                }[fault]
        body: Json = {}
        if credential is not None and isinstance(credential.values, Token):
            body["you_sent"] = credential.values.token.reveal()  # As careless servers do.
        return HttpResponse(200, (("content-type", "application/json"),), orjson.dumps(body), request.url)

    async def _announced(self, execution_id: str, node: str) -> dict[str, tuple[str, str, int]]:
        """The keys of what is durably said to be under way, and what each means."""
        execution = await self.store.get_execution("default", execution_id)
        keys: dict[str, tuple[str, str, int]] = {}
        for row in await self.store.read_events("default", execution_id):
            event = decode(row)
            if isinstance(event, e.NodeStarted | e.ItemsStarted) and event.node == node and execution is not None:
                path = path_of(node, event.rounds)
                for ordinal in range(event.begun):
                    about = (execution.effect_scope, path, ordinal)
                    keys[hashlib.sha256("/".join(map(str, about)).encode()).hexdigest()[:32]] = about
        return keys


class Server:
    """A process: a supervisor, its executor and its connection. Its tasks and timers are known by its name."""

    def __init__(
        self,
        name: str,
        store: SharedStore,
        outside: Outside,
        blobs: SimulatedBlobs,
        snapshot_events: int = SNAPSHOT_EVENTS,
        wakes: Wakes | None = None,
    ) -> None:
        self.name, self._outside, self.lists = name, outside, ListStore(blobs)
        self._snapshot_events = snapshot_events
        self._wakes = wakes or WakesHere()
        self.loop = cast(SimulatedLoop, asyncio.get_running_loop())
        self.context: Context = copy_context()
        self.context.run(PROCESS.set, name)
        self.gone: asyncio.Future[None] = self.loop.create_future()
        self.frozen = False
        self.writes_left: int | None = None
        self.connection = Connection(store, outside.random, self._watch)
        self.supervisor: Supervisor

    async def start(self) -> None:
        """Take up what there is to do."""
        store = cast(Any, self.connection)
        self.plans = PlanCache(store, TYPES)

        async def begin() -> None:
            tools = Tools(PLACE, self._outside, lists=self.lists, snapshot_events=self._snapshot_events)
            executor = InProcessExecutor(tools, self.name)
            self.supervisor = Supervisor(
                store,
                self.plans,
                executor,
                runner=self.name,
                running_max=2,
                queued_max=9,
                lease_seconds=LEASE_SECONDS,
                credentials=self._outside.vault,
                wakes=self._wakes,
            )
            await self.supervisor.start()

        await self.ask(begin())
        self.connection.faulty = self._outside.faults.store  # One that cannot even start is not a server.

    async def ask(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Have this server do something; None where it died over it."""
        if self.gone.done():
            work.close()
            return None
        task = self.loop.create_task(work, context=self.context)
        await asyncio.wait([task, self.gone], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None

    def die(self) -> None:
        """As by SIGKILL: nothing of it ever goes on."""
        if not self.gone.done():
            self.gone.set_result(None)
            self._outside.doubtful.add(self.name)
            self.connection.cut = True
            if not self.frozen:
                self.loop.freeze(self.name)

    async def freeze(self, seconds: float) -> None:
        """As by SIGSTOP, and SIGCONT after a while."""
        if self.gone.done() or self.frozen:
            return
        self.frozen = True
        self._outside.doubtful.add(self.name)
        self.loop.freeze(self.name)
        await asyncio.sleep(seconds)
        self.frozen = False
        if not self.gone.done():
            self.loop.thaw(self.name)

    async def bury(self) -> None:
        """Let what is left of it end, without any harm: the simulation is over."""
        if not self.gone.done():
            await self.ask(self.supervisor.stop(0))
            self.gone.set_result(None)
            return
        self.loop.thaw(self.name)
        while tasks := self.loop.tasks_of(self.name):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=1)
        for timer in self.loop.timers():
            if timer._context.get(PROCESS) == self.name:  # type: ignore[attr-defined] # what it would run in
                timer.cancel()

    async def _watch(self) -> None:
        if self.writes_left is not None:
            self.writes_left -= 1
            if self.writes_left < 0:
                self.die()
                await asyncio.sleep(0)  # From here nothing goes on.

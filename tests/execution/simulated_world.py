"""A world for simulations: servers over one store that die and freeze, people who answer, cancel and pause."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

from budflow.errors import BudflowError
from budflow.execution.active import Active
from budflow.execution.limits import limit_of
from budflow.execution.lists import ListStore
from budflow.execution.plans import PlanCache
from budflow.execution.ports import NOTHING_AROUND
from budflow.execution.records import OpenWait
from budflow.execution.stepwise import plan_of_run
from budflow.execution.wakes import Wakes
from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.event_lists import with_lists
from budflow.model.execution import TERMINAL, Execution, ExecutionEnded, LimitReached
from budflow.model.identity import new_id, utc_now
from budflow.model.item import ItemList, Json
from budflow.model.journal import decode
from budflow.model.path import parse_path
from budflow.model.workflow import VersionRecord, WorkflowRecord
from budflow.storage.errors import StorageUnavailable
from tests.execution.simulated_blobs import SimulatedBlobs
from tests.execution.simulated_server import SNAPSHOT_EVENTS, Faults, Outside, Server
from tests.execution.simulated_store import SharedStore
from tests.execution.simulated_types import TYPES
from tests.execution.simulated_vault import SimulatedVault


@dataclass(frozen=True)
class Asked:
    """How an execution of the workflow `caller` is asked for: see StartExecution."""

    priority: int = 0
    until: str | None = None
    pinned: bool = False


PLAINLY = Asked()


class World:
    """Servers over one store, the outside and people, all from one seed.

    `dropped` are executions that were refused for their limit, `cancelled` those that people wanted cancelled.
    """

    def __init__(self, seed: int, faults: Faults) -> None:
        self.random, self.faults = Random(seed), faults
        self.store = SharedStore()
        self.outside = Outside(self.random, faults, self.store, vault=SimulatedVault(seed))
        self.blobs = SimulatedBlobs(self.random)
        self.lists = ListStore(self.blobs)
        self.plans = PlanCache(self.store, TYPES)
        self.servers: list[Server] = []
        self.acknowledged: list[str] = []
        self.dropped: list[str] = []
        self.cancelled: set[str] = set()
        self.deaths = 0
        self.patience_seconds = 1_000
        self.snapshot_events = SNAPSHOT_EVENTS
        self.wakes: Wakes | None = None  # How the servers tell each other; None: not at all.
        self._begun: list[tuple[Server, Active]] = []
        self._ended: dict[str, Execution] = {}

    async def server(self) -> Server:
        """Any that lives, even if it is frozen."""
        while not (living := [server for server in self.servers if not server.gone.done()]):  # noqa: ASYNC110 - virtual time costs nothing
            await asyncio.sleep(0.1)  # A new one starts soon.
        return self.random.choice(living)

    async def save(self, workflow_id: str, document: dict[str, Any]) -> None:
        """Store and publish a workflow."""
        now = utc_now()
        record = WorkflowRecord(workflow_id, "default", workflow_id, 1, None, now, now)
        await self.store.add_workflow(record, VersionRecord(workflow_id, "default", 1, document, now, "test"))
        await self.store.publish("default", workflow_id, 1, [])

    async def new_server(self) -> Server:
        """One more server, which lives."""
        name = f"run_{len(self.servers)}"
        server = Server(name, self.store, self.outside, self.blobs, self.snapshot_events, self.wakes)
        self.servers.append(server)
        await server.start()
        return server

    async def submit(self, items: list[Json], asked: Asked = PLAINLY) -> str | None:
        """Start an execution of the workflow `caller`; None where that was not acknowledged."""
        server, durable = await self.server(), self.random.random() < 0.7

        async def submit() -> str | None:
            execution_id = new_id("exe")
            execution = Execution(execution_id, "default", "caller", 1, "api", "queued", utc_now())
            given = ItemList.of(items)
            admitted = e.Admitted(utc_now(), "start", "api", "test", given, pinned=asked.pinned, until=asked.until)
            try:
                version, plan = await server.plans.get_to_run("default", "caller")
                if asked.until is not None:
                    version, plan = await server.plans.get("default", "caller", 1, asked.until)
                priority = plan.settings.priority + asked.priority
                execution = replace(
                    execution, limit=limit_of(plan, execution, given, NOTHING_AROUND), priority=priority
                )
                active = await server.supervisor.submit(execution, admitted, version, plan, durable=durable)
            except LimitReached:
                self.dropped.append(execution_id)
                return None
            except BudflowError:
                return None
            if active is not None:
                self._begun.append((server, active))
            return execution_id if durable or active is None else None

        known = await server.ask(submit())
        if known is not None:
            self.acknowledged.append(known)
        return known

    async def trouble(self) -> None:
        """Servers die, freeze and restart, as the faults have it; one that lives is always left."""
        faults = self.faults
        kinds = ["death"] * faults.deaths + ["freeze"] * faults.frozen + ["stop"] * faults.stops
        self.random.shuffle(kinds)
        frozen: list[asyncio.Task[None]] = []
        for kind in kinds:
            server = await self.server()
            if kind == "death" and self.random.random() < 0.5:
                if self.blobs.deadly:
                    self.blobs.after_next = partial(server.loop.call_soon, server.die)
                else:
                    server.writes_left = self.random.randrange(80)
                await asyncio.wait([server.gone], timeout=20)
                server.die()
            else:
                await asyncio.sleep(self.random.choice([0, 0.005, 0.02, 0.1, 0.25, 0.5, 2, 7]))
            if kind == "freeze":
                if len(self.servers) < 2 or self.random.random() < 0.3:
                    await self.new_server()
                frozen.append(asyncio.create_task(server.freeze(self.random.choice([0.3, 1.5, 4, 10]))))
                continue
            if kind == "stop":
                await server.ask(server.supervisor.stop(self.random.choice([0, 1])))
            server.die()
            self.deaths += 1
            if self.random.random() < 0.3:
                await asyncio.sleep(self.random.choice([0.1, 3]))
            await self.new_server()
        for task in frozen:
            await task

    async def people(self) -> None:
        """Answer what waits for an answer, cancel, pause and continue; until they are cancelled."""
        paused: set[str] = set()
        random = self.random
        while True:
            await asyncio.sleep(random.choice([0.05, 0.3, 1]))
            for wait in await self.store.list_waits("default"):
                if wait.reason in ("webhook", "form", "approval", "ask") and random.random() < 0.5:
                    await self._answer(wait)
            for row in await self.store.rows():
                if row.status in TERMINAL:
                    continue
                if row.id in paused and random.random() < 0.5:
                    paused.discard(row.id)
                    await self.signal(row, e.Continued(utc_now(), "somebody"))
                elif random.random() < self.faults.pause / 5:
                    paused.add(row.id)
                    await self.signal(row, e.Paused(utc_now(), "somebody"))

    async def _answer(self, wait: OpenWait) -> None:
        node, rounds = parse_path(wait.node)
        server = self._awake()
        if server is None:
            return
        answer: Any = {"approved": not self.faults.cancel or self.random.random() < 0.6}
        if wait.reason == "ask":
            answer = self.random.choice(["run", "fail", "skip"])
        number = int(wait.key.rpartition(":")[2])
        event = e.WaitEnded(utc_now(), node, number, "answered", "somebody", answer, rounds)

        async def ask() -> None:
            try:
                await server.supervisor.answer("default", wait.execution_id, event)
            except BudflowError:
                return  # Somebody was faster, or the store is not there: then somebody tries again.

        await server.ask(ask())

    async def signal(self, row: Execution, event: e.Paused | e.Continued) -> None:
        """Tell a server to pause or go on; that it goes on is told until it is heard."""
        server = self._awake()
        while server is None:
            await asyncio.sleep(1)
            server = self._awake()

        async def ask() -> bool:
            try:
                await server.supervisor.signal("default", row.id, event)
            except ExecutionEnded:
                return True
            except StorageUnavailable:
                return False
            return True

        if not await server.ask(ask()) and isinstance(event, e.Continued):
            await self.signal(row, event)  # The server died over it, or the store was not there.

    def _awake(self) -> Server | None:
        awake = [server for server in self.servers if not server.gone.done() and not server.frozen]
        return self.random.choice(awake) if awake else None

    async def cancel(self, execution_id: str) -> None:
        """Ask a server to cancel."""
        self.cancelled.add(execution_id)
        server = await self.server()

        async def ask() -> None:
            with suppress(StorageUnavailable):
                await server.supervisor.cancel("default", execution_id, "somebody")

        await server.ask(ask())

    async def quiet(self) -> None:
        """Until every execution has ended."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self.patience_seconds
        while True:
            rows = await self.store.rows()
            for row in rows:
                if row.status in TERMINAL:
                    assert self._ended.setdefault(row.id, row) == row, "a terminal state changed"
            left = [row for row in rows if row.status not in TERMINAL]
            if not await self.busy() and not any(server.frozen for server in self.servers):
                return
            if loop.time() > end:
                told = [(row, await self.store.signals_of(row.id), await self.journal(row.id)) for row in left]
                raise AssertionError(
                    f"left unfinished: {told}, with the waits {await self.store.list_waits('default')}"
                )
            await asyncio.sleep(1)

    def started(self) -> list[Execution]:
        """Those that a server began at once when they were submitted, whether they were stored or not."""
        return [active.execution for _, active in self._begun]

    async def busy(self) -> bool:
        """Whether an execution has not ended, or is not even stored yet."""
        if any(row.status not in TERMINAL for row in await self.store.rows()):
            return True
        return any(not active.ended.done() and not server.gone.done() for server, active in self._begun)

    async def close(self) -> None:
        """Bury every server."""
        for server in self.servers:
            await server.bury()
        await asyncio.sleep(40)  # Longer than any timer of the engine: none may do anything any more.

    async def plan(self, row: Execution) -> Plan:
        """What an execution runs by."""
        admitted = (await self.journal(row.id))[0]
        assert isinstance(admitted, e.Admitted)
        _, plan = await self.plans.get("default", row.workflow_id, row.version, admitted.until)
        return plan_of_run(plan, admitted)

    async def journal(self, execution_id: str) -> list[e.Event]:
        """What is durable of an execution."""
        rows = await self.store.read_events("default", execution_id)
        assert [row.seq for row in rows] == list(range(len(rows))), "a journal has gaps"
        return [with_lists(decode(row), lambda items: self.lists.open("default", items)) for row in rows]

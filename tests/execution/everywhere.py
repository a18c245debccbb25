"""Workflows played in one place, all at once: in process, on a local Ray, or by the runner actors of a cluster."""

import asyncio
import functools
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import orjson

from budflow.app import open_runtime
from budflow.credentials.kinds.bearer import Bearer
from budflow.execution.inprocess import InProcessExecutor
from budflow.execution.ports import Executor
from budflow.execution.process_pool import ProcessPool
from budflow.model import event as e
from budflow.model.credential_kind import OpenCredential
from budflow.model.execution import TERMINAL, Execution, WaitClosed
from budflow.model.identity import utc_now
from budflow.model.path import parse_path
from budflow.model.principal import OWNER
from budflow.model.wait import ANSWERABLE, WantedWaits
from budflow.runner import open_hand_over
from budflow.services.create_credential import CreateCredential, create_credential
from budflow.settings import Settings
from tests.egress.loopback import Asked, Loopback, reply, serving
from tests.execution.fakes import until
from tests.execution.heavy_nodes import open_test_runner
from tests.execution.office import RUNNER, Desk, Office, Runnable
from tests.golden.cases import MEET, OUTSIDE, Case, Stored
from tests.processes import BUDFLOW, SECONDS, environment
from tests.ray_cluster import RayCluster
from tests.ray_session import RaySession
from tests.servers import PostgresServer, drop_database, new_database

CREDENTIAL = "crm-token"
TOKEN = "token-of-crm-1234"
#: What is logged of a heavy node that waited for room on Ray.
RAY_SAYS = ("Waits on Ray for ", "Begins")
ALL_SECONDS = 90
LOOK_SECONDS = 0.05

T = TypeVar("T")


@dataclass(frozen=True)
class Told:
    """What is to be the same everywhere, and where its nodes ran."""

    status: str
    journal: Mapping[str, Any]
    log: list[Any]
    places: Mapping[str, str | None]


class Played(dict[str, Told]):
    """What every workflow came to, by its name."""


async def play(desk: Desk, cases: Mapping[str, Case], entrust: Callable[[str], Awaitable[object]]) -> Played:
    """Run them all at once, and answer what waits for somebody. `entrust` has a credential for an address kept."""
    async with asyncio.timeout(ALL_SECONDS), outside() as server:
        await entrust(server.origin)
        told = await asyncio.gather(*(_play_one(desk, case, server.origin) for case in cases.values()))
    return Played(zip(cases, told, strict=True))


async def _play_one(desk: Desk, case: Case, origin: str) -> Told:
    execution_id, _ = await desk.submit(_aimed(case.flow, origin))
    row = await _see_through(desk, execution_id, case.answer)
    ran = [one for one in await desk.events(execution_id) if isinstance(one, e.NodeFinished) and one.place is not None]
    journal = await desk.comparable(execution_id)
    log = [line for line in await desk.logged(execution_id) if not line[2].startswith(RAY_SAYS)]
    return Told(
        row.status,
        _elsewhere(journal, origin),
        sorted(_elsewhere(log, origin), key=repr),
        {event.node: event.place.ray_node for event in ran if event.place is not None},
    )


async def _see_through(desk: Desk, execution_id: str, answer: Any) -> Execution:
    while True:
        row = await desk.store.get_execution("default", execution_id)
        if row is not None and row.status in TERMINAL:
            return row
        if answer is not None:
            for wait in await desk.store.list_waits("default", WantedWaits(execution_id=execution_id)):
                node, rounds = parse_path(wait.node)
                number = int(wait.key.rpartition(":")[2])
                if wait.reason in ANSWERABLE and not wait.answered:
                    with suppress(WaitClosed):
                        ended = e.WaitEnded(
                            utc_now(), node, number, "answered", "test", {**answer, "by": "test"}, rounds
                        )
                        await desk.supervisor.answer("default", execution_id, ended)
        await asyncio.sleep(LOOK_SECONDS)


# --- what workflows find outside ------------------------------------------------------------------------------------


@asynccontextmanager
async def outside() -> AsyncIterator[Loopback]:
    """A server that answers everything, and `/meet` only when two have come."""
    both = asyncio.Barrier(2)

    async def meet(_: Asked, writer: asyncio.StreamWriter) -> None:
        await both.wait()
        writer.write(reply(200, b"{}", "Content-Type: application/json"))
        await writer.drain()

    class Anything(dict[str, Any]):
        def get(self, path: str, default: Any = None) -> Any:
            if path == MEET.removeprefix(OUTSIDE[0]):
                return meet
            owners = b'{"owners": ["team-a"]}' if path.startswith("/owners/") else b"{}"
            return reply(200, owners, "Content-Type: application/json")

    async with serving() as server:
        server.answers = Anything()
        yield server


def _aimed(flow: Runnable, origin: str) -> Runnable:
    """The same workflow with its requests going to this server."""

    def aim(text: str) -> str:
        for address in OUTSIDE:
            text = text.replace(address, origin)
        return text

    shape = orjson.loads(aim(orjson.dumps(flow.document("aimed")).decode()))
    return Stored(
        shape, flow.items, flow.trigger, {name: _aimed(callee, origin) for name, callee in flow.callees.items()}
    )


def _elsewhere(told: Any, origin: str) -> Any:
    """What was told, without the address outside."""
    named = orjson.dumps(told).decode().replace(origin, OUTSIDE[0])
    return orjson.loads(named.replace(origin.removeprefix("http://"), OUTSIDE[0].removeprefix("https://")))


# --- in process and on a local Ray ----------------------------------------------------------------------------------


@asynccontextmanager
async def in_process(processes: int = 1) -> AsyncIterator[Executor]:
    pool = ProcessPool(functools.partial(open_test_runner, ("127.0.0.1",)), size=processes, hand_over=open_hand_over())
    opened = open_test_runner(heavy=pool)
    yield InProcessExecutor(opened.tools, RUNNER)
    await pool.close()
    await opened.close()


@asynccontextmanager
async def office_with(executor: Executor) -> AsyncIterator[Office]:
    office = Office(executor)
    await office.supervisor.start()
    await until(lambda: not office.supervisor.intake.queued)
    async with asyncio.timeout(ALL_SECONDS):
        yield office
    await office.supervisor.stop(0.1)


async def _play_in(office: Office, cases: Mapping[str, Case]) -> Played:
    async def entrust(origin: str) -> None:
        values = Bearer.model_validate({"token": TOKEN})
        office.vault.keep(OpenCredential("crd_crm", CREDENTIAL, "bearer", values, (origin,)))

    return await play(office, cases, entrust)


def played_in_process(cases: Mapping[str, Case]) -> Played:
    async def played() -> Played:
        async with in_process(2) as executor, office_with(executor) as office:
            return await _play_in(office, cases)

    return _apart(played())


def played_on_local_ray(cases: Mapping[str, Case], session: RaySession) -> Played:
    async def played() -> Played:
        async with session.executor() as executor, office_with(executor) as office:
            return await _play_in(office, cases)

    return _apart(played())


def _apart(work: Coroutine[Any, Any, T]) -> T:
    """In a loop of its own, whatever loop the tests have."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


# --- on a cluster ---------------------------------------------------------------------------------------------------


def played_on_nodes(cases: Mapping[str, Case], cluster: RayCluster, postgres: PostgresServer) -> Played:
    """By a worker's runner actors, on every node of the cluster; the main only admits."""

    async def played() -> Played:
        url = await new_database(postgres)
        try:
            with tempfile.TemporaryDirectory() as directory:
                return await _played_on_nodes(cases, cluster, url, Path(directory))
        finally:
            await drop_database(postgres, url)

    return _apart(played())


async def _played_on_nodes(cases: Mapping[str, Case], cluster: RayCluster, url: str, data_dir: Path) -> Played:
    settings = Settings(data_dir=data_dir, database_url=url, claim=False, http_allow=("127.0.0.1",))
    async with open_runtime(settings, "serve") as main:
        services = main.services

        async def entrust(origin: str) -> None:
            asked = CreateCredential(name=CREDENTIAL, kind="bearer", values={"token": TOKEN}, hosts=[origin])
            await create_credential(services, replace(OWNER, id="test"), asked)

        with keeping_actors(cluster, data_dir, url):
            return await play(Desk(services.store, services.plans, services.supervisor), cases, entrust)


@contextmanager
def keeping_actors(cluster: RayCluster, data_dir: Path, url: str, *options: str) -> Iterator[None]:
    """A `budflow worker --ray` beside a main, whose directory it shares; at the end its actors are gone."""
    process = subprocess.Popen(
        [BUDFLOW, "worker", "--ray", cluster.address, *options],
        env=environment(data_dir, BUDFLOW_DATABASE_URL=url, **cluster.environment()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(SECONDS)

"""Credentials on Ray: they reach the node that may have them, sealed, and stand nowhere that others of Ray can read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from budflow.execution import holding
from budflow.execution.ports import Executor, Work
from budflow.model import event as e
from budflow.model.credential import CredentialRefused
from budflow.model.execution import Execution, Place
from budflow.model.identity import utc_now
from budflow.storage.errors import StorageUnavailable
from ray_jobs.executor import RayExecutor, RunningOnRay
from ray_jobs.open import TOKEN_NAME
from ray_jobs.outbox import Outbox
from ray_jobs.pool import Pool, Runner
from tests.canaries.canary import Search, new_canary
from tests.egress.loopback import Asked, Loopback, reply, serving
from tests.execution.everywhere import in_process, office_with
from tests.execution.fake_hand_over import FakeHandOver
from tests.execution.fakes import FakeLink, plan_of, until
from tests.execution.heavy_nodes import bearer
from tests.execution.office import Flow, Office
from tests.ray_session import RaySession

HEAVY = {"resources": {"num_cpus": 1}}
AUTH = {"credentials": {"auth": "crm"}}


# --- between the owner and the actor, without Ray ------------------------------------------------------------------


class FakeActor:
    """What an owner calls of a runner actor, over an outbox in this process. `given` are the answers to asks."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.given: list[Any] = []

    def __getattr__(self, method: str) -> "FakeMethod":
        return FakeMethod(getattr(self, f"_{method}"))

    async def _report(self, *_: Any) -> bytes:
        await self.outbox.wait(10)
        return self.outbox.take()

    _begin = _report

    async def _resume(self, _execution_id: str, durable: bool) -> bytes:
        if durable:
            self.outbox.durable()
        return await self._report()

    async def _hand_over(self, _execution_id: str, number: int, sealed: Any) -> None:
        self.given.append(sealed)
        self.outbox.hand_over(number, sealed)

    async def _drop(self, _execution_id: str) -> None:
        self.outbox.end()


class FakeMethod:
    def __init__(self, call: Any) -> None:
        self._call = call

    def options(self, **_: Any) -> "FakeMethod":
        return self

    def remote(self, *args: Any) -> "asyncio.Future[Any]":
        return asyncio.ensure_future(self._call(*args))


class Apart:
    """A run whose two ends are in this process: the outbox that asks, and the owner that answers over `link`."""

    def __init__(self) -> None:
        self.link, self.hand_over = FakeLink(), FakeHandOver()
        self.outbox = Outbox("exe_1", self.hand_over)
        self.actor = FakeActor(self.outbox)
        place = Place("ray", "here", 1)
        runner = Runner("runner-0", self.actor, place)
        runner.alive.set()
        nodes = {"start": {"type": "trigger.manual"}, "fetch": {"type": "flow.no_op"}}
        document, plan = plan_of(nodes, ["start > fetch"])
        work = Work(Execution("exe_1", "default", "wf_1", 1, "api", "running", utc_now()), document, plan, ())
        self.running = RunningOnRay(Pool([runner]), work, b"{}", self.link, self.hand_over)


@pytest.fixture
async def apart() -> AsyncIterator[Apart]:
    apart = Apart()
    async with asyncio.timeout(20):
        yield apart
    apart.running.let_go()
    await asyncio.gather(apart.running.task, return_exceptions=True)


async def test_the_owner_opens_what_the_actor_asks_for_and_seals_it_for_that_ask(apart: Apart) -> None:
    apart.link.vault.put("auth", "secret-token")

    credential = await apart.outbox.open_credential("fetch", "auth")

    assert credential is apart.link.vault.opened[0]
    assert apart.actor.given == [*apart.hand_over.boxes]


@pytest.mark.parametrize(
    ("fault", "code"), [(CredentialRefused("not you"), "credential.refused"), (RuntimeError("a fault"), "node.crashed")]
)
async def test_why_there_is_none_is_told_as_it_is_in_process(apart: Apart, fault: Any, code: str) -> None:
    apart.link.vault.fault = fault

    with pytest.raises(Exception, match=r"not you|a fault") as raised:
        await apart.outbox.open_credential("fetch", "auth")

    assert getattr(raised.value, "code", None) == code


async def test_what_the_run_does_is_journaled_while_a_credential_is_opened(apart: Apart) -> None:
    apart.link.vault.put("auth", "secret-token")
    apart.link.vault.gate.clear()
    opening = asyncio.ensure_future(apart.outbox.open_credential("fetch", "auth"))
    await until(lambda: apart.link.vault.asked)

    apart.outbox.append(e.NodeStarted(utc_now(), "fetch", 1))
    await apart.outbox.commit()

    assert [event.TYPE for event in apart.link.events] == ["node.started"]
    apart.link.vault.gate.set()
    await opening


async def test_what_is_opened_for_a_run_that_is_let_go_is_not_handed_over(apart: Apart) -> None:
    apart.link.vault.put("auth", "secret-token")
    apart.link.vault.gate.clear()
    opening = asyncio.ensure_future(apart.outbox.open_credential("fetch", "auth"))
    await until(lambda: apart.link.vault.asked)

    apart.running.let_go()
    await asyncio.gather(apart.running.task, return_exceptions=True)
    apart.link.vault.gate.set()
    await asyncio.sleep(0)

    assert apart.actor.given == []
    assert apart.hand_over.sealed == 0
    opening.cancel()


# --- on Ray --------------------------------------------------------------------------------------------------------


async def quoting(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Quotes what was sent to it, as careless servers do."""
    body = orjson.dumps({"sent": asked.header("Authorization")})
    writer.write(reply(200, body, "Content-Type: application/json"))
    await writer.drain()


@pytest.fixture
async def loopback() -> AsyncIterator[Loopback]:
    async with serving() as server:
        server.answers["/quoting"] = quoting
        yield server


@pytest.fixture
async def office(ray_executor: RayExecutor) -> AsyncIterator[Office]:
    async with office_with(ray_executor) as office:
        yield office


def fetching(loopback: Loopback, **more: Any) -> dict[str, Any]:
    return {"type": "http.request", "params": {"url": f"{loopback.origin}/quoting"}, **AUTH, **more}


def careless(does: str, **more: Any) -> dict[str, Any]:
    return {"type": "test.careless", "params": {"does": does}, "on_error": "continue", **AUTH, **more}


def leaking(loopback: Loopback) -> Flow:
    """Light and heavy nodes that quote the secret in what they give, in failures and in crashes."""
    nodes = {
        "fetch": fetching(loopback),
        "tell": careless("tell"),
        "crash": careless("crash"),
        "far_fetch": fetching(loopback, **HEAVY),
        "far_tell": careless("tell", **HEAVY),
        "far_crash": careless("crash", **HEAVY),
        "far_retry": {**careless("hash", **HEAVY), "retry": {"tries": 2, "wait_seconds": 0.01, "jitter": False}},
    }
    nodes["far_retry"]["params"]["wants"] = "never"
    # More than Ray passes inline: through its object store.
    items = [{"text": f"{DECOY} " * 5_000, "n": n} for n in range(3)]
    return Flow(nodes, [f"start > {name}" for name in nodes], items)


DECOY = "decoy-that-is-no-secret"


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("more", [{}, HEAVY], ids=["light", "heavy"])
async def test_a_request_is_signed_with_a_credential(office: Office, loopback: Loopback, more: Any) -> None:
    office.vault.keep(bearer("token-of-crm-1234", loopback.origin))

    active = await office.run(Flow({"fetch": fetching(loopback, **more)}, ["start > fetch"]))

    assert [asked.header("Authorization") for asked in loopback.asked] == ["Bearer token-of-crm-1234"]
    [item] = active.result().to_json()
    assert item["body"] == {"sent": "Bearer ***"}
    [used] = [event for event in await office.events(active.execution.id) if isinstance(event, e.CredentialsUsed)]
    assert used.credentials == {"auth": "crd_crm"}


async def stories(executor: Executor, flow: Flow, *, fault: Any = None, origin: str | None = None) -> dict[str, Any]:
    async with office_with(executor) as office:
        office.vault.fault = fault
        if origin is not None:
            office.vault.keep(bearer("token-of-crm-1234", origin))
        return await office.comparable((await office.run(flow)).execution.id)


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("case", ["given", "missing", "revoked", "another host"])
async def test_both_executors_leave_the_same_journal(ray_executor: RayExecutor, loopback: Loopback, case: str) -> None:
    nodes = {
        "light": fetching(loopback, on_error="continue"),
        "heavy": fetching(loopback, on_error="continue", **HEAVY),
    }
    flow = Flow(nodes, ["start > light", "light > heavy"])
    fault = CredentialRefused("taken away") if case == "revoked" else None
    origin = {"given": loopback.origin, "another host": "http://elsewhere.example"}.get(case)

    async with in_process() as executor:
        expected = await stories(executor, flow, fault=fault, origin=origin)
    found = await stories(ray_executor, flow, fault=fault, origin=origin)

    assert found == expected
    codes = {
        "given": None,
        "missing": "credential.not_found",
        "revoked": "credential.refused",
        "another host": "credential.host_refused",
    }
    for node in nodes:
        [story] = [story for story in found[node] if story["type"] == "node.finished"]
        assert (codes[case] or "'sent': 'Bearer ***'") in str(story)


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("more", [{}, HEAVY], ids=["light", "heavy"])
@pytest.mark.parametrize("then", ["taken away", "another"])
async def test_a_further_try_gets_what_the_slot_has_then(
    office: Office, loopback: Loopback, more: Any, then: str
) -> None:
    async def failing_at_first(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if len(loopback.asked) > 1:
            await quoting(asked, writer)
            return
        office.vault.take_away("crm")
        if then == "another":
            office.vault.keep(bearer("token-after-5678", loopback.origin))
        writer.write(reply(503, b"later"))
        await writer.drain()

    loopback.answers["/quoting"] = failing_at_first
    office.vault.keep(bearer("token-before-1234", loopback.origin))
    retry = {"tries": 3, "wait_seconds": 0.01, "jitter": False}

    active = await office.run(Flow({"fetch": fetching(loopback, retry=retry, **more)}, ["start > fetch"]))

    assert active.finished is not None
    sent = [asked.header("Authorization") for asked in loopback.asked]
    if then == "another":
        assert sent == ["Bearer token-before-1234", "Bearer token-after-5678"]
        assert active.finished.status == "succeeded"
    else:
        assert sent == ["Bearer token-before-1234"]
        assert active.finished.failure is not None
        assert active.finished.failure.code == "credential.not_found"


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("more", [{}, HEAVY], ids=["light", "heavy"])
async def test_a_store_that_is_not_there_is_waited_for(
    office: Office, loopback: Loopback, monkeypatch: pytest.MonkeyPatch, more: Any
) -> None:
    monkeypatch.setattr(holding, "SOURCE_PAUSE_SECONDS", 0.05)
    office.vault.keep(bearer("token-of-crm-1234", loopback.origin))
    office.vault.fault = StorageUnavailable()
    active = await office.start(Flow({"fetch": fetching(loopback, **more)}, ["start > fetch"]))
    await until(lambda: len(office.vault.asked) >= 2)

    office.vault.fault = None
    await until(lambda: loopback.asked)

    await until(lambda: active.execution.id not in office.supervisor.holding.held)
    row = await office.store.get_execution("default", active.execution.id)
    assert row is not None
    assert row.status == "succeeded"
    assert len(loopback.asked) == 1


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
async def test_a_called_workflow_asks_in_its_own_name(office: Office, loopback: Loopback) -> None:
    office.vault.keep(bearer("token-of-crm-1234", loopback.origin))
    callee = Flow({"fetch": fetching(loopback)}, ["start > fetch"])
    call = {"type": "flow.sub_workflow", "params": {"workflow": "wf_fetching"}}

    active = await office.run(Flow({"call": call}, ["start > call"], callees={"wf_fetching": callee}))

    assert active.result().to_json()[0]["body"] == {"sent": "Bearer ***"}
    assert [(user.workflow_id, user.author) for user, _, _ in office.vault.asked] == [("wf_fetching", "test")]


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
async def test_cancelling_ends_the_wait_for_a_credential(office: Office, loopback: Loopback) -> None:
    office.vault.gate.clear()
    active = await office.start(Flow({"fetch": fetching(loopback)}, ["start > fetch"]))
    await until(lambda: office.vault.asked)

    await office.supervisor.cancel("default", active.execution.id, "test")
    await active.ended

    assert active.finished is not None
    assert active.finished.status == "cancelled"
    assert office.vault.opened == []
    office.vault.gate.set()


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
async def test_nothing_of_ray_holds_the_secret(
    office: Office, loopback: Loopback, ray_executor: RayExecutor, ray_session: RaySession
) -> None:
    canary = new_canary("canary-")
    office.vault.keep(bearer(canary, loopback.origin))

    active = await office.run(leaking(loopback))

    assert {asked.header("Authorization") for asked in loopback.asked} == {f"Bearer {canary}"}
    assert active.finished is not None
    assert active.finished.status == "succeeded"
    search = Search([canary, DECOY])
    search.data("journal", repr(await office.events(active.execution.id)).encode())
    search.files(ray_session.directory)
    for where, memory in await asyncio.to_thread(lambda: [*object_stores()]):
        search.data(where, memory)
    for where, told in await asyncio.to_thread(told_by_state, ray_executor.dashboard_url):
        search.data(where, told)
    for where, told in await told_by_dashboard(ray_executor, ray_session.directory):
        search.data(where, told)
    assert [hit for hit in search.hits if canary in hit] == []
    # Both were really looked at.
    assert any(hit.startswith("object store") and DECOY in hit for hit in search.hits)
    logs = "".join(path.read_text(errors="replace") for path in ray_session.directory.rglob("worker-*.err"))
    assert logs.count("could not parse *** nor ***") >= 2


def object_stores() -> Iterator[tuple[str, bytes]]:
    """The memory that Ray's processes share, which has no name any more in the file system."""
    seen: set[int] = set()
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if "plasma" in str(entry.readlink()) and (inode := entry.stat().st_ino) not in seen:
                seen.add(inode)
                with entry.open("rb") as memory:
                    yield f"object store {entry}", memory.read()


def told_by_state(address: str | None) -> list[tuple[str, bytes]]:
    """What the state API of Ray says of everything that it knows."""
    from ray.util import state

    lists = (state.list_tasks, state.list_actors, state.list_objects, state.list_workers, state.list_runtime_envs)
    # An object that two processes know of counts twice, and one is missing then as Ray sees it.
    told = [
        (call.__name__, repr(call(address, detail=True, limit=10_000, raise_on_missing_output=False)).encode())
        for call in lists
    ]
    assert b"execute_node_task" in told[0][1] or b"far_fetch" in told[0][1]
    return told


async def told_by_dashboard(ray_executor: RayExecutor, directory: Path) -> list[tuple[str, bytes]]:
    """What its dashboard answers."""
    token = (directory / TOKEN_NAME).read_text()
    paths = ("/api/v0/tasks?detail=1", "/api/v0/actors?detail=1", "/api/v0/objects", "/logical/actors", "/api/jobs/")
    async with httpx2.AsyncClient(base_url=ray_executor.dashboard_url or "") as client:
        answers = [await client.get(path, headers={"Authorization": f"Bearer {token}"}) for path in paths]
    assert [answer.status_code for answer in answers] == [200] * len(paths)
    return [(path, answer.content) for path, answer in zip(paths, answers, strict=True)]

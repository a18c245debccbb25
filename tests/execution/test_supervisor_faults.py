"""The supervisor when the store fails, when it is stopped, and when things happen at the same moment."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TypeGuard

import pytest

from budflow.errors import BudflowError
from budflow.execution.journal import JournalClosed
from budflow.execution.node_work import NodeWork
from budflow.execution.ports import ExecutionBroken
from budflow.execution.records import JournalWrite, Unbegun
from budflow.model import event as e
from budflow.model.execution import ClaimLost, Execution
from budflow.model.identity import new_id, utc_now
from budflow.model.item import ItemList
from budflow.model.journal import EventUnwritable
from budflow.storage.errors import StorageUnavailable
from tests.execution.fakes import until
from tests.execution.server import CALL, SET, Server, hang, serving

SUB = {"sub": {"type": "flow.sub_workflow", "params": {"workflow": "child"}}}


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


def fail_when(server: Server, condition: str, fault: Exception) -> list[JournalWrite]:
    """Make every write that has an event of this type fail; those that failed."""
    append, failed = server.store.append, []

    async def failing(write: JournalWrite) -> None:
        if any(event.type == condition for event in write.events):
            failed.append(write)
            await asyncio.sleep(0)
            raise fault
        await append(write)

    server.store.append = failing  # type: ignore[method-assign] # a store that fails in one place
    return failed


async def works(server: Server) -> bool:
    """Whether the supervisor still serves, and holds nothing any more."""
    await until(lambda: not server.supervisor.status()["running"])
    await server.save("fine", SET, ["start > set"])
    execution_id, _ = await server.submit("fine")
    return (await server.ended(execution_id)).status == "succeeded"


@pytest.mark.parametrize("fault", [StorageUnavailable(), ClaimLost(), RuntimeError("a defect")])
@pytest.mark.parametrize("moment", ["node.started", "node.finished", "execution.finished"])
async def test_whatever_write_fails_waiters_are_told_and_the_others_run(
    server: Server, fault: Exception, moment: str
) -> None:
    await server.save("w", CALL, ["start > call"])
    append = server.store.append
    fail_when(server, moment, fault)
    _, active = await server.submit("w", durable=False)
    assert active is not None
    await asyncio.wait_for(asyncio.wait([active.ended, active.answered]), 5)

    assert isinstance(active.ended.exception(), BudflowError)
    server.store.append = append  # type: ignore[method-assign] # the store is well again
    assert await works(server)


async def test_an_admission_that_fails_is_told_to_who_submits(server: Server) -> None:
    await server.save("w", SET, ["start > set"])
    append = server.store.append
    fail_when(server, "execution.admitted", StorageUnavailable())
    with pytest.raises(StorageUnavailable):
        await server.submit("w")

    server.store.append = append  # type: ignore[method-assign] # the store is well again
    assert await works(server)


async def test_a_run_that_hangs_is_let_go_when_its_journal_breaks_behind_it(server: Server) -> None:
    hang(server)
    await server.save("w", {**CALL, **SET}, ["start > call", "start > set"])
    fail_when(server, "node.started", StorageUnavailable())
    _, active = await server.submit("w", durable=False)
    assert active is not None
    await asyncio.wait_for(asyncio.wait([active.ended]), 5)

    assert isinstance(active.ended.exception(), StorageUnavailable)


async def test_a_child_whose_journal_breaks_is_taken_up_again_and_its_caller_waits(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("budflow.execution.intake.POLL_SECONDS", 0.01)
    await server.save("child", CALL, ["start > call"])
    await server.save("w", SUB, ["start > sub"])
    append, failures = server.store.append, [StorageUnavailable(), StorageUnavailable()]

    async def failing(write: JournalWrite) -> None:
        begins = b'"node":"call"' in b"".join(event.payload for event in write.events if event.type == "node.started")
        if begins and failures:
            raise failures.pop()
        await append(write)

    server.store.append = failing  # type: ignore[method-assign] # a store that fails in one place
    execution_id, _ = await server.submit("w")

    assert (await server.ended(execution_id)).status == "succeeded"
    assert not failures


async def test_a_child_that_is_cancelled_while_it_is_being_started_is_cancelled_then(server: Server) -> None:
    hang(server)
    await server.save("child", CALL, ["start > call"])
    await server.save("w", SUB, ["start > sub"], timeout_seconds=0.05)
    append = server.store.append
    release = asyncio.Event()

    async def slow(write: JournalWrite) -> None:
        if write.children:
            await release.wait()
        await append(write)

    server.store.append = slow  # type: ignore[method-assign] # a store that is slow in one place
    execution_id, active = await server.submit("w")
    assert active is not None
    await asyncio.sleep(0.1)  # The parent's time is up by now.
    release.set()

    ended = await server.ended(execution_id)
    assert ended.failure is not None
    assert ended.failure.code == "execution.timed_out"
    page = await server.store.list_executions("default", limit=10)
    assert {one.status for one in page.items} == {"failed", "cancelled"}


async def test_stopping_tells_those_who_wait_and_gives_the_rest_back(server: Server) -> None:
    hang(server)
    await server.save("w", CALL, ["start > call"])
    begun = [await server.submit("w") for _ in range(4)]
    actives = [active for _, active in begun if active is not None]
    await until(lambda: len(server.http.requests) == 3)

    await server.supervisor.stop(0.01)

    assert [type(active.ended.exception()) for active in actives] == [JournalClosed] * 3
    assert [(await server.row(one)).status for one, _ in begun] == ["queued"] * 4
    for execution_id, _ in begun[:3]:
        assert [event.TYPE for event in await server.events(execution_id)][-1] == "node.started"


async def test_stopping_in_the_moment_of_a_start_tells_those_who_wait(server: Server) -> None:
    await server.save("w", SET, ["start > set"])
    _, active = await server.submit("w", durable=False)
    assert active is not None
    await server.supervisor.stop(0)

    assert active.ended.done()


async def test_what_cannot_be_journaled_is_refused_and_takes_no_place(server: Server) -> None:
    await server.save("w", SET, ["start > set"])
    for durable in (True, False):
        with pytest.raises(EventUnwritable):
            await server.submit("w", [{"big": 2**70}], durable=durable)

    assert server.supervisor.status()["running"] == 0


async def test_a_fault_of_the_engine_ends_the_execution_with_its_own_code(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server.save("w", CALL, ["start > call"])
    hang(server)
    execution_id, active = await server.submit("w")
    assert active is not None
    await until(lambda: server.http.requests)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(NodeWork, "cancelled", fail)
    await server.supervisor.cancel("default", execution_id, "test")

    ended = await server.ended(execution_id)
    assert ended.failure is not None
    assert ended.failure.code == ExecutionBroken.code
    await asyncio.wait_for(active.ended, 5)


async def test_an_executor_that_cannot_begin_ends_the_execution(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server.save("w", SET, ["start > set"])

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(server.executor, "start", fail)
    execution_id, _ = await server.submit("w")

    assert (await server.ended(execution_id)).status == "failed"


async def test_cancelling_what_is_not_stored_yet_reaches_it(server: Server) -> None:
    await server.save("w", {"wait": {"type": "flow.sub_workflow", "params": {"workflow": "w"}}}, ["start > wait"])
    server.store.gate.clear()
    execution_id, active = await server.submit("w", durable=False)
    assert active is not None
    assert await server.supervisor.cancel("default", execution_id, "test") is not None
    assert await server.supervisor.cancel("another project", execution_id, "test") is None
    server.store.gate.set()
    await asyncio.wait_for(active.ended, 5)

    assert (await server.row(execution_id)).status == "cancelled"


async def test_a_queued_execution_survives_a_store_that_fails_while_it_is_taken_up(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = hang(server)
    await server.save("w", CALL, ["start > call"])
    ids = [(await server.submit("w"))[0] for _ in range(4)]
    read, failures = server.store.read_events, [RuntimeError("a defect"), StorageUnavailable()]

    async def failing_for_all(execution_ids: Sequence[str]) -> Mapping[str, Unbegun]:
        raise StorageUnavailable

    async def failing(project_id: str, execution_id: str, **part: int) -> list[e.StoredEvent]:
        if execution_id == ids[3] and failures:
            raise failures.pop()
        return await read(project_id, execution_id, **part)

    monkeypatch.setattr(server.store, "read_unbegun", failing_for_all)
    monkeypatch.setattr(server.store, "read_events", failing)
    monkeypatch.setattr("budflow.execution.intake.POLL_SECONDS", 0.01)
    release.set()
    await until(lambda: not failures)
    monkeypatch.setattr(server.store, "read_events", read)

    assert (await server.ended(ids[3])).status == "succeeded"


async def test_a_queued_execution_whose_plan_is_gone_ends_with_the_reason(server: Server) -> None:
    release = hang(server)
    await server.save("w", CALL, ["start > call"])
    for _ in range(3):
        await server.submit("w")
    lost = Execution(new_id("exe"), "default", "w", 7, "api", "queued", utc_now())
    version, plan = await server.plans.get_to_run("default", "w")
    await server.supervisor.submit(lost, e.Admitted(utc_now(), "start", "api", "t", ItemList.of([{}])), version, plan)
    release.set()

    ended = await server.ended(lost.id)
    assert ended.failure is not None
    assert ended.failure.code == "workflow.version_not_found"


async def test_a_node_fails_whose_rate_the_store_refuses(server: Server) -> None:
    key = "crm-{{ $json.customer }}"
    limited = {"limit": {"type": "flow.rate_limit", "params": {"limit": 5, "key": key}, "on_error": "error_output"}}
    await server.save("w", {**limited, **SET}, ["start > limit", "limit.error > set"])
    execution_id, _ = await server.submit("w", [{"customer": "a\x00b"}])

    assert (await server.ended(execution_id)).status == "succeeded"
    [error] = [event.outputs["error"] for event in await server.events(execution_id) if _gave_error(event)]
    assert error.items[0].error is not None
    assert error.items[0].error.code == "storage.text_refused"


def _gave_error(event: e.Event) -> TypeGuard[e.NodeFinished]:
    return isinstance(event, e.NodeFinished) and "error" in event.outputs

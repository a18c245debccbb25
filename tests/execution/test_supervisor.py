"""The supervisor over a store in memory: admission, the queue, children, cancelling, and what waiters are told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from budflow.execution.children import CALL_DEPTH_MAX
from budflow.model import event as e
from budflow.model.execution import ClaimLost, QueueFull
from budflow.model.identity import utc_now
from tests.execution.fakes import until
from tests.execution.server import CALL, SET, Server, hang, serving


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


async def test_a_pure_execution_that_nobody_waits_for_midway_is_one_single_write(server: Server) -> None:
    await server.save("w", SET, ["start > set"])
    execution_id, active = await server.submit("w", durable=False)
    assert active is not None
    await active.ended

    assert len(server.store.writes) == 1
    assert (await server.row(execution_id)).status == "succeeded"
    kinds = [event.TYPE for event in await server.events(execution_id)]
    assert kinds == [
        "execution.admitted",
        "execution.started",
        "node.finished",
        "node.finished",
        "execution.finished",
    ]


async def test_nobody_is_told_of_the_end_before_it_is_durable(server: Server) -> None:
    await server.save("w", SET, ["start > set"])
    server.store.gate.clear()
    _, active = await server.submit("w", durable=False)
    assert active is not None
    await until(lambda: server.store.writes)
    assert not active.ended.done()
    server.store.gate.set()
    await asyncio.wait_for(active.ended, 5)


async def test_a_durable_start_is_stored_when_it_is_acknowledged(server: Server) -> None:
    release = hang(server)
    await server.save("w", CALL, ["start > call"])
    execution_id, _ = await server.submit("w")

    assert (await server.row(execution_id)).status == "running"
    release.set()
    assert (await server.ended(execution_id)).status == "succeeded"


async def test_what_does_not_fit_waits_in_the_queue_and_runs_later(server: Server) -> None:
    release = hang(server)
    await server.save("w", CALL, ["start > call"])
    ids = [(await server.submit("w"))[0] for _ in range(5)]
    assert [(await server.row(one)).status for one in ids] == ["running"] * 3 + ["queued"] * 2

    release.set()
    assert [(await server.ended(one)).status for one in ids] == ["succeeded"] * 5


async def test_a_server_that_claims_nothing_runs_only_what_a_caller_waits_for() -> None:
    async with serving(claims=False) as server:
        await server.save("w", SET, ["start > set"])
        others, _ = await server.submit("w")
        answered, active = await server.submit("w", durable=False)
        assert active is not None
        await active.ended

        server.supervisor.intake.look()
        waiting = [(await server.submit("w"))[0] for _ in range(2)]
        assert [(await server.row(one)).status for one in (others, *waiting)] == ["queued"] * 3
        assert (await server.row(answered)).status == "succeeded"
        assert [claim.execution_id for claim, _ in await server.store.claim("worker", limit=9)] == [others, *waiting]


async def test_only_what_ends_here_counts_for_how_much_is_asked_of_the_queue(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[None] = []
    monkeypatch.setattr(server.supervisor.intake._pace, "end", lambda: ends.append(None))
    await server.save("w", SET, ["start > set"])

    server.supervisor.holding.deliver("exe_elsewhere", e.Continued(utc_now(), "test"))
    assert ends == []

    await server.ended((await server.submit("w"))[0])
    await until(lambda: ends)
    assert ends == [None]


async def test_a_full_queue_refuses_before_anything_is_stored(server: Server) -> None:
    release = hang(server)
    await server.save("w", CALL, ["start > call"])
    for _ in range(8):
        await server.submit("w")

    with pytest.raises(QueueFull):
        await server.submit("w")
    page = await server.store.list_executions("default", limit=50)
    assert len(page.items) == 8
    release.set()


async def test_a_child_is_admitted_with_the_event_that_names_it_and_gives_its_result(server: Server) -> None:
    await server.save(
        "child", {"set": {"type": "data.set", "params": {"values": {"y": "{{ $json.n + 1 }}"}}}}, ["start > set"]
    )
    await server.save("w", {"sub": {"type": "flow.sub_workflow", "params": {"workflow": "child"}}}, ["start > sub"])
    execution_id, active = await server.submit("w", [{"n": 1}])
    assert active is not None
    await asyncio.wait_for(active.ended, 5)

    assert active.result().to_json() == [{"n": 1, "y": 2}]
    [started] = [event for event in await server.events(execution_id) if isinstance(event, e.ChildStarted)]
    child = await server.row(started.execution_id)
    assert (child.status, child.mode) == ("succeeded", "child")
    assert child.parent is not None
    assert (child.parent.execution_id, child.parent.depth) == (execution_id, 1)
    [write] = [one for one in server.store.writes if one.children]
    assert any(event.type == "child.started" for event in write.events)


async def test_calling_a_workflow_that_is_not_there_fails_the_node_with_its_code(server: Server) -> None:
    await server.save("w", {"sub": {"type": "flow.sub_workflow", "params": {"workflow": "nope"}}}, ["start > sub"])
    execution_id, _ = await server.submit("w")

    ended = await server.ended(execution_id)
    assert ended.failure is not None
    assert (ended.failure.code, ended.failure.node) == ("workflow.not_found", "sub")


def calling(workflow_id: str, **params: Any) -> dict[str, Any]:
    return {"sub": {"type": "flow.sub_workflow", "params": {"workflow": workflow_id, **params}}}


@pytest.mark.parametrize("callee", ["nope", "strict", "w"])
async def test_a_call_that_nobody_waits_for_fails_its_node_where_it_cannot_be_made(server: Server, callee: str) -> None:
    trigger = {"start": {"type": "trigger.manual", "params": {"inputs": {"id": {"required": True}}}}}
    await server.save("strict", {**trigger, **SET}, ["start > set"])
    await server.save("w", calling(callee, wait=False, call="per_item"), ["start > sub"])
    execution_id, _ = await server.submit("w", [{"id": 1}, {"n": 2}])

    ended = await server.ended(execution_id)

    codes = {"nope": "workflow.not_found", "strict": "workflow.input_invalid", "w": "workflow.call_cycle"}
    assert ended.failure is not None
    assert (ended.status, ended.failure.code, ended.failure.node) == ("failed", codes[callee], "sub")


async def test_calls_that_nobody_waits_for_are_not_kept_in_mind(server: Server) -> None:
    release = hang(server)
    await server.save("set", SET, ["start > set"])
    await server.save("w", {**calling("set", wait=False, call="per_item"), **CALL}, ["start > sub", "sub > call"])
    execution_id, _ = await server.submit("w", [{"n": 1}, {"n": 2}])

    await until(lambda: server.http.requests)

    assert not server.supervisor.holding.held[execution_id].calls
    release.set()
    assert (await server.ended(execution_id)).status == "succeeded"


async def test_a_call_for_each_item_names_the_item_as_its_caller_knows_it(server: Server) -> None:
    trigger = {"start": {"type": "trigger.manual", "params": {"inputs": {"n": {"type": "integer"}}}}}
    await server.save("strict", {**trigger, **SET}, ["start > set"])
    await server.save("w", calling("strict", call="per_item"), ["start > sub"])
    execution_id, _ = await server.submit("w", [{"n": 1}, {"n": "two"}])

    ended = await server.ended(execution_id)

    assert ended.failure is not None
    assert ended.failure.message.startswith("Item 1: the field `n` must be")


async def test_calls_end_at_the_depth_limit(server: Server) -> None:
    server.supervisor.intake.running_max = CALL_DEPTH_MAX + 10
    for level in range(CALL_DEPTH_MAX + 1):
        await server.save(f"w{level}", calling(f"w{level + 1}"), ["start > sub"])
    await server.save(f"w{CALL_DEPTH_MAX + 1}", SET, ["start > set"])
    execution_id, _ = await server.submit("w0")

    ended = await server.ended(execution_id)
    assert ended.failure is not None
    assert ended.failure.code == "workflow.call_too_deep"
    way = ended.failure.message
    assert way.startswith("In `w1` (exe_")
    assert way.endswith("Workflows call each other too deeply.")
    assert way.count("In `w") == 3  # The first that was called, and where it happened.
    assert len(way) < 300
    page = await server.store.list_executions("default", limit=100)
    assert len(page.items) == CALL_DEPTH_MAX + 1


async def test_a_workflow_that_calls_itself_through_another_is_refused(server: Server) -> None:
    await server.save("a", calling("b"), ["start > sub"])
    await server.save("b", calling("a"), ["start > sub"])
    execution_id, _ = await server.submit("a")

    ended = await server.ended(execution_id)
    assert ended.failure is not None
    assert ended.failure.code == "workflow.call_cycle"
    assert "(exe_" in ended.failure.message  # With the way down to where it happened.
    page = await server.store.list_executions("default", limit=100)
    assert len(page.items) == 2


async def test_cancelling_reaches_the_running_node_and_the_child(server: Server) -> None:
    hang(server)
    await server.save("child", CALL, ["start > call"])
    await server.save("w", {"sub": {"type": "flow.sub_workflow", "params": {"workflow": "child"}}}, ["start > sub"])
    execution_id, _ = await server.submit("w")
    await until(lambda: server.http.requests)

    await server.supervisor.cancel("default", execution_id, "test")

    assert (await server.ended(execution_id)).status == "cancelled"
    page = await server.store.list_executions("default", limit=10)
    assert {one.status for one in page.items} == {"cancelled"}


async def test_cancelling_a_queued_execution_ends_it_at_once(server: Server) -> None:
    release = hang(server)
    await server.save("w", CALL, ["start > call"])
    ids = [(await server.submit("w"))[0] for _ in range(4)]

    cancelled = await server.supervisor.cancel("default", ids[3], "test")
    assert cancelled is not None
    assert cancelled.status == "cancelled"
    release.set()
    assert (await server.ended(ids[0])).status == "succeeded"
    assert [event.TYPE for event in await server.events(ids[3])] == ["execution.admitted", "execution.finished"]


async def test_one_broken_execution_leaves_the_others_running(server: Server) -> None:
    await server.save("w", SET, ["start > set"])
    broken, _ = await server.submit("w")
    await server.ended(broken)
    await server.save("call", CALL, ["start > call"])
    release = hang(server)
    stale, active = await server.submit("call")
    assert active is not None
    # Another runner takes this one for dead: what it gives back has a newer token.
    await server.store.release_dead("run_2")
    release.set()
    await asyncio.wait([active.ended])

    assert isinstance(active.ended.exception(), ClaimLost)
    fine, _ = await server.submit("w")
    assert (await server.ended(fine)).status == "succeeded"
    assert (await server.ended(stale)).status == "succeeded"  # Whoever claims it goes on.


async def test_static_data_is_committed_with_the_node_and_seen_by_the_next_execution(server: Server) -> None:
    params = {"key": "{{ $json.id }}", "scope": "workflow"}
    await server.save("w", {"new": {"type": "data.deduplicate", "params": params}}, ["start > new"])
    first, _ = await server.submit("w", [{"id": 1}, {"id": 2}])
    await server.ended(first)
    second, _ = await server.submit("w", [{"id": 2}, {"id": 3}])
    await server.ended(second)

    outputs = [event.outputs for event in await server.events(second) if isinstance(event, e.NodeFinished)][-1]
    assert outputs["main"].to_json() == [{"id": 3}]
    assert len((await server.store.get_static("default", "w"))["new"]["seen"]) == 3


async def test_what_is_held_by_the_newest_claim_is_not_given_up(server: Server) -> None:
    release = hang(server)
    await server.save("w", CALL, ["start > call"])
    execution_id, _ = await server.submit("w")
    token = (await server.row(execution_id)).token

    assert not server.supervisor.drop(execution_id, token)
    assert not server.supervisor.drop("exe_unknown", token + 1)
    release.set()
    assert (await server.ended(execution_id)).status == "succeeded"


async def test_what_is_given_up_for_nothing_is_taken_up_again(server: Server) -> None:
    release = hang(server)
    await server.save("w", CALL, ["start > call"])
    execution_id, _ = await server.submit("w")
    token = (await server.row(execution_id)).token

    assert server.supervisor.drop(execution_id, token + 1)
    release.set()

    ended = await server.ended(execution_id)
    assert ended.status == "succeeded"
    assert ended.token > token

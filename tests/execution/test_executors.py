"""Executions in process and on Ray: one engine, so the same workflows leave the same journals."""

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from budflow.execution.inprocess import InProcessExecutor
from budflow.execution.ports import Executor
from budflow.execution.process_pool import ProcessPool
from budflow.model import event as e
from budflow.runner import open_hand_over
from tests.egress.loopback import Loopback, reply, serving
from tests.execution.fakes import until
from tests.execution.heavy_nodes import open_test_runner
from tests.execution.office import RUNNER, Flow, Office
from tests.until import until as eventually

ON_RAY = [pytest.mark.ray, pytest.mark.xdist_group("ray")]
SET = "data.set"
FAIL = {"type": "flow.stop_and_error", "params": {"message": "no"}}


def setting(**values: Any) -> dict[str, Any]:
    return {"type": SET, "params": {"values": values}}


def chain(length: int, items: list[dict[str, Any]]) -> Flow:
    nodes = {f"n{i}": setting(**{f"v{i}": "{{ $json.a + " + str(i) + " }}"}) for i in range(length)}
    return Flow(nodes, ["start > n0", *(f"n{i} > n{i + 1}" for i in range(length - 1))], items)


BRANCHES = Flow(
    {
        "check": {"type": "flow.if", "params": {"condition": "{{ $json.a > 1 }}"}},
        "yes": setting(b="{{ $node.start.json.a * 10 }}"),
        "no": setting(b=0),
        "join": {"type": "flow.merge"},
    },
    ["start > check", "check.true > yes", "check.false > no", "yes > join", "no > join"],
    [{"a": 1}, {"a": 2}, {"a": 3}],
)
CALLEE = Flow({"double": setting(a="{{ $json.a * 2 }}")}, ["start > double"])
CALLING = Flow(
    {"call": {"type": "flow.sub_workflow", "params": {"workflow": "wf_double"}}, "after": setting(seen=True)},
    ["start > call", "call > after"],
    [{"a": 1}, {"a": 2}],
    {"wf_double": CALLEE},
)
CALLING_A_FAILURE = Flow(
    {"call": {"type": "flow.sub_workflow", "params": {"workflow": "wf_failing"}}},
    ["start > call"],
    callees={"wf_failing": Flow({"fail": FAIL}, ["start > fail"])},
)
HEAVY = Flow(
    {
        "set": setting(b="{{ $json.a * 2 }}", tag="{{ $item }}"),
        "keep": {"type": "flow.filter", "params": {"condition": "{{ $json.a != 2 }}"}},
        "heavy": {
            **setting(
                c="{{ $node.set.json.tag }}/{{ $node.start.items.length() }}/{{ $execution.mode }}",
                b="{{ $now.year() }}",
            ),
            "resources": {"num_cpus": 1},
        },
        "sort": {
            "type": "data.sort",
            "params": {"by": [{"field": "a", "order": "desc"}]},
            "resources": {"num_cpus": 1},
        },
    },
    ["start > set", "set > keep", "keep.kept > heavy", "heavy > sort"],
    [{"a": 1}, {"a": 2}, {"a": 3}],
)


def with_failure(on_error: str) -> Flow:
    failing = {**setting(x="{{ 1 / $json.a }}"), "on_error": on_error}
    port = "after > end" if on_error != "error_output" else "bad.error > end"
    nodes = {"bad": failing, "after": {"type": "flow.no_op"}, "end": {"type": "flow.no_op"}}
    return Flow(nodes, ["start > bad", "bad > after", port], [{"a": 1}, {"a": 0}])


def heavy_failure(on_error: str) -> Flow:
    flow = with_failure(on_error)
    nodes = {**flow.nodes, "bad": {**flow.nodes["bad"], "resources": {"num_cpus": 1}}}
    return Flow(nodes, flow.edges, flow.items)


def fetching(origin: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "http.request",
        "params": {"url": f"{origin}/thing", "method": "POST", "body": "{{ $json }}"},
        **more,
    }


PURE = {
    "a chain": (chain(10, [{"a": 1}, {"a": 2}]), "succeeded"),
    "branches and a join": (BRANCHES, "succeeded"),
    "a called workflow": (CALLING, "succeeded"),
    "a called workflow that fails": (CALLING_A_FAILURE, "failed"),
    "a failure that stops": (with_failure("stop"), "failed"),
    "a failure that passes on": (with_failure("continue"), "succeeded"),
    "a failure that leaves by its own port": (with_failure("error_output"), "succeeded"),
    "heavy nodes": (HEAVY, "succeeded"),
    "a failing item of a heavy node": (heavy_failure("continue"), "succeeded"),
    "a heavy node that stops": (heavy_failure("stop"), "failed"),
    "an answer": (
        Flow({"answer": {"type": "http.respond", "params": {"body": "{{ $json }}"}}}, ["start > answer"]),
        "succeeded",
    ),
}


@asynccontextmanager
async def in_process() -> AsyncIterator[Executor]:
    pool = ProcessPool(functools.partial(open_test_runner, ("127.0.0.1",)), size=1, hand_over=open_hand_over())
    opened = open_test_runner(heavy=pool)
    yield InProcessExecutor(opened.tools, RUNNER)
    await pool.close()
    await opened.close()


@asynccontextmanager
async def office_with(executor: Executor) -> AsyncIterator[Office]:
    office = Office(executor)
    await office.supervisor.start()
    await until(lambda: not office.supervisor.intake.queued)
    async with asyncio.timeout(60):
        yield office
    await office.supervisor.stop(0.1)


@pytest.fixture(params=["inprocess", pytest.param("ray", marks=ON_RAY)])
async def office(request: pytest.FixtureRequest) -> AsyncIterator[Office]:
    if request.param == "ray":
        async with request.getfixturevalue("ray_session").executor() as executor, office_with(executor) as office:
            yield office
    else:
        async with in_process() as executor, office_with(executor) as office:
            yield office


@pytest.fixture
async def loopback() -> AsyncIterator[Loopback]:
    async with serving() as server:
        server.answers["/thing"] = reply(200, b'{"ok": true}', "Content-Type: application/json")
        yield server


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize(("flow", "status"), PURE.values(), ids=PURE.keys())
async def test_both_executors_leave_the_same_journal(flow: Flow, status: str, ray_executor: Executor) -> None:
    async with in_process() as executor, office_with(executor) as office:
        here = await office.run(flow)
        expected = await office.comparable(here.execution.id)
    async with office_with(ray_executor) as office:
        there = await office.run(flow)
        assert await office.comparable(there.execution.id) == expected
    assert there.result().to_json() == here.result().to_json()
    assert there.finished is not None
    assert there.finished.status == status


@pytest.mark.ray
@pytest.mark.xdist_group("ray")
async def test_both_executors_tell_the_same_of_outside_effects_and_retries(
    ray_executor: Executor, loopback: Loopback
) -> None:
    loopback.answers["/broken"] = reply(503, b"later")
    retried = fetching(loopback.origin, retry={"tries": 3, "wait_seconds": 0.01, "jitter": False}, on_error="continue")
    retried["params"]["url"] = f"{loopback.origin}/broken"
    heavy = fetching(loopback.origin, resources={"num_cpus": 1})
    nodes = {"fetch": fetching(loopback.origin), "retried": retried, "heavy": heavy}
    flow = Flow(nodes, ["start > fetch", "fetch > retried", "fetch > heavy"], [{"a": 1}, {"a": 2}])

    async with in_process() as executor, office_with(executor) as office:
        here = (await office.run(flow)).execution.id
        expected, logged = await office.comparable(here), await office.logged(here)
    asked = len(loopback.asked)
    async with office_with(ray_executor) as office:
        there = (await office.run(flow)).execution.id
        found = await office.comparable(there)
        assert sorted(await office.logged(there)) == sorted(logged)

    assert len(logged) == asked
    assert found == expected
    assert len(loopback.asked) == 2 * asked
    assert [story["type"] for story in expected["retried"]].count("node.items_retried") == 2


async def test_a_cancelled_execution_stops_waiting(office: Office, loopback: Loopback) -> None:
    loopback.answers["/thing"] = loopback.hang
    active = await office.start(Flow({"fetch": fetching(loopback.origin, effect="pure")}, ["start > fetch"]))
    await loopback.arrived.wait()

    await office.supervisor.cancel("default", active.execution.id, "test")
    await active.ended

    assert active.finished is not None
    assert active.finished.status == "cancelled"


async def test_the_cancellation_of_a_caller_reaches_the_called(office: Office, loopback: Loopback) -> None:
    loopback.answers["/thing"] = loopback.hang
    callee = Flow({"fetch": fetching(loopback.origin, effect="pure")}, ["start > fetch"])
    call = {"type": "flow.sub_workflow", "params": {"workflow": "wf_hanging"}}
    active = await office.start(Flow({"call": call}, ["start > call"], callees={"wf_hanging": callee}))
    await loopback.arrived.wait()

    await office.supervisor.cancel("default", active.execution.id, "test")
    await active.ended

    [child] = [event for event in await office.events(active.execution.id) if isinstance(event, e.ChildFinished)]
    assert child.status == "cancelled"


async def test_an_effect_is_journaled_before_it_happens(office: Office, loopback: Loopback) -> None:
    loopback.answers["/thing"] = loopback.hang
    active = await office.start(Flow({"fetch": fetching(loopback.origin)}, ["start > fetch"]))
    await loopback.arrived.wait()

    events = await office.events(active.execution.id)

    assert [event.node for event in events if isinstance(event, e.NodeStarted)] == ["fetch"]
    await office.supervisor.cancel("default", active.execution.id, "test")
    loopback.released.set()
    await active.ended


async def test_a_heavy_node_runs_in_another_process_and_says_so(office: Office) -> None:
    active = await office.run(Flow({"where": {"type": "test.where"}}, ["start > where"]))

    [ran] = [
        event
        for event in await office.events(active.execution.id)
        if isinstance(event, e.NodeFinished) and event.node == "where"
    ]
    assert ran.place is not None
    assert ran.outputs["main"].to_json() == [{"pid": ran.place.pid}]
    assert ran.place.pid != (await office.started(active.execution.id)).place.pid


async def test_what_a_heavy_node_logs_comes_while_it_runs_and_once(office: Office, tmp_path: Path) -> None:
    release = tmp_path / "release"
    loud = {"type": "test.loud", "params": {"seconds": 0.3, "until": str(release)}}
    active = await office.start(Flow({"loud": loud}, ["start > loud"]))

    async def logged() -> bool:
        return bool(await office.logged(active.execution.id))

    await eventually(logged, seconds=30)
    early = await office.logged(active.execution.id)
    release.touch()
    await active.ended

    lines = await office.logged(active.execution.id)
    assert lines == [
        *(("loud", "info", f"line {number}", None, 1) for number in range(3)),
        ("loud", "warning", "line 3", 0, 1),
        ("loud", "info", "line 4", None, 1),
    ]
    assert early == lines[:4]


async def test_a_heavy_node_that_never_gives_way_is_ended_when_its_time_is_up(office: Office) -> None:
    block = {"type": "test.block", "params": {"seconds": 60}, "timeout_seconds": 0.2}

    active = await office.run(Flow({"block": block}, ["start > block"]))

    assert active.finished is not None
    assert active.finished.failure is not None
    assert active.finished.failure.code == "node.timed_out"


async def test_the_death_of_its_process_fails_a_heavy_node_and_nothing_else(office: Office) -> None:
    nodes = {
        "die": {"type": "test.die", "on_error": "continue"},
        "after": {"type": "test.where"},
    }

    active = await office.run(Flow(nodes, ["start > die", "die > after"]))

    assert active.finished is not None
    assert active.finished.status == "succeeded"
    [died] = [
        event
        for event in await office.events(active.execution.id)
        if isinstance(event, e.NodeFinished) and event.node == "die"
    ]
    [item] = died.outputs["main"].items
    assert item.error is not None
    assert item.error.code in ("node.process_died", "ray.segment_lost")


async def test_cancelling_stops_a_heavy_node_at_once(office: Office, tmp_path: Path) -> None:
    mark = tmp_path / "begun"
    block = {"type": "test.block", "params": {"seconds": 60, "mark": str(mark)}}
    active = await office.start(Flow({"block": block}, ["start > block"]))
    await until(mark.exists)

    await office.supervisor.cancel("default", active.execution.id, "test")
    async with asyncio.timeout(5):
        await active.ended

    assert active.finished is not None
    assert active.finished.status == "cancelled"

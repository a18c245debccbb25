"""Executions in process and on Ray: one engine, so the same workflows leave the same journals."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from budflow.execution.ports import Executor
from budflow.model import event as e
from tests.egress.loopback import Loopback, reply, serving
from tests.execution.everywhere import (
    Played,
    in_process,
    office_with,
    played_in_process,
    played_on_local_ray,
    played_on_nodes,
)
from tests.execution.fakes import until
from tests.execution.office import Flow, Office
from tests.golden.cases import CASES
from tests.until import until as eventually

ON_RAY = [pytest.mark.ray, pytest.mark.xdist_group("ray")]
ON_NODES = [*ON_RAY, pytest.mark.process, pytest.mark.postgres]


def fetching(origin: str, **more: Any) -> dict[str, Any]:
    return {
        "type": "http.request",
        "params": {"url": f"{origin}/thing", "method": "POST", "body": "{{ $json }}"},
        **more,
    }


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


@pytest.fixture(scope="module")
def played_here() -> Played:
    """What every workflow comes to in process."""
    return played_in_process(CASES)


@pytest.fixture(scope="module")
def played_there(request: pytest.FixtureRequest) -> Played:
    """The same on Ray."""
    if request.param == "local":
        return played_on_local_ray(CASES, request.getfixturevalue("ray_session"))
    return played_on_nodes(CASES, request.getfixturevalue("two_nodes"), request.getfixturevalue("postgres_server"))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "played_there",
    [pytest.param("local", marks=ON_RAY), pytest.param("two nodes", marks=ON_NODES)],
    indirect=True,
)
def test_every_workflow_leaves_the_same_journal_everywhere(
    name: str, played_here: Played, played_there: Played
) -> None:
    here, there = played_here[name], played_there[name]

    assert (here.status, there.status) == (CASES[name].status, CASES[name].status)
    assert there.journal == here.journal
    assert there.log == here.log


@pytest.mark.parametrize("played_there", [pytest.param("two nodes", marks=ON_NODES)], indirect=True)
def test_heavy_segments_run_on_both_nodes(played_there: Played) -> None:
    [(name, case)] = [(name, case) for name, case in CASES.items() if case.meets]

    assert len({played_there[name].places[node] for node in case.meets}) == 2


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

"""A run when a node type is faulty, or gives what it must not, or is stopped at an awkward moment."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from budflow.execution import run as run_module
from budflow.execution.ports import Work
from budflow.execution.run import Run
from budflow.execution.tools import Tools
from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.control import FromCall, Respond, Settle
from budflow.model.execution import Execution
from budflow.model.failure import NodeError
from budflow.model.identity import new_id, utc_now
from budflow.model.item import ItemList
from budflow.model.node import Outputs
from tests.execution.fakes import PLACE, FakeHttp, FakeLink, plan_of, run_to_end, start_run, until

START = {"start": {"type": "trigger.manual"}}
FAULTY = {"type": "data.set", "params": {"values": {"x": "{{ 1 / 0 }}"}}}
CALL = {"type": "http.request", "params": {"url": "https://example.com/"}}
POST = {"type": "http.request", "params": {"url": "https://example.com/", "method": "POST"}}
SUB = {"type": "flow.sub_workflow", "params": {"workflow": "wf_2"}}


def with_call(plan: Plan, key: str, call: Callable[..., Any], **changes: Any) -> Plan:
    """The plan with another function behind one of its nodes."""
    nodes = list(plan.nodes)
    node = nodes[plan.index[key]]
    nodes[node.index] = replace(node, spec=replace(node.spec, call=call, **changes))
    return replace(plan, nodes=tuple(nodes))


async def run_with(node: dict[str, Any], call: Callable[..., Any], items: int = 1, **changes: Any) -> FakeLink:
    """Run one node of a changed type to its end."""
    document, plan = plan_of({**START, "odd": node}, ["start > odd"])
    link = FakeLink()
    execution = Execution(new_id("exe"), "default", "wf_1", 1, "api", "running", utc_now())
    admitted = e.Admitted(utc_now(), "start", "api", "test", ItemList.of({"i": i} for i in range(items)))
    work = Work(execution, document, with_call(plan, "odd", call, **changes), (admitted,))
    run = Run(work, link, Tools(PLACE, FakeHttp()), "run_1")
    run.start()
    async with asyncio.timeout(5):
        await run.wait()
    return link


def raising(error: BaseException) -> Callable[..., Any]:
    def call(*_: object) -> object:
        raise error

    return call


def emitting(value: Any) -> Callable[..., Any]:
    def call(_: object) -> Outputs:
        outputs = Outputs()
        outputs.emit("main", value)
        return outputs

    return call


async def test_a_failure_before_its_sibling_had_its_first_turn_ends_the_execution() -> None:
    link = await run_to_end({**START, "bad": FAULTY, "beside": CALL}, ["start > bad", "start > beside"])

    assert link.end.failure is not None
    assert link.end.failure.node == "bad"
    assert [event.node for event in link.of(e.NodeCancelled)] == ["beside"]


async def test_cancelling_in_the_moment_of_the_start_ends_the_execution() -> None:
    run, link = start_run({**START, "call": CALL}, ["start > call"])
    run.deliver(e.CancelRequested(utc_now(), "somebody"))
    await asyncio.wait_for(run.wait(), 5)

    assert link.end.status == "cancelled"
    assert [event.node for event in link.of(e.NodeCancelled)] == ["start"]


async def test_a_control_node_that_fails_at_once_keeps_the_one_beside_it_from_starting() -> None:
    nodes = {**START, "bad": {"type": "http.respond", "params": {"body": "{{ 1 / 0 }}"}}, "sub": SUB}
    link = await run_to_end(nodes, ["start > bad", "start > sub"])

    assert link.end.status == "failed"
    assert "sub" not in [event.node for event in link.of(e.NodeStarted)]
    assert not link.calls


async def test_a_run_that_is_let_go_appends_nothing_more() -> None:
    http = FakeHttp(lambda _request: asyncio.Event().wait())
    run, link = start_run({**START, "call": CALL}, ["start > call"], http=http, timeout_seconds=0.01)
    waiter = asyncio.create_task(run.wait())
    await until(lambda: http.requests)
    before = list(link.events)

    waiter.cancel()
    await asyncio.wait([waiter])
    run.deliver(e.CancelRequested(utc_now(), "too late"))
    await asyncio.sleep(0.03)

    assert link.events == before


async def test_an_effect_that_may_happen_once_is_cancelled_at_once_until_it_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    link = FakeLink()
    committing = asyncio.Event()

    async def commit() -> None:
        committing.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(link, "commit", commit)
    http = FakeHttp()
    run, _ = start_run({**START, "post": POST}, ["start > post"], link=link, http=http)
    await committing.wait()
    run.deliver(e.CancelRequested(utc_now(), "somebody"))
    await asyncio.wait_for(run.wait(), 5)

    assert link.end.status == "cancelled"
    assert not http.requests


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(run_module, "ONCE_GRACE_SECONDS", 0.02)
    yield


@pytest.mark.usefixtures("short_grace")
@pytest.mark.parametrize("ends_by_itself", [True, False])
async def test_an_effect_that_may_happen_once_gets_a_while_to_end(ends_by_itself: bool) -> None:
    release = asyncio.Event()

    async def answer() -> int:
        await release.wait()
        return 200

    http = FakeHttp(lambda _request: answer())
    run, link = start_run({**START, "post": POST}, ["start > post"], http=http)
    await until(lambda: http.requests)
    run.deliver(e.CancelRequested(utc_now(), "somebody"))
    if ends_by_itself:
        release.set()
    await asyncio.wait_for(run.wait(), 5)

    assert link.end.status == "cancelled"
    ends = [event for event in link.events if isinstance(event, e.NodeFinished | e.NodeCancelled)]
    assert isinstance(ends[-1], e.NodeFinished) == ends_by_itself


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (raising(RuntimeError("a defect")), "node.crashed"),
        (raising(NodeError("half a pair: \ud800")), "node.failed"),
        (raising(asyncio.CancelledError()), "node.crashed"),
        (lambda _batch: None, "node.crashed"),
        (emitting("no item"), "node.result_malformed"),
        (emitting({"big": 2**70}), "journal.unwritable"),
        (emitting({"half": "\ud800"}), "journal.unwritable"),
        (emitting({"thing": object()}), "journal.unwritable"),
        (lambda _batch: Outputs(failed={0: "no error"}), "node.crashed"),  # type: ignore[dict-item] # on purpose
    ],
)
async def test_whatever_a_node_type_does_the_node_fails_and_the_execution_ends(
    call: Callable[..., Any], code: str
) -> None:
    link = await run_with({"type": "data.set", "params": {"values": {}}}, call)
    assert link.end.failure is not None
    assert (link.end.failure.code, link.end.failure.node) == (code, "odd")

    passed_on = await run_with({"type": "data.set", "params": {"values": {}}, "on_error": "continue"}, call)
    assert passed_on.end.status == "succeeded"
    assert passed_on.output("odd") == [{"i": 0}]


@pytest.mark.parametrize("items", [1, 50])
async def test_a_cancellation_that_comes_out_of_a_call_by_itself_loses_no_item(items: int) -> None:
    async def call(call: Any) -> dict[str, Any]:
        if call.item.json["i"] % 2:
            raise asyncio.CancelledError
        return {}

    link = await run_with({**CALL, "on_error": "error_output"}, call, items=items)

    [finished] = [event for event in link.of(e.NodeFinished) if event.node == "odd"]
    assert sum(len(ports) for ports in finished.outputs.values()) == items


async def test_a_type_that_cannot_tell_its_effect_is_taken_for_the_worst() -> None:
    async def call(_: object) -> dict[str, Any]:
        return {}

    link = await run_with(CALL, call, effect=raising(RuntimeError("a defect")))
    assert [event.node for event in link.of(e.NodeStarted)] == ["odd"]
    assert link.end.status == "succeeded"


@pytest.mark.parametrize(
    "call",
    [
        raising(RuntimeError("a defect")),
        lambda _state, _event: None,
        lambda _state, _event: (None, ["no command"]),
        lambda _state, _event: (None, [Settle({"nowhere": FromCall(0)})]),
        lambda _state, _event: (None, [Respond(200, {}, 2**70)]),
    ],
)
async def test_whatever_a_control_node_decides_it_fails_and_the_execution_ends(call: Callable[..., Any]) -> None:
    link = await run_with(SUB, call)

    assert link.end.status == "failed"
    assert link.end.failure is not None
    assert link.end.failure.node == "odd"


async def test_the_end_of_a_child_that_nobody_awaits_is_journaled_as_ignored() -> None:
    run, link = start_run({**START, "sub": SUB, "call": CALL}, ["start > sub", "start > call"], http=FakeHttp(hang))
    await until(lambda: link.calls)
    finished = e.ChildFinished(utc_now(), "sub", 0, "succeeded", ItemList.of([{}]))
    run.deliver(finished)
    run.deliver(finished)
    run.deliver(e.CancelRequested(utc_now(), "somebody"))
    await asyncio.wait_for(run.wait(), 5)

    assert [event.node for event in link.of(e.ResultIgnored)] == ["sub"]


async def hang(_request: object) -> None:
    await asyncio.Event().wait()


async def test_a_fault_of_the_engine_itself_is_told_to_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    run, link = start_run({**START, "sub": SUB}, ["start > sub"])
    await until(lambda: link.calls)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(link, "append", fail)
    run.deliver(e.CancelRequested(utc_now(), "somebody"))
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(run.wait(), 5)


async def test_run_once_shows_a_node_with_two_inputs_only_the_first_item() -> None:
    nodes = {
        **START,
        "a": {"type": "flow.no_op"},
        "b": {"type": "flow.no_op"},
        "pair": {"type": "flow.merge", "params": {"mode": "by_position", "join": "outer"}, "run_once": True},
    }
    edges = ["start > a", "start > b", "a > pair.left", "b > pair.right"]
    link = await run_to_end(nodes, edges, [{"n": 1}, {"n": 2}])

    assert link.output("pair") == [{"n": 1}]


@pytest.mark.parametrize("width", [1, 10, 498])
async def test_deep_and_wide_graphs_and_no_items_at_all_are_nothing_special(width: int) -> None:
    nodes: dict[str, Any] = {**START, "join": {"type": "flow.merge"}}
    edges = []
    for column in range(width):
        above = "start"
        for row in range(498 // width):
            key = f"n{column}_{row}"
            nodes[key] = {"type": "flow.no_op"}
            edges.append(f"{above} > {key}")
            above = key
        edges.append(f"{above} > join")

    assert len((await run_to_end(nodes, edges)).output("join")) == width
    assert (await run_to_end(nodes, edges, [])).end.status == "succeeded"

"""The story of an execution: what its journal says of each node, in bodies and rounds too."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from budflow.execution.active import Active
from budflow.execution.inprocess import InProcessExecutor
from budflow.execution.projection import NodeStory, Story, Wanted, read_story, tell
from budflow.execution.tools import Tools
from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.execution import Place
from budflow.model.item import ItemList
from budflow.model.journal_row import EventUnreadable
from tests.execution.office import Flow, Office

AT = datetime(2026, 1, 1, tzinfo=UTC)
PLACE = Place("inprocess", "here", 7)


def body(nodes: dict[str, Any], *edges: str) -> dict[str, Any]:
    pairs = [edge.split(" > ") for edge in edges]
    return {"body": {"nodes": nodes, "edges": [{"from": source, "to": target} for source, target in pairs]}}


def loop(inner: dict[str, Any], *edges: str, **params: Any) -> Flow:
    """Each item goes through a body."""
    return Flow(
        {"each": {"type": "flow.for_each", "params": params, "bodies": body(inner, *edges)}},
        ["start > each"],
        [{"n": number} for number in range(4)],
    )


#: A body with a control node in it is run round by round, each node with events of its own.
ROUND_BY_ROUND = loop(
    {
        "price": {"type": "data.set", "params": {"values": {"price": "{{ $json.n * 10 }}"}}},
        "pace": {"type": "flow.wait", "params": {"mode": "duration", "seconds": 0}},
    },
    *("$in > price", "price > pace", "pace > $out"),
    concurrency=4,
)
LIGHT = loop(
    {
        "check": {"type": "flow.filter", "params": {"condition": True}},
        "share": {"type": "data.set", "params": {"values": {"share": "{{ 6 / (2 - $json.n) }}"}}},
    },
    *("$in > check", "check.kept > share", "share > $out"),
    on_item_error="continue",
)


#: Two branches; with `n` at 1 the first is dead, with what has effects and bodies, and the second runs.
BRANCHES = {
    "split": {"type": "flow.if", "params": {"condition": "{{ $json.n > 1 }}"}},
    "big": {"type": "data.set", "params": {"values": {"big": True}}},
    "told": {"type": "http.request", "params": {"url": "http://127.0.0.1/{{ $json.n }}"}},
    "each": {
        "type": "flow.for_each",
        "bodies": body({"inner": {"type": "flow.no_op"}}, "$in > inner", "inner > $out"),
    },
    "small": {"type": "data.set", "params": {"values": {"big": False}}},
    "end": {"type": "flow.no_op"},
}
BRANCHES_EDGES = (
    *("start > split", "split.true > big", "big > told", "big > each"),
    *("split.false > small", "small > end"),
)


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    office = Office(InProcessExecutor(Tools(PLACE, None), "run_test"))  # type: ignore[arg-type] # nothing sends requests
    await office.supervisor.start()
    yield office
    await office.supervisor.stop()


async def story_of(office: Office, flow: Flow, wanted: Wanted | None = None) -> Story:
    active = await office.run(flow)
    return tell(active.plan, await office.events(active.execution.id), wanted or Wanted())


def node(story: Story, key: str) -> NodeStory:
    return next(one for one in story.nodes if one.key == key)


def number_of(active: Active, key: str) -> int:
    return active.plan.index[key]


async def test_nodes_in_a_body_are_told_with_all_their_rounds(office: Office) -> None:
    story = await story_of(office, ROUND_BY_ROUND)

    price, each, start = node(story, "price"), node(story, "each"), node(story, "start")
    assert (price.container, price.body, price.status, price.runs) == ("each", "body", "succeeded", 4)
    assert price.counts == {"main": 4}
    assert [item["price"] for item in price.outputs["main"].to_json()] == [0, 10, 20, 30]
    assert (each.container, each.runs, each.counts) == (None, 1, {"main": 4})
    assert (each.done, each.total) == (4, 4)
    assert (start.runs, start.done) == (1, None)
    assert len(story.result) == 4


async def test_one_round_can_be_asked_for(office: Office) -> None:
    active = await office.run(ROUND_BY_ROUND)
    events = await office.events(active.execution.id)

    story = tell(active.plan, events, Wanted(number_of(active, "price"), (2,)))

    price = node(story, "price")
    assert (price.runs, price.counts) == (1, {"main": 1})
    assert price.outputs["main"].to_json() == [{"n": 2, "price": 20}]
    assert node(story, "pace").runs == 0, "only what was asked for is told"
    assert tell(active.plan, events, Wanted(number_of(active, "price"), (9,))).nodes[2].runs == 0


async def test_outputs_are_left_out_where_nobody_asked_for_them(office: Office) -> None:
    story = await story_of(office, ROUND_BY_ROUND, Wanted(outputs=False))

    assert node(story, "price").counts == {"main": 4}
    assert node(story, "price").outputs == {}
    assert len(story.result) == 4


async def test_of_a_body_that_only_computes_it_is_told_how_often_it_ran(office: Office) -> None:
    story = await story_of(office, LIGHT)

    check, share = node(story, "check"), node(story, "share")
    assert (check.status, check.runs, check.counts) == ("succeeded", 4, {})
    assert (share.status, share.runs, share.failed) == ("failed", 4, ["share[2]"])
    assert share.failure is not None
    assert (node(story, "each").done, node(story, "each").counts) == (4, {"main": 4})


async def test_progress_is_told_while_a_loop_runs(office: Office) -> None:
    active = await office.run(ROUND_BY_ROUND)
    events = await office.events(active.execution.id)
    ended = [
        number for number, event in enumerate(events) if isinstance(event, e.NodeFinished) and event.node == "pace"
    ]

    story = tell(active.plan, events[: ended[1] + 1])

    each = node(story, "each")
    assert (each.status, each.done, each.total) == ("running", 2, 4)
    assert node(story, "pace").runs == 4
    assert node(story, "pace").finished_at is None


async def test_a_journal_is_read_part_by_part(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("budflow.execution.projection.EVENTS_PAGE", 3)
    active = await office.run(ROUND_BY_ROUND)

    story = await read_story(office.store, active.execution, active.plan)

    assert story == tell(active.plan, await office.events(active.execution.id))


async def test_a_node_that_waits_is_told_apart_from_one_that_works(office: Office) -> None:
    plan = (await office.run(ROUND_BY_ROUND)).plan
    begun: list[e.Event] = [
        e.Admitted(AT, "start", "api", "me", ItemList.of([{"n": 0}])),
        e.NodeFinished(AT, "start", AT, {"main": ItemList.of([{"n": 0}])}),
        e.NodeStarted(AT, "each", 1, {"concurrency": 1}),
        finished("price", 0),
        e.NodeStarted(AT, "pace", 1, {"mode": "duration", "seconds": 60}, (0,)),
        e.WaitStarted(AT, "pace", 0, "timer", AT + timedelta(seconds=60), {}, (0,)),
    ]

    assert statuses(plan, begun) == ["succeeded", "running", "succeeded", "waiting"]
    assert statuses(plan, [*begun, e.WaitEnded(AT, "pace", 0, "elapsed", rounds=(0,))])[3] == "running"
    assert statuses(plan, [*begun[:3], e.Paused(AT, "me")]) == ["succeeded", "running", "running", "pending"]
    stopped = [*begun, e.CancelRequested(AT, "me"), e.NodeCancelled(AT, "pace", (0,)), e.Finished(AT, "cancelled")]
    assert statuses(plan, stopped) == ["succeeded", "skipped", "succeeded", "cancelled"]


async def test_a_journal_that_is_not_this_workflows_is_one_clear_error(office: Office) -> None:
    plan = (await office.run(ROUND_BY_ROUND)).plan
    admitted = e.Admitted(AT, "start", "api", "me", ItemList())

    for foreign in (finished("nobody", 0), e.RoundsFinished(AT, "each", "nothing", 0, (1,), ItemList(), {})):
        with pytest.raises(EventUnreadable, match=r"Event 1 \("):
            tell(plan, [admitted, foreign])


def branches(journal: str, n: int = 1) -> Flow:
    return Flow(BRANCHES, BRANCHES_EDGES, [{"n": n}], settings={"journal": journal})


@pytest.mark.parametrize(
    ("journal", "unrecorded"), [("every_node", set()), ("segment", {"small"}), ("end", {"split", "big", "small"})]
)
async def test_of_a_node_that_a_thinned_journal_may_have_dropped_it_is_not_said_that_it_was_skipped(
    office: Office, journal: str, unrecorded: set[str]
) -> None:
    story = await story_of(office, branches(journal))

    whole = {"start": "succeeded", "split": "succeeded", "small": "succeeded", "end": "succeeded"}
    known = {one.key: whole.get(one.key, "skipped") for one in story.nodes}
    assert {one.key: one.status for one in story.nodes} == {**known, **dict.fromkeys(unrecorded, "unrecorded")}


async def test_the_trigger_that_fired_is_told_although_its_end_was_dropped(office: Office) -> None:
    active = await office.run(branches("end"))
    events = await office.events(active.execution.id)

    start = node(tell(active.plan, events), "start")

    assert not any(isinstance(event, e.NodeFinished) and event.node == "start" for event in events)
    assert (start.status, start.runs, start.started_at, start.counts) == ("succeeded", 1, events[0].at, {})


async def test_of_a_node_that_could_have_had_an_effect_a_thinned_journal_tells_that_it_had_none(office: Office) -> None:
    call = {"type": "http.request", "params": {"url": "http://127.0.0.1/{{ $json.n }}"}, "disabled": True}
    edges = ["start > call", "call > end"]

    story = await story_of(
        office, Flow({"call": call, "end": {"type": "flow.no_op"}}, edges, settings={"journal": "end"})
    )

    assert (node(story, "call").status, node(story, "call").counts) == ("succeeded", {"main": 1})


async def test_an_execution_that_was_stopped_has_dropped_nothing(office: Office) -> None:
    flow = branches("end")
    stop = {"type": "flow.stop_and_error", "params": {"message": "No."}}

    story = await story_of(office, Flow({**flow.nodes, "end": stop}, flow.edges, flow.items, settings=flow.settings))

    assert [one.key for one in story.nodes if one.status == "skipped"] == ["big", "told", "each", "inner"]
    assert node(story, "small").status == "succeeded"


async def test_while_an_execution_runs_nothing_counts_as_dropped(office: Office) -> None:
    active = await office.run(branches("end"))
    admitted, *_ = await office.events(active.execution.id)

    assert set(statuses(active.plan, [admitted])) == {"running", "pending"}


def finished(key: str, number: int) -> e.NodeFinished:
    return e.NodeFinished(AT, key, AT, {"main": ItemList.of([{"n": 0}])}, rounds=(number,))


def statuses(plan: Plan, events: list[e.Event]) -> list[str]:
    return [one.status for one in tell(plan, events).nodes]

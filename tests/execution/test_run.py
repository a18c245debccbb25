"""A run: what it journals, in which order, and what it does about errors, retries, time and cancelling."""

import asyncio

import pytest

from budflow.egress.transport import ConnectFailed
from budflow.model import event as e
from budflow.model.execution import ClaimLost
from budflow.model.failure import Failure
from budflow.model.item import ItemList
from tests.execution.fakes import FakeHttp, FakeLink, run_to_end, start_run, until

START = {"start": {"type": "trigger.manual"}}


def http_node(**more: object) -> dict[str, object]:
    return {"type": "http.request", "params": {"url": "https://example.com/{{ $json.n }}"}, **more}


async def test_a_chain_passes_items_on_with_expressions_evaluated_for_each() -> None:
    link = await run_to_end(
        {**START, "double": {"type": "data.set", "params": {"values": {"twice": "{{ $json.n * 2 }}"}}}},
        ["start > double"],
        [{"n": 1}, {"n": 2}],
    )

    assert link.output("double") == [{"n": 1, "twice": 2}, {"n": 2, "twice": 4}]
    assert link.end.status == "succeeded"


async def test_nodes_see_earlier_ones_by_the_item_they_come_from() -> None:
    nodes = {
        **START,
        "keep": {"type": "flow.filter", "params": {"condition": "{{ $json.n > 1 }}"}},
        "read": {"type": "data.set", "params": {"keep": False, "values": {"of": "{{ $node.start.json.n }}"}}},
    }
    link = await run_to_end(nodes, ["start > keep", "keep.kept > read"], [{"n": 1}, {"n": 2}, {"n": 3}])

    assert link.output("read") == [{"of": 2}, {"of": 3}]


async def test_where_several_items_may_be_meant_reading_a_node_is_an_error_and_no_guess() -> None:
    nodes = {
        **START,
        "all": {"type": "data.aggregate", "params": {"operations": [{"operation": "count", "name": "n"}]}},
        "read": {"type": "data.set", "params": {"values": {"of": "{{ $node.start.json.n }}"}}},
    }
    link = await run_to_end(nodes, ["start > all", "all > read"], [{"n": 1}, {"n": 2}])

    assert link.end.failure is not None
    assert link.end.failure.code == "lineage.ambiguous"


async def test_branches_run_side_by_side_and_the_join_waits_for_both() -> None:
    both = asyncio.Event()
    arrived: list[str] = []

    async def answer(url: str) -> int:
        arrived.append(url)
        if len(arrived) == 2:
            both.set()
        await asyncio.wait_for(both.wait(), 5)  # Ends only if the other branch is under way too.
        return 200

    link = await run_to_end(
        {**START, "a": http_node(), "b": http_node(), "join": {"type": "flow.merge"}},
        ["start > a", "start > b", "a > join", "b > join"],
        [{"n": 1}],
        http=FakeHttp(lambda request: answer(request.url)),
    )

    assert len(link.output("join")) == 2
    assert link.end.status == "succeeded"


async def test_an_effect_is_journaled_and_committed_before_it_happens() -> None:
    link = FakeLink()
    seen: list[int] = []

    def answer(_request: object) -> int:
        seen.append(link.commits[-1] if link.commits else 0)
        return 200

    await run_to_end({**START, "call": http_node()}, ["start > call"], [{"n": 1}], link=link, http=FakeHttp(answer))

    started = next(i for i, event in enumerate(link.events) if isinstance(event, e.NodeStarted))
    assert seen == [started + 1]


async def test_only_failed_items_are_tried_again_with_the_same_key() -> None:
    failures = {"https://example.com/2": 2}

    def answer(request: object) -> object:
        url = request.url  # type: ignore[attr-defined] # the fake's requests
        if failures.get(url, 0) > 0:
            failures[url] -= 1
            return ConnectFailed("on purpose")
        return 200

    http = FakeHttp(answer)
    retry = {"tries": 3, "wait_seconds": 0.001, "jitter": False}
    link = await run_to_end(
        {
            **START,
            "call": {
                "type": "http.request",
                "params": {"url": "https://example.com/{{ $json.n }}", "method": "POST"},
                "retry": retry,
            },
        },
        ["start > call"],
        [{"n": 1}, {"n": 2}, {"n": 3}],
        http=http,
    )

    urls = [request.url[-1] for request in http.requests]
    assert sorted(urls) == ["1", "2", "2", "2", "3"]
    keys = {dict(r.headers)["Idempotency-Key"] for r in http.requests if r.url.endswith("2")}
    assert len(keys) == 1
    assert [(event.tries, event.failed) for event in link.of(e.ItemsRetried)] == [(1, 1), (2, 1)]
    assert link.end.status == "succeeded"
    assert link.of(e.NodeFinished)[-1].tries == 3


async def test_a_failure_stops_the_execution_and_cancels_what_runs_beside_it() -> None:
    waiting = asyncio.Event()

    async def answer(url: str) -> object:
        if url.endswith("slow"):
            waiting.set()
            await asyncio.Event().wait()
        await waiting.wait()
        return ConnectFailed("on purpose")

    link = await run_to_end(
        {
            **START,
            "slow": {"type": "http.request", "params": {"url": "https://example.com/slow"}},
            "bad": {"type": "http.request", "params": {"url": "https://example.com/bad"}},
            "after": {"type": "flow.no_op"},
        },
        ["start > slow", "start > bad", "slow > after"],
        http=FakeHttp(lambda request: answer(request.url)),
    )

    assert link.end.status == "failed"
    assert link.end.failure is not None
    assert link.end.failure.node == "bad"
    assert [event.node for event in link.of(e.NodeCancelled)] == ["slow"]
    assert "after" not in [event.node for event in link.of(e.NodeFinished)]


@pytest.mark.parametrize(
    ("on_error", "port", "counts"),
    [("continue", "main", {"main": 3}), ("error_output", "error", {"main": 2, "error": 1})],
)
async def test_failed_items_go_where_on_error_sends_them(on_error: str, port: str, counts: dict[str, int]) -> None:
    nodes = {
        **START,
        "set": {"type": "data.set", "params": {"values": {"x": "{{ 1 / $json.n }}"}}, "on_error": on_error},
    }
    link = await run_to_end(nodes, ["start > set"], [{"n": 1}, {"n": 0}, {"n": 2}])

    [finished] = [event for event in link.of(e.NodeFinished) if event.node == "set"]
    assert {name: len(items) for name, items in finished.outputs.items()} == counts
    [failed] = [item for item in finished.outputs[port].items if item.error is not None]
    assert failed.json == {"n": 0}
    assert failed.error is not None
    assert failed.error.code == "expression.failed"
    if on_error == "continue":
        assert [item.json["n"] for item in finished.outputs["main"].items] == [1, 0, 2], "the order stays"
    assert link.end.status == "succeeded"


async def test_a_node_that_takes_too_long_fails_and_keeps_what_was_done() -> None:
    async def answer(url: str) -> int:
        if url.endswith("2"):
            await asyncio.Event().wait()
        return 200

    nodes = {**START, "call": http_node(timeout_seconds=0.05, on_error="error_output")}
    link = await run_to_end(
        nodes, ["start > call"], [{"n": 1}, {"n": 2}], http=FakeHttp(lambda request: answer(request.url))
    )

    [finished] = [event for event in link.of(e.NodeFinished) if event.node == "call"]
    assert {name: len(items) for name, items in finished.outputs.items()} == {"main": 1, "error": 1}
    assert finished.outputs["error"].items[0].error.code == "node.timed_out"


async def test_an_execution_that_takes_too_long_fails_by_its_own_limit() -> None:
    async def hang(_request: object) -> int:
        await asyncio.Event().wait()
        return 200

    link = await run_to_end(
        {**START, "call": http_node()}, ["start > call"], [{"n": 1}], http=FakeHttp(hang), timeout_seconds=0.05
    )

    assert link.end.status == "failed"
    assert link.end.failure is not None
    assert link.end.failure.code == "execution.timed_out"


async def test_cancelling_stops_a_running_node_and_ends_as_cancelled() -> None:
    hanging = asyncio.Event()

    async def hang(_request: object) -> int:
        hanging.set()
        await asyncio.Event().wait()
        return 200

    run, link = start_run({**START, "call": http_node()}, ["start > call"], [{"n": 1}], http=FakeHttp(hang))
    await hanging.wait()
    run.deliver(e.CancelRequested(link.events[0].at, "somebody"))
    await asyncio.wait_for(run.wait(), 5)

    assert link.end.status == "cancelled"
    assert [event.node for event in link.of(e.NodeCancelled)] == ["call"]


async def test_a_called_workflow_gets_the_items_and_its_result_goes_on() -> None:
    nodes = {
        **START,
        "sub": {"type": "flow.sub_workflow", "params": {"workflow": "wf_2"}},
        "after": {"type": "data.set", "params": {"values": {"seen": True}}},
    }
    run, link = start_run(nodes, ["start > sub", "sub > after"], [{"n": 1}])
    await until(lambda: link.calls)
    [call] = link.calls
    assert call.items.to_json() == [{"n": 1}]

    run.deliver(e.ChildFinished(link.events[0].at, "sub", call.call, "succeeded", ItemList.of([{"r": 1}, {"r": 2}])))
    await asyncio.wait_for(run.wait(), 5)

    assert link.output("after") == [{"r": 1, "seen": True}, {"r": 2, "seen": True}]


async def test_a_child_that_fails_fails_the_node_that_called_it() -> None:
    run, link = start_run(
        {**START, "sub": {"type": "flow.sub_workflow", "params": {"workflow": "wf_2"}}}, ["start > sub"]
    )
    await until(lambda: link.calls)
    failure = Failure("http.status", "404", node="fetch")
    run.deliver(e.ChildFinished(link.events[0].at, "sub", 0, "failed", ItemList(), failure))
    await asyncio.wait_for(run.wait(), 5)

    assert link.end.status == "failed"
    assert link.end.failure is not None
    assert link.end.failure.code == "http.status"


async def test_cancelling_while_a_child_runs_cancels_the_child_and_waits_for_it() -> None:
    run, link = start_run(
        {**START, "sub": {"type": "flow.sub_workflow", "params": {"workflow": "wf_2"}}}, ["start > sub"]
    )
    await until(lambda: link.calls)
    run.deliver(e.CancelRequested(link.events[0].at, "somebody"))
    assert link.cancelled_calls == [("sub", 0)]
    assert not link.of(e.Finished)
    run.deliver(e.ChildFinished(link.events[0].at, "sub", 0, "cancelled", ItemList(), Failure("x", "cancelled")))
    await asyncio.wait_for(run.wait(), 5)

    assert link.end.status == "cancelled"


async def test_only_the_first_answer_to_the_trigger_counts() -> None:
    nodes = {
        **START,
        "one": {"type": "http.respond", "params": {"body": {"n": "{{ $json.n }}"}, "status": 201}},
        "two": {"type": "http.respond", "params": {"body": "late"}},
    }
    link = await run_to_end(nodes, ["start > one", "one > two"], [{"n": 7}])

    [answer] = link.of(e.Responded)
    assert (answer.status_code, answer.body) == (201, {"n": 7})
    assert link.end.status == "succeeded"


async def test_a_long_chain_of_control_nodes_needs_no_deep_stack() -> None:
    nodes = {**START, **{f"r{i}": {"type": "http.respond", "params": {"body": i}} for i in range(400)}}
    edges = ["start > r0", *(f"r{i} > r{i + 1}" for i in range(399))]
    link = await run_to_end(nodes, edges)

    assert link.end.status == "succeeded"


async def test_a_disabled_node_passes_its_input_through() -> None:
    nodes = {**START, "off": {"type": "data.set", "params": {"values": {"x": 1}}, "disabled": True}}
    link = await run_to_end(nodes, ["start > off"], [{"n": 1}])

    assert link.output("off") == [{"n": 1}]


async def test_run_once_shows_a_node_only_the_first_item() -> None:
    nodes = {**START, "one": {"type": "flow.no_op", "run_once": True}}
    link = await run_to_end(nodes, ["start > one"], [{"n": 1}, {"n": 2}])

    assert link.output("one") == [{"n": 1}]


async def test_a_run_that_lost_its_claim_stops_and_says_so() -> None:
    link = FakeLink()
    link.fail_commit = ClaimLost()
    http = FakeHttp()
    run, _ = start_run({**START, "call": http_node()}, ["start > call"], [{"n": 1}], link=link, http=http)

    with pytest.raises(ClaimLost):
        await asyncio.wait_for(run.wait(), 5)
    assert not http.requests, "an effect happened although its start could not be journaled"


async def test_many_items_go_through_in_batches_with_their_lineage_whole() -> None:
    nodes = {
        **START,
        "odd": {"type": "flow.filter", "params": {"condition": "{{ $json.n % 2 == 1 }}"}},
        "read": {"type": "data.set", "params": {"values": {"from": "{{ $node.start.json.n }}"}}},
    }
    link = await run_to_end(nodes, ["start > odd", "odd.kept > read"], [{"n": n} for n in range(3_000)])

    assert all(value["n"] == value["from"] for value in link.output("read"))
    assert len(link.output("read")) == 1_500


async def test_a_failure_in_a_loop_names_the_round() -> None:
    bad = {"type": "flow.stop_and_error", "params": {"message": "{{ $json.n }} is odd"}}
    inner = {
        "nodes": {"odd": {"type": "flow.if", "params": {"condition": "{{ $json.n % 2 == 1 }}"}}, "bad": bad},
        "edges": [{"from": "$in", "to": "odd"}, {"from": "odd.true", "to": "bad"}, {"from": "odd.false", "to": "$out"}],
    }
    items = [{"n": 0}, {"n": 1}]
    loop = {"type": "flow.for_each", "bodies": {"body": inner}}
    link = await run_to_end({**START, "each": loop}, ["start > each"], items)

    assert link.end.failure is not None
    assert link.end.failure.node == "bad[1]"
    told = {"type": "data.set", "params": {"values": {"at": "{{ $error?.node }}"}}}
    loop = {**loop, "params": {"on_item_error": "continue"}}
    link = await run_to_end({**START, "each": loop, "tell": told}, ["start > each", "each > tell"], items)
    assert [item["at"] for item in link.output("tell")] == [None, "bad[1]"]


async def test_what_is_behind_a_failure_can_say_why_an_item_failed() -> None:
    nodes = {
        **START,
        "set": {
            "type": "data.set",
            "params": {"values": {"x": "{{ 1 / $json.n }}"}},
            "on_error": "error_output",
        },
        "tell": {"type": "data.set", "params": {"keep": False, "values": {"why": "{{ $error.code }}"}}},
        "fine": {"type": "data.set", "params": {"keep": False, "values": {"why": "{{ $error }}"}}},
    }
    link = await run_to_end(nodes, ["start > set", "set.error > tell", "set.main > fine"], [{"n": 1}, {"n": 0}])

    assert link.output("tell") == [{"why": "expression.failed"}]
    assert link.output("fine") == [{"why": None}]

"""An execution that is taken up again from any point of its journal ends as if nothing had happened."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from budflow.egress.transport import ConnectFailed
from budflow.execution.ports import Work
from budflow.execution.run import Run
from budflow.execution.tools import Tools
from budflow.model import event as e
from budflow.model.http import HttpRequest
from budflow.model.identity import utc_now
from budflow.model.item import Item, ItemList
from budflow.model.journal import decode, encode
from budflow.model.path import parse_path
from tests.execution.fakes import PLACE, FakeHttp, FakeLink, execution_of, plan_of, until

START = {"start": {"type": "trigger.manual"}}
POST = {
    "type": "http.request",
    "params": {"method": "POST", "url": "https://example.org/{{ $json.n }}", "body": {"n": "{{ $json.n }}"}},
}
CHAIN = "start > a", "a > b", "b > c"
THREE = [{"n": 1}, {"n": 2}, {"n": 3}]
FIFTY = [{"n": n} for n in range(50)]


def body(nodes: Mapping[str, Any], *edges: str) -> dict[str, Any]:
    """A graph for `bodies`, with edges written as `a > b`."""
    ends = [edge.split(" > ") for edge in edges]
    return {"nodes": dict(nodes), "edges": [{"from": source, "to": target} for source, target in ends]}


def setting(**values: Any) -> dict[str, Any]:
    return {"type": "data.set", "params": {"values": values}}


def each(inner: dict[str, Any], **params: Any) -> dict[str, Any]:
    return {"type": "flow.for_each", "params": params, "bodies": {"body": inner}}


POST_BODY = body({"post": POST}, "$in > post", "post > $out")
DOUBLE = body({"double": setting(n="{{ $json.n * 2 }}")}, "$in > double", "double > $out")

SHAPES: dict[str, tuple[Mapping[str, Any], Sequence[str]]] = {
    "chain": ({**START, "a": setting(m=1), "b": POST, "c": setting(done=True)}, CHAIN),
    "branches": (
        {**START, "a": POST, "b": setting(m=2), "c": POST, "join": {"type": "flow.merge"}},
        ["start > a", "start > b", "b > c", "a > join", "c > join"],
    ),
    "for_each with an effect": ({**START, "each": each(POST_BODY)}, ["start > each"]),
    "for_each, three at once": ({**START, "each": each(POST_BODY, concurrency=3)}, ["start > each"]),
    "for_each that computes": ({**START, "each": each(DOUBLE)}, ["start > each"]),
    "for_each over a list": (
        {**START, "each": each(DOUBLE, items="{{ [{'n': 5}, {'n': 6}] }}"), "after": setting(last=True)},
        ["start > each", "each > after"],
    ),
    "nested loops": (
        {
            **START,
            "outer": each(
                body({"inner": each(POST_BODY, items="{{ [{'n': 1}, {'n': 2}] }}")}, "$in > inner", "inner > $out")
            ),
        },
        ["start > outer"],
    ),
    "while": (
        {
            **START,
            "loop": {
                "type": "flow.while",
                "params": {"condition": "{{ $json.n < 20 }}"},
                "bodies": {
                    "body": body(
                        {"double": setting(n="{{ $json.n * 2 }}"), "post": POST},
                        "$in > double",
                        "double > $out",
                        "double > post",
                    )
                },
            },
        },
        ["start > loop"],
    ),
    "try_catch that succeeds": (
        {
            **START,
            "guard": {
                "type": "flow.try_catch",
                "bodies": {"body": POST_BODY, "finally": body({"clean": POST}, "$in > clean")},
            },
            "good": setting(good=True),
            "bad": setting(bad="{{ $error.code }}"),
        },
        ["start > guard", "guard > good", "guard.caught > bad"],
    ),
    "try_catch that catches": (
        {
            **START,
            "guard": {
                "type": "flow.try_catch",
                "bodies": {
                    "body": body(
                        {"stop": {"type": "flow.stop_and_error", "params": {"message": "on purpose"}}, "post": POST},
                        "$in > post",
                        "post > stop",
                        "stop > $out",
                    ),
                    "finally": body({"clean": POST}, "$in > clean"),
                },
            },
            "bad": setting(bad="{{ $error.code }}"),
        },
        ["start > guard", "guard.caught > bad"],
    ),
    "parallel": (
        {
            **START,
            "both": {
                "type": "flow.parallel",
                "bodies": {"one": POST_BODY, "two": body({"set2": setting(two=True)}, "$in > set2", "set2 > $out")},
            },
        },
        ["start > both"],
    ),
    "rounds of rounds, which the last effect of a round lets begin": (
        {
            **START,
            "loop": {
                "type": "flow.while",
                "params": {"condition": "{{ ($json?.round or 0) < 2 }}"},
                "bodies": {
                    "body": body(
                        {
                            "each": each(body({"post3": POST}, "$in > post3"), concurrency=3),
                            "again": setting(round="{{ ($json?.round or 0) + 1 }}"),
                        },
                        "$in > each",
                        "$in > again",
                        "again > $out",
                    )
                },
            },
        },
        ["start > loop"],
    ),
    "wait": (
        {
            **START,
            "a": POST,
            "pause": {"type": "flow.wait", "params": {"mode": "duration", "seconds": 0.01}},
            "c": POST,
        },
        ["start > a", "start > pause", "pause > c"],
    ),
    "waits in a loop": (
        {
            **START,
            "each": each(
                body(
                    {"pause": {"type": "flow.wait", "params": {"mode": "duration", "seconds": 0.01}}, "post": POST},
                    "$in > pause",
                    "pause > post",
                    "post > $out",
                ),
                concurrency=3,
            ),
        },
        ["start > each"],
    ),
}


RETRIED = {**POST, "retry": {"tries": 3, "wait_seconds": 0.001}}
STOP = {"type": "flow.stop_and_error", "params": {"message": "on purpose"}}
GUARDED = {
    "type": "flow.try_catch",
    "bodies": {"body": body({"inner": STOP}, "$in > inner"), "finally": body({"clean": POST}, "$in > clean")},
}
#: What ends as failed, after an effect: always by the node `stop`, in whatever it stands.
FAILING: dict[str, tuple[Mapping[str, Any], Sequence[str]]] = {
    "a chain that stops": ({**START, "a": POST, "stop": STOP, "c": POST}, ["start > a", "a > stop", "stop > c"]),
    "a round that stops": (
        {**START, "each": each(body({"post": POST, "stop": STOP}, "$in > post", "post > stop"))},
        ["start > each"],
    ),
    "branches of which one stops": (
        {
            **START,
            "both": {
                "type": "flow.parallel",
                "bodies": {
                    "one": body({"post": POST, "stop": STOP}, "$in > post", "post > stop"),
                    "two": body({"pause": setting(n=2), "post2": POST}, "$in > pause", "pause > post2"),
                },
            },
        },
        ["start > both"],
    ),
    "inside of what stops, something to tidy up": (
        {**START, "each": each(body({"guard": GUARDED, "stop": STOP}, "$in > guard", "guard.caught > stop"))},
        ["start > each"],
    ),
}


#: One node over many items; a request that fails is no end of it.
MANY = {"many items": ({**START, "post": {**POST, "on_error": "continue"}}, ["start > post"])}


class Ledger:
    """Counts the requests by idempotency key; the first `refusals` with each are refused."""

    def __init__(self, refusals: int = 0) -> None:
        self.keys: dict[str, int] = {}
        self.refusals = refusals

    def __call__(self, request: HttpRequest) -> Any:
        key = dict(request.headers)["Idempotency-Key"]
        self.keys[key] = self.keys.get(key, 0) + 1
        return 200 if self.keys[key] > self.refusals else ConnectFailed("not yet")


def begin(
    shape: str, events: Sequence[e.Event], ledger: Ledger, snapshot: tuple[int, bytes] | None = None, **settings: Any
) -> tuple[Run, FakeLink]:
    nodes, edges = {**SHAPES, **FAILING, **MANY}[shape]
    document, plan = plan_of(nodes, edges, **settings)
    link = FakeLink()
    link.events = [*events]
    work = Work(execution_of("exe_1"), document, plan, tuple(events))
    if snapshot is not None:
        seq, saved = snapshot
        work = replace(work, events=(events[0], *events[seq:]), saved=saved)
    run = Run(work, link, Tools(PLACE, FakeHttp(ledger), snapshot_events=1), "run_1")
    run.start()
    return run, link


async def play(
    shape: str, events: Sequence[e.Event], ledger: Ledger, snapshot: tuple[int, bytes] | None = None, **settings: Any
) -> FakeLink:
    run, link = begin(shape, events, ledger, snapshot, **settings)
    async with asyncio.timeout(10):
        await run.wait()
    return link


def admitted(items: Sequence[dict[str, int]] = THREE) -> e.Admitted:
    return e.Admitted(utc_now(), "start", "api", "test", ItemList.of(items))


def prefixes(link: FakeLink) -> Iterator[list[e.Event]]:
    """Every journal that a crash may have left, as it is read back."""
    stored = [decode(encode(seq, event)) for seq, event in enumerate(link.events)]
    return (stored[:length] for length in range(1, len(stored)))


def begun_and_done(events: Sequence[e.Event]) -> tuple[int, set[int]]:
    """How many items an effect was begun for, and which are known to be done."""
    begun, done = 0, set[int]()
    for event in events:
        if isinstance(event, e.NodeStarted | e.ItemsStarted):
            begun = event.begun
        elif isinstance(event, e.ItemsFinished):
            done |= set(event.ordinals)
    return begun, done


def results(link: FakeLink) -> dict[tuple[str, tuple[int, ...]], Any]:
    """What every run of a node gave, by key and rounds."""
    return {
        (event.node, event.rounds): {port: sorted(map(str, items.to_json())) for port, items in event.outputs.items()}
        for event in link.of(e.NodeFinished)
    }


@pytest.mark.parametrize("shape", SHAPES)
async def test_it_ends_the_same_from_every_point_of_its_journal(shape: str) -> None:
    ledger = Ledger()
    whole = await play(shape, [admitted()], ledger)
    assert whole.end.status == "succeeded", whole.end
    effects = set(ledger.keys)
    assert set(ledger.keys.values()) <= {1}

    for length in range(1, len(whole.events)):
        stored = [decode(encode(seq, event)) for seq, event in enumerate(whole.events[:length])]
        again = Ledger()
        resumed = await play(shape, stored, again)

        assert resumed.end.status == "succeeded", f"from {length}: {resumed.end}"
        assert results(resumed) == results(whole), f"from {length}"
        assert set(again.keys) <= effects, f"from {length}: a new key"
        finished = [(event.node, event.rounds) for event in resumed.of(e.NodeFinished)]
        assert len(finished) == len(set(finished)), f"from {length}: a node settled twice"


@pytest.mark.parametrize("shape", [*SHAPES, *FAILING])
async def test_it_ends_the_same_from_every_snapshot_and_what_came_after_it(shape: str) -> None:
    ledger = Ledger()
    whole = await play(shape, [admitted()], ledger)
    stored = [decode(encode(seq, event)) for seq, event in enumerate(whole.events)]
    assert len(whole.snapshots) > 1

    for snapshot in whole.snapshots:
        seq, _ = snapshot
        for length in sorted({seq, (seq + len(stored)) // 2, len(stored) - 1}):
            again = Ledger()
            resumed = await play(shape, stored[:length], again, snapshot)

            told = f"from the snapshot at {seq} and events up to {length}"
            assert (resumed.end.status, resumed.end.failure) == (whole.end.status, whole.end.failure), told
            if shape in SHAPES:
                assert results(resumed) == results(whole), told
            assert set(again.keys) <= set(ledger.keys), f"{told}: a new key"


@pytest.mark.parametrize("shape", FAILING)
async def test_what_fails_fails_the_same_from_every_point_of_its_journal(shape: str) -> None:
    ledger = Ledger()
    whole = await play(shape, [admitted()], ledger)
    assert whole.end.status == "failed"
    assert whole.end.failure is not None
    assert parse_path(whole.end.failure.node or "") == ("stop", whole.of(e.NodeFailed)[0].rounds)

    for stored in prefixes(whole):
        again = Ledger()
        resumed = await play(shape, stored, again)

        assert (resumed.end.status, resumed.end.failure) == (whole.end.status, whole.end.failure), len(stored)
        closed = [
            (event.node, event.rounds)
            for event in resumed.events
            if isinstance(event, e.NodeFinished | e.NodeFailed | e.NodeCancelled)
        ]
        assert len(closed) == len(set(closed)), f"from {len(stored)}: a node settled twice"


@pytest.mark.parametrize("refusals", [1, 2])
async def test_tries_are_gone_on_with_from_every_point_of_a_journal(refusals: int) -> None:
    shape = {"post": RETRIED}
    MANY["retried"] = ({**START, **shape}, ["start > post"])
    ledger = Ledger(refusals)
    whole = await play("retried", [admitted()], ledger)
    assert whole.end.status == "succeeded"
    assert len(whole.of(e.ItemsRetried)) == refusals

    for stored in prefixes(whole):
        again = Ledger(refusals)
        resumed = await play("retried", stored, again)
        assert resumed.end.status == "succeeded"
        assert results(resumed) == results(whole)
        assert set(again.keys) <= set(ledger.keys)


@pytest.mark.parametrize("on_crash", ["resume", "fail"])
async def test_of_many_items_only_those_in_doubt_are_what_on_crash_says(on_crash: str) -> None:
    ledger = Ledger()
    whole = await play("many items", [admitted(FIFTY)], ledger, on_crash=on_crash)
    assert len(ledger.keys) == len(FIFTY)
    keys = [*ledger.keys]  # In the order of the items.

    for stored in prefixes(whole):
        if whole.of(e.NodeFinished)[-1] in stored:
            continue  # Nothing is left to do.
        begun, done = begun_and_done(stored)
        doubtful = set(range(begun)) - done
        again = Ledger()
        resumed = await play("many items", stored, again, on_crash=on_crash)

        wanted = set(range(len(FIFTY))) - done - (doubtful if on_crash == "fail" else set())
        assert {keys.index(key) for key in again.keys} == wanted
        assert set(again.keys.values()) <= {1}
        items = resumed.of(e.NodeFinished)[-1].outputs["main"].items
        failed = {ordinal for ordinal, item in enumerate(items) if item.error is not None}
        assert failed == (doubtful if on_crash == "fail" else set())


async def test_a_doubt_names_its_node_and_its_items() -> None:
    whole = await play("many items", [admitted(FIFTY)], Ledger())
    now = utc_now()
    begun = e.NodeStarted(now, "post", 50, begun=20)
    done = e.ItemsFinished(now, "post", (0, 2), ItemList([Item({}), Item({})], [0, 2]))

    resumed = await play(
        "many items", [whole.events[0], whole.of(e.NodeFinished)[0], begun, done], Ledger(), on_crash="fail"
    )

    first = next(item.error for item in resumed.of(e.NodeFinished)[-1].outputs["main"].items if item.error)
    assert (first.code, first.node) == ("node.in_doubt", "post")
    assert "items 1, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 8 more of `post`" in first.message
    assert "retry" in first.hint


@pytest.mark.parametrize(("answer", "sent"), [("run", 50), ("skip", 30), ("fail", 30)])
async def test_a_person_decides_only_about_the_items_that_were_asked_about(answer: str, sent: int) -> None:
    """After a first crash the first 20 are decided about; the 20 behind them come into doubt by a second one."""
    whole = await play("many items", [admitted(FIFTY)], Ledger())
    now = utc_now()
    ask = e.WaitStarted(now, "post", 0, "ask", None, {})
    events = [
        whole.events[0],
        whole.of(e.NodeFinished)[0],
        e.NodeStarted(now, "post", 50, begun=20),
        ask,
        e.WaitEnded(now, "post", 0, "answered", "somebody", answer),
        e.ItemsStarted(now, "post", 40),
    ]
    ledger = Ledger()
    run, link = begin("many items", events, ledger, on_crash="ask")
    await until(lambda: len(link.of(e.WaitStarted)) == 2)
    question = link.of(e.WaitStarted)[1]
    assert (question.wait, question.ask["items"]) == (1, 20)

    run.deliver(e.WaitEnded(now, "post", 1, "answered", "somebody", "run"))
    async with asyncio.timeout(10):
        await run.wait()

    assert len(ledger.keys) == sent
    items = link.of(e.NodeFinished)[-1].outputs["main"].items
    assert sum(item.error is not None for item in items) == (20 if answer == "fail" else 0)


async def test_an_answer_is_heard_that_came_before_its_node_had_a_turn() -> None:
    whole = await play("many items", [admitted()], Ledger())
    now = utc_now()
    events = [*whole.events[:1], whole.of(e.NodeFinished)[0], e.NodeStarted(now, "post", 3, begun=3)]
    ask = e.WaitStarted(now, "post", 0, "ask", None, {})
    ledger = Ledger()
    run, link = begin("many items", [*events, ask], ledger, on_crash="ask")
    run.deliver(e.WaitEnded(now, "post", 0, "answered", "somebody", "run"))
    async with asyncio.timeout(10):
        await run.wait()

    assert link.end.status == "succeeded"
    assert len(ledger.keys) == 3

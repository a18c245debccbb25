"""A segment as bytes gives what the same run gives in its own process."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from budflow.execution import spill
from budflow.execution.blobs import BlobMissing
from budflow.execution.lineage import NodeViews
from budflow.execution.lists import ListStore
from budflow.execution.names import RunNames, batch_of
from budflow.execution.node_result import NodeResult, NodeRun
from budflow.execution.node_run import run_node
from budflow.execution.produced import Produced
from budflow.execution.segment import GRACE_SECONDS, limit_seconds, pack, run_packed, unpack_result
from budflow.execution.state import At
from budflow.execution.tools import Tools
from budflow.expressions.evaluate import Scope
from budflow.model.failure import Failure
from budflow.model.item import BlobRef, Item, ItemError, ItemList
from budflow.model.journal import EventUnwritable
from budflow.model.node import Batch, HttpCapability, Outputs
from budflow.model.spilled import ListRef, Part, Spilled
from budflow.nodes.registry import Registry
from tests.execution.fakes import PLACE, REGISTRY, FakeHttp, plan_of
from tests.execution.heavy_nodes import bearer
from tests.execution.simulated_blobs import SimulatedBlobs

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
ORIGIN = ItemList([Item({"n": 1}), Item({"n": 2}), Item({"n": 3})], [-1, -1, -1])
#: Two of the origin's items, the other way round, and one made from several of them.
GIVEN = ItemList([Item({"n": 3}), Item({"n": 1}), Item({"n": 9})], [2, 0, -1])


class Retries(list[tuple[int, int, float, Failure]]):
    """What a run told of its retries."""

    def tell(self, tries: int, failed: int, delay: float, failure: Failure) -> None:
        self.append((tries, failed, delay, failure))


def run_of(node: dict[str, Any], *, http: HttpCapability | None = None, on_error: str = "continue") -> NodeRun:
    """A run of `node`, which follows a node `between` that follows `start`; `never` did not run."""
    nodes = {
        "start": {"type": "trigger.manual"},
        "between": {"type": "flow.no_op"},
        "never": {"type": "flow.no_op"},
        "it": {"on_error": on_error, **node},
    }
    _, plan = plan_of(nodes, ["start > between", "start > never", "between > it", "never > it"])
    produced = Produced(plan)
    produced.keep(At(plan.index["start"]), {"main": ORIGIN})
    produced.keep(At(plan.index["between"]), {"main": GIVEN})
    it = plan.nodes[plan.index["it"]]
    return NodeRun(
        node=it,
        items=GIVEN.items,
        ports={"main": range(3)},
        scope=_scope(produced, it.params.names),
        now=NOW,
        effect_scope="exe_1",
        http=http or FakeHttp(),
        on_retry=Retries().tell,
    )


def _scope(produced: Produced, wanted: frozenset[str]) -> Callable[[int | None], Scope]:
    fixed = {
        "execution": {"id": "exe_1", "started_at": NOW.astimezone(ZoneInfo("Europe/Berlin"))},
        "workflow": {"name": "test"},
        "now": NOW.astimezone(ZoneInfo("Europe/Berlin")),
        "run_index": 4,
        "vars": {"rate": 0.5},
        "env": {"REGION": "north"},
    }
    at = At(produced.plan.index["it"])
    names = RunNames(
        wanted,
        fixed,
        GIVEN.items,
        nodes=lambda ordinal: NodeViews(produced, at, ordinal),
        trigger=lambda: "start",
        batch=lambda: batch_of(4, GIVEN.items[:2]),
    )
    return names.scope


async def elsewhere(run: NodeRun, registry: Registry = REGISTRY) -> NodeResult:
    """The result of packing a run, running it and putting the result back."""
    return unpack_result(await run_packed(pack(run), registry, Tools(PLACE, run.http)), run)


def setting(**values: Any) -> dict[str, Any]:
    return {"type": "data.set", "params": {"values": values}}


@pytest.mark.parametrize(
    ("node", "failing"),
    [
        (setting(x="{{ $json.n + 1 }}", i="{{ $item_index }}"), []),
        (setting(x="{{ $node.start.json.n }}"), [2]),
        (setting(x="{{ $node.start.items }}"), []),
        (setting(x="{{ $node.never.json }}"), [0, 1, 2]),
        (setting(x="{{ $execution.started_at.year() }} {{ $workflow.name }} {{ $now.hour() }} {{ $now }}"), []),
        (setting(x="{{ 1 / ($json.n - 3) }}"), [0]),
        (setting(x="{{ $item.json.n }} {{ $item.index }} {{ $item.binary }} {{ $binary }} {{ $error }}"), []),
        (setting(x="{{ [$input.first.json.n, $input.last().json.n, $input.item.index, $input.items] }}"), []),
        (setting(x="{{ [$input.all().length(), $items, $batch, $run_index] }}"), []),
        (setting(x="{{ [$today, $vars.rate, $env.REGION] }}"), []),
        (setting(x="{{ $execution.started_at.plus(months=6) }}"), []),
        (setting(x="{{ $trigger.json.n }}"), [2]),
        (setting(x="{{ [$trigger.items, $trigger.first.json, $trigger.last().json, $trigger.all[1].json] }}"), []),
        (setting(x="{{ [$node.start.item.json, $node.start.item.index, $node.start.error] }}"), [2]),
        (setting(x="{{ [$node.between.params, $node.start.runs, $node.start.items()] }}"), []),
        (setting(x="{{ $vars.nothing }}"), [0, 1, 2]),
        ({"type": "data.sort", "params": {"by": [{"field": "n"}]}}, []),
        ({"type": "flow.if", "params": {"condition": "{{ $json.n > 1 }}"}}, []),
        ({"type": "data.aggregate", "params": {"operations": [{"operation": "count", "name": "n"}]}}, []),
    ],
)
async def test_it_gives_what_it_gives_here(node: dict[str, Any], failing: list[int]) -> None:
    run = run_of(node)

    result = await run_node(run)

    assert await elsewhere(run) == result
    assert sorted(result.failed) == failing


async def test_retries_are_told_here_and_failures_keep_their_kind() -> None:
    fetch = {
        "type": "http.request",
        "params": {"url": "https://example.com/{{ $json.n }}"},
        "retry": {"tries": 2, "wait_seconds": 0.001, "jitter": False},
    }
    retries = Retries()
    run = replace(run_of(fetch, http=FakeHttp(lambda request: 503)), on_retry=retries.tell)

    result = await elsewhere(run)

    [(tries, failed, delay, failure)] = retries
    assert (tries, failed, delay, failure.retriable) == (1, 3, 0.001, True)
    assert result.tries == 2
    assert {failure.code for failure in result.failed.values()} == {failure.code}


async def test_the_idempotency_keys_are_the_same_there() -> None:
    post = {"type": "http.request", "params": {"url": "https://example.com/", "method": "POST"}}
    here, there = FakeHttp(), FakeHttp()

    await run_node(run_of(post, http=here))
    await elsewhere(run_of(post, http=there))

    assert [request.headers for request in there.requests] == [request.headers for request in here.requests]


async def test_files_and_errors_of_items_go_along() -> None:
    blob, error = BlobRef("ab" * 32, 3, "text/plain", "a.txt"), ItemError("node.failed", "no")
    items = [Item({"n": 1}, {"file": blob}), Item({"n": 2}, error=error), Item({"n": 3})]
    run = replace(run_of({"type": "flow.no_op"}), items=items)

    result = await elsewhere(run)

    assert result.ports["main"][0] == items


async def test_a_result_that_is_not_json_fails_every_item() -> None:
    def unwritable(batch: Batch[Any]) -> Outputs:
        outputs = Outputs()
        outputs.emit("main", {"n": 2**80})
        return outputs

    run = run_of({"type": "flow.no_op"})

    result = await elsewhere(run, Registry([replace(run.node.spec, call=unwritable)]))

    assert {failure.code for failure in result.failed.values()} == {"journal.unwritable"}


async def test_what_is_not_json_is_not_sent() -> None:
    run = replace(run_of({"type": "flow.no_op"}), items=[Item({"n": 2**80})])

    with pytest.raises(EventUnwritable):
        pack(run)


async def test_of_credentials_only_the_slots_are_sent() -> None:
    run = run_of({"type": "flow.no_op"})
    run.give({"auth": bearer("canary-of-a-segment")})

    packed = pack(run, "the ticket")

    assert b"canary" not in packed
    assert (orjson.loads(packed)["slots"], orjson.loads(packed)["ticket"]) == (["auth"], "the ticket")


async def test_credentials_that_nobody_gives_fail_every_item() -> None:
    run = run_of({"type": "flow.no_op"})
    run.give({"auth": bearer("canary-of-a-segment")})

    result = await elsewhere(run)

    assert {failure.code for failure in result.failed.values()} == {"credential.hand_over_missing"}
    assert len(result.failed) == 3


async def test_a_type_that_is_missing_there_fails_every_item() -> None:
    result = await elsewhere(run_of({"type": "flow.no_op"}), Registry([]))

    assert {failure.code for failure in result.failed.values()} == {"node.unknown_type"}
    assert len(result.failed) == 3


async def test_a_run_that_fails_as_a_whole_does_so_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(batch: Batch[Any]) -> Iterator[Outputs]:
        yield Outputs()
        raise BlobMissing("There is no blob.")

    run = run_of({"type": "data.sort", "params": {"by": [{"field": "n"}]}})
    run = replace(run, node=replace(run.node, spec=replace(run.node.spec, call=gone)))

    result = await elsewhere(run, Registry([run.node.spec]))

    assert result == await run_node(run)
    assert result.fatal is not None
    assert result.fatal.code == "blob.missing"


async def test_a_list_that_is_too_long_for_memory_goes_and_comes_back_by_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spill, "ITEMS_MAX", 100)
    lists = ListStore(SimulatedBlobs(Random(0)))
    writer = lists.open_writer("default", chunk_bytes=1_000)
    writer.add([Item({"n": n}) for n in range(2_000)], range(2_000))
    given = lists.stored("default", writer.finish())
    run = run_of({"type": "data.sort", "params": {"by": [{"field": "n", "order": "desc"}]}})
    run = replace(run, items=given.items, ports={"main": range(2_000)})

    packed = pack(run, project_id="default")
    back = unpack_result(await run_packed(packed, REGISTRY, Tools(PLACE, run.http, lists=lists)), run)

    assert len(packed) < 5_000
    assert back.ports == {}
    result = lists.open("default", back.stored["main"])
    assert [item.json["n"] for item in result.items] == list(range(1_999, -1, -1))
    assert list(result.lineage) == list(range(1_999, -1, -1))


async def test_a_process_that_has_no_blob_store_says_so() -> None:
    items = Spilled([Part(0, 3, ListRef("a" * 64, 9, 3, 9, 9, "b" * 64))])
    run = replace(run_of({"type": "data.sort", "params": {"by": [{"field": "n"}]}}), items=items)

    result = await elsewhere(run)

    assert result.fatal is not None
    assert result.fatal.code == "blob.not_opened"


def test_a_time_limit_leaves_the_other_process_the_time_to_keep_it_itself() -> None:
    assert limit_seconds(run_of({"type": "flow.no_op", "timeout_seconds": 5})) == 5 + GRACE_SECONDS
    assert limit_seconds(run_of({"type": "flow.no_op"})) is None

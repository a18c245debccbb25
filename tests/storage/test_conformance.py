"""One suite over every adapter: a difference between them is a failing test and not a surprise in production."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from budflow.execution.records import JournalWrite
from budflow.model.event import StoredEvent
from budflow.model.execution import Claim, ClaimLost, Parent
from budflow.model.failure import Failure
from budflow.model.workflow import VersionConflict, VersionNotFound, WebhookTaken, WorkflowNotFound
from budflow.services.ports import Store
from budflow.storage.errors import TextRefused, WriteConflict
from tests.storage.journals import end, event, execution, queued, route, running, saved, version, workflow


async def test_an_execution_comes_back_as_it_was_admitted(store: Store) -> None:
    new = execution(
        mode="child",
        priority=-3,
        created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        parent=Parent("exe_parent", "call_it", 2, 1),
    )
    await store.admit(new, [event(0), event(1)])

    assert await store.get_execution("default", new.id) == new


async def test_events_come_back_in_order_and_in_parts(store: Store) -> None:
    events = [event(i, payload=b'{"i":%d}' % i) for i in range(10)]
    new = execution()
    await store.admit(new, events)

    assert await store.read_events("default", new.id) == events
    assert await store.read_events("default", new.id, after=3, limit=4) == events[4:8]
    assert await store.read_events("default", new.id, after=9) == []


async def test_an_id_is_admitted_once(store: Store) -> None:
    new = await queued(store)

    with pytest.raises(WriteConflict):
        await store.admit(new, [event(0), event(1)])

    assert len(await store.read_events("default", new.id)) == 1


async def test_claims_go_by_priority_then_age(store: Store) -> None:
    low, old, young = [await queued(store, priority=priority) for priority in (0, 5, 5)]

    claims = await store.claim("r1", limit=2)
    claims += await store.claim("r1", limit=2)

    assert [claim.execution_id for claim, _ in claims] == [old.id, young.id, low.id]


async def test_a_claim_leases_the_execution_with_a_higher_token(store: Store) -> None:
    new = await queued(store)

    [(claim, leased)] = await store.claim("r1", limit=10)

    assert claim == Claim(new.id, "r1", 1)
    assert leased == replace(new, status="running", runner="r1", token=1)
    assert await store.get_execution("default", new.id) == leased
    assert await store.claim("r2", limit=10) == []


async def test_twenty_claimers_at_once_take_every_execution_once(store: Store) -> None:
    admitted = await asyncio.gather(*(queued(store) for _ in range(100)))

    taken = await asyncio.gather(*(store.claim(f"r{i}", limit=5) for i in range(20)))
    rest = await store.claim("last", limit=100)

    ids = [claim.execution_id for claims in [*taken, rest] for claim, _ in claims]
    assert sorted(ids) == sorted(new.id for new in admitted)
    assert await store.count_queued() == 0


async def test_an_append_changes_the_row_and_the_journal_together(store: Store) -> None:
    claim = await running(store)
    started, finished = event(1, "execution.started"), event(3, "execution.finished")
    failure = Failure("http.refused", 'No "ä\x00" 🌱', "Look.", "fetch", retriable=True)

    await store.append(JournalWrite(claim, (started, event(2))))
    await store.append(JournalWrite(claim, (finished,), status="failed", failure=failure))

    row = await store.get_execution("default", claim.execution_id)
    assert row is not None
    assert (row.status, row.failure) == ("failed", failure)
    assert (row.started_at, row.finished_at) == (started.at, finished.at)
    assert [e.seq for e in await store.read_events("default", claim.execution_id)] == [0, 1, 2, 3]


async def test_a_waiting_execution_goes_on_with_the_same_claim(store: Store) -> None:
    claim = await running(store)

    await store.append(JournalWrite(claim, (event(1),), status="waiting"))
    await store.append(JournalWrite(claim, (event(2),), status="running"))

    row = await store.get_execution("default", claim.execution_id)
    assert row is not None
    assert row.status == "running"


async def test_a_stale_token_cannot_write_while_its_siblings_can(store: Store) -> None:
    claims = [await running(store) for _ in range(5)]
    stale = replace(claims[2], token=claims[2].token - 1)
    writes = [JournalWrite(claim, (event(1),)) for claim in [*claims[:2], stale, *claims[3:]]]

    results = await asyncio.gather(*(store.append(write) for write in writes), return_exceptions=True)

    assert [type(result) for result in results] == [type(None), type(None), ClaimLost, type(None), type(None)]
    lengths = [len(await store.read_events("default", claim.execution_id)) for claim in claims]
    assert lengths == [2, 2, 1, 2, 2]


@pytest.mark.parametrize("status", ["succeeded", "failed", "cancelled"])
async def test_a_terminal_state_never_changes(store: Store, status: str) -> None:
    claim = await running(store)
    await store.append(end(claim, status=status))
    ended = await store.get_execution("default", claim.execution_id)

    with pytest.raises(ClaimLost):
        await store.append(JournalWrite(claim, (event(2),), status="running"))
    await store.request_cancel("default", claim.execution_id, event())

    assert await store.claim("r2", limit=10) == []
    assert await store.get_execution("default", claim.execution_id) == ended
    assert len(await store.read_events("default", claim.execution_id)) == 2


@pytest.mark.parametrize("seqs", [(0,), (2,), (1, 1), (1, 3)])
async def test_events_that_do_not_follow_the_journal_are_refused_whole(store: Store, seqs: tuple[int, ...]) -> None:
    claim = await running(store)

    with pytest.raises(WriteConflict):
        await store.append(JournalWrite(claim, tuple(event(seq) for seq in seqs), status="waiting"))

    row = await store.get_execution("default", claim.execution_id)
    assert row is not None
    assert row.status == "running"
    assert len(await store.read_events("default", claim.execution_id)) == 1


async def test_an_append_to_an_unknown_execution_is_refused(store: Store) -> None:
    with pytest.raises(WriteConflict):
        await store.append(JournalWrite(Claim("exe_none", "r1", 1), (event(0),)))

    assert await store.read_events("default", "exe_none") == []


async def test_writes_of_one_execution_keep_their_order_when_nobody_waits_between_them(store: Store) -> None:
    claim = await running(store)

    await asyncio.gather(*(store.append(JournalWrite(claim, (event(seq),))) for seq in range(1, 200)))

    assert [e.seq for e in await store.read_events("default", claim.execution_id)] == list(range(200))


async def test_a_whole_execution_fits_in_one_write(store: Store) -> None:
    new = execution(mode="webhook")
    claim = Claim(new.id, "r1", 1)
    events = (event(0, "execution.admitted"), event(1, "execution.started"), event(2), event(3, "execution.finished"))

    await store.append(JournalWrite(claim, events, admission=new, status="succeeded"))

    row = await store.get_execution("default", new.id)
    assert row == replace(
        new, status="succeeded", runner="r1", token=1, started_at=events[1].at, finished_at=events[3].at
    )
    assert await store.read_events("default", new.id) == list(events)


async def test_an_execution_admitted_by_its_runner_is_never_queued(store: Store) -> None:
    new = execution()
    claim = Claim(new.id, "r1", 1)

    await store.append(JournalWrite(claim, (event(0),), admission=new))

    assert await store.claim("r2", limit=1) == []
    await store.append(end(claim))


async def test_an_admission_with_a_taken_id_stores_nothing(store: Store) -> None:
    old = await queued(store)
    child = execution()
    admission = JournalWrite(
        Claim(old.id, "r1", 1), (event(0),), admission=execution(id=old.id), children=((child, (event(0),)),)
    )

    with pytest.raises(WriteConflict):
        await store.append(admission)

    assert await store.get_execution("default", old.id) == old
    assert await store.get_execution("default", child.id) is None


async def test_children_are_queued_in_the_same_transaction(store: Store) -> None:
    claim = await running(store)
    children = [execution(mode="child", parent=Parent(claim.execution_id, "call", i, 1)) for i in range(3)]
    first = (event(0, "execution.admitted"),)

    await store.append(
        JournalWrite(claim, (event(1, "child.started"),), children=tuple((child, first) for child in children))
    )

    assert await store.count_queued() == 3
    claims = await store.claim("r2", limit=10)
    assert [execution.parent for _, execution in claims] == [child.parent for child in children]
    assert await store.read_events("default", children[0].id) == list(first)


async def test_a_write_with_a_bad_child_stores_nothing_and_its_siblings_are_stored(store: Store) -> None:
    claim, other = await running(store), await running(store)
    taken = await queued(store)
    good = execution()
    bad = JournalWrite(
        claim, (event(1),), status="waiting", children=((good, (event(0),)), (execution(id=taken.id), (event(0),)))
    )

    results = await asyncio.gather(
        store.append(bad), store.append(JournalWrite(other, (event(1),))), return_exceptions=True
    )

    assert isinstance(results[0], WriteConflict)
    assert results[1] is None
    assert await store.get_execution("default", good.id) is None
    assert len(await store.read_events("default", claim.execution_id)) == 1
    assert len(await store.read_events("default", other.execution_id)) == 2


async def test_a_child_given_twice_in_one_write_is_refused(store: Store) -> None:
    claim = await running(store)
    child = (execution(), (event(0),))

    with pytest.raises(WriteConflict):
        await store.append(JournalWrite(claim, (event(1),), children=(child, child)))

    assert await store.count_queued() == 0


async def test_a_queued_execution_is_cancelled_at_once(store: Store) -> None:
    new = await queued(store)
    ended = event(0, "execution.finished", b'{"status":"cancelled"}')

    row = await store.request_cancel("default", new.id, ended)

    assert row == replace(new, status="cancelled", finished_at=ended.at)
    assert await store.get_execution("default", new.id) == row
    assert await store.claim("r1", limit=1) == []
    assert (await store.read_events("default", new.id))[-1] == replace(ended, seq=1)


async def test_what_somebody_waits_for_or_what_began_is_flagged_in_the_queue(store: Store) -> None:
    child = await queued(store, mode="child", parent=Parent("exe_parent", "sub", 0, 1))
    claim = await running(store)
    await store.append(JournalWrite(claim, (event(1, "execution.started"),)))
    await store.release_dead("r2")

    for execution_id in (child.id, claim.execution_id):
        row = await store.request_cancel("default", execution_id, event())
        assert row is not None
        assert (row.status, row.cancelling) == ("queued", True)


async def test_a_running_execution_is_flagged_until_its_end(store: Store) -> None:
    claim, other = await running(store), await running(store, runner="r2")

    for cancelled in (claim, other):
        row = await store.request_cancel("default", cancelled.execution_id, event())
        assert row is not None
        assert (row.status, row.cancelling) == ("running", True)
    assert await store.cancelling("r1") == [claim.execution_id]
    assert len(await store.read_events("default", claim.execution_id)) == 1

    await store.append(end(claim, status="cancelled"))
    row = await store.get_execution("default", claim.execution_id)
    assert row is not None
    assert (row.status, row.cancelling) == ("cancelled", False)
    assert await store.cancelling("r1") == []


async def test_an_ended_execution_is_not_cancelled_any_more(store: Store) -> None:
    claim = await running(store)
    await store.append(end(claim))

    row = await store.request_cancel("default", claim.execution_id, event())

    assert row is not None
    assert (row.status, row.cancelling) == ("succeeded", False)
    assert await store.request_cancel("default", "exe_none", event()) is None


async def test_another_project_sees_and_changes_nothing(store: Store) -> None:
    new, kept = await queued(store), await saved(store)
    await store.publish("default", kept.id, 1, [route(kept)])

    assert await store.get_execution("other", new.id) is None
    assert await store.read_events("other", new.id) == []
    assert await store.request_cancel("other", new.id, event()) is None
    assert (await store.list_executions("other", limit=10)).items == ()
    assert await store.get_workflow("other", kept.id) is None
    assert await store.get_version("other", kept.id, 1) is None
    assert await store.list_versions("other", kept.id) == []
    assert (await store.list_workflows("other", limit=10)).items == ()
    assert await store.delete_workflow("other", kept.id) is False
    with pytest.raises(WorkflowNotFound):
        await store.publish("other", kept.id, None, [])
    with pytest.raises(WorkflowNotFound):
        await store.add_version(replace(version(kept, 2), project_id="other"), name="Mine", expected_version=1)
    assert await store.get_execution("default", new.id) == new
    assert await store.list_webhooks() == [route(kept)]


async def test_executions_are_listed_newest_first_in_pages(store: Store) -> None:
    admitted = [await queued(store) for _ in range(5)]
    newest_first = [new.id for new in reversed(admitted)]

    first = await store.list_executions("default", limit=2)
    second = await store.list_executions("default", limit=2, cursor=first.next_cursor)
    third = await store.list_executions("default", limit=2, cursor=second.next_cursor)

    assert [new.id for page in (first, second, third) for new in page.items] == newest_first
    assert first.next_cursor == newest_first[1]
    assert third.next_cursor is None
    assert (await store.list_executions("default", limit=5)).next_cursor is None


async def test_executions_are_listed_by_workflow_and_status(store: Store) -> None:
    ended = await running(store, workflow_id="wf_a")
    await store.append(end(ended))
    a, b = await queued(store, workflow_id="wf_a"), await queued(store, workflow_id="wf_b")

    async def listed(**only: str) -> list[str]:
        page = await store.list_executions("default", limit=10, **only)  # type: ignore[arg-type]  # a Status, shown as text
        return [found.id for found in page.items]

    assert await listed(workflow_id="wf_a") == [a.id, ended.execution_id]
    assert await listed(status="queued") == [b.id, a.id]
    assert await listed(workflow_id="wf_a", status="succeeded") == [ended.execution_id]
    assert await listed(workflow_id="wf_c") == []


async def test_a_payload_of_five_megabytes_comes_back(store: Store) -> None:
    value = {"text": "0123456789abcdef" * (5 * 1024 * 1024 // 16)}
    large = event(1, payload=orjson.dumps(value))
    claim = await running(store)

    await store.append(JournalWrite(claim, (large, event(2))))

    assert (await store.read_events("default", claim.execution_id, after=0))[0] == large


@pytest.mark.parametrize("size", [0, 1, 1024, 1025, 40_000])
async def test_any_bytes_come_back(store: Store, size: int) -> None:
    incompressible = StoredEvent(0, "node.finished", 3, event().at, bytes(i * 167 % 251 for i in range(size)))
    new = execution()

    await store.admit(new, [incompressible])

    assert await store.read_events("default", new.id) == [incompressible]


async def test_a_document_may_hold_any_text(store: Store) -> None:
    kept = workflow(name="Grüße 🌱 Ελλάδα")
    texts: dict[str, Any] = {"nul": "a\x00b", "emoji": "👩‍👩‍👧‍👦", "quote": "\"'\\", "nested": [{"z": 1, "a": None}]}
    await store.add_workflow(kept, version(kept, **texts))

    read = await store.get_version("default", kept.id, 1)

    assert read is not None
    assert read == version(kept, **texts)
    assert list(read.document) == ["format", "name", "nul", "emoji", "quote", "nested"]


@pytest.mark.parametrize("name", ["a\x00b", "half \ud83c of it"])
async def test_a_name_that_no_database_can_keep_is_refused(store: Store, name: str) -> None:
    kept = await saved(store)

    with pytest.raises(TextRefused):
        await store.add_workflow(*(lambda w: (w, version(w)))(workflow(name=name)))
    with pytest.raises(TextRefused):
        await store.add_version(version(kept, 2), name=name, expected_version=1)

    assert await store.get_workflow("default", kept.id) == kept


async def test_a_version_is_added_to_the_one_it_was_made_from(store: Store) -> None:
    kept = await saved(store)
    second = version(kept, 2)

    renamed = await store.add_version(second, name="Renamed", expected_version=1)

    assert renamed == replace(kept, name="Renamed", latest_version=2, updated_at=second.created_at)
    assert await store.get_workflow("default", kept.id) == renamed
    assert await store.list_versions("default", kept.id) == [second, version(kept, 1)]
    assert await store.get_version("default", kept.id, 3) is None


async def test_a_version_made_from_an_old_one_is_refused(store: Store) -> None:
    kept = await saved(store)
    await store.add_version(version(kept, 2), name="Second", expected_version=1)

    with pytest.raises(VersionConflict) as refused:
        await store.add_version(version(kept, 2), name="Late", expected_version=1)

    assert refused.value.details == {"latest_version": 2, "expected_version": 1}
    unknown = workflow()
    with pytest.raises(WorkflowNotFound):
        await store.add_version(version(unknown, 2), name="None", expected_version=1)


async def test_of_many_who_add_the_next_version_one_succeeds(store: Store) -> None:
    kept = await saved(store)

    results = await asyncio.gather(
        *(store.add_version(version(kept, 2), name=f"By {i}", expected_version=1) for i in range(10)),
        return_exceptions=True,
    )

    assert sum(isinstance(result, VersionConflict) for result in results) == 9
    assert len(await store.list_versions("default", kept.id)) == 2


async def test_a_stored_version_does_not_change_with_the_callers_document(store: Store) -> None:
    kept = workflow()
    first = version(kept, nodes={"a": {}})
    await store.add_workflow(kept, first)

    first.document["nodes"]["b"] = {}

    read = await store.get_version("default", kept.id, 1)
    assert read is not None
    assert read.document["nodes"] == {"a": {}}


async def test_a_workflow_of_an_unknown_project_or_with_a_taken_id_is_refused(store: Store) -> None:
    kept = await saved(store)
    strange = workflow(project_id="nowhere")

    for refused in (replace(kept, name="Again"), strange):
        with pytest.raises(WriteConflict):
            await store.add_workflow(refused, version(refused))

    assert await store.get_workflow("default", kept.id) == kept


async def test_workflows_are_found_by_a_part_of_their_name(store: Store) -> None:
    names = ["Straße nach ÖSTERREICH", "100% sure_thing", "Plain"]
    for name in names:
        await saved(store, name=name)

    async def found(name: str) -> list[str]:
        return [w.name for w in (await store.list_workflows("default", limit=10, name=name)).items]

    assert await found("österreich") == names[:1]
    assert await found("STRASSE") == names[:1]
    assert await found("0%") == names[1:2]
    assert await found("e_t") == names[1:2]
    assert await found("%") == names[1:2]
    assert await found("") == names[::-1]


async def test_workflows_are_listed_newest_first_in_pages(store: Store) -> None:
    kept = [await saved(store) for _ in range(3)]

    first = await store.list_workflows("default", limit=2)
    second = await store.list_workflows("default", limit=2, cursor=first.next_cursor)

    assert [*first.items, *second.items] == kept[::-1]
    assert second.next_cursor is None


async def test_publishing_replaces_the_webhooks(store: Store) -> None:
    kept = await saved(store)

    published = await store.publish("default", kept.id, 1, [route(kept), route(kept, "GET")])
    assert published == replace(kept, published_version=1)
    assert await store.list_webhooks() == [route(kept, "GET"), route(kept)]

    await store.publish("default", kept.id, 1, [route(kept, path="orders/new")])
    assert await store.list_webhooks() == [route(kept, path="orders/new")]

    assert await store.publish("default", kept.id, None, []) == kept
    assert await store.list_webhooks() == []
    assert await store.get_workflow("default", kept.id) == kept


async def test_a_webhook_belongs_to_one_workflow(store: Store) -> None:
    first, second = await saved(store), await saved(store)
    await store.publish("default", first.id, 1, [route(first)])
    await store.publish("default", second.id, 1, [route(second, "GET")])

    with pytest.raises(WebhookTaken) as refused:
        await store.publish("default", second.id, 1, [route(second, "PUT"), route(second, path="orders/{other}")])

    assert refused.value.details == {"method": "POST", "path": "orders/{shop}", "workflow_id": first.id}
    assert await store.list_webhooks() == [route(second, "GET"), route(first)]


async def test_of_many_who_arm_the_same_webhook_one_succeeds(store: Store) -> None:
    rivals = [await saved(store) for _ in range(10)]

    results = await asyncio.gather(
        *(store.publish("default", rival.id, 1, [route(rival)]) for rival in rivals), return_exceptions=True
    )

    assert sum(isinstance(result, WebhookTaken) for result in results) == 9
    assert len(await store.list_webhooks()) == 1


async def test_two_equal_webhooks_of_one_workflow_are_refused(store: Store) -> None:
    kept = await saved(store)

    with pytest.raises(WriteConflict):
        await store.publish("default", kept.id, 1, [route(kept), route(kept, path="orders/{other}")])

    assert await store.get_workflow("default", kept.id) == kept


async def test_only_what_is_stored_can_be_published(store: Store) -> None:
    kept = await saved(store)

    with pytest.raises(VersionNotFound):
        await store.publish("default", kept.id, 2, [])
    with pytest.raises(WorkflowNotFound):
        await store.publish("default", "wf_none", None, [])


async def test_a_deleted_workflow_leaves_its_executions_and_the_versions_they_are_read_by(store: Store) -> None:
    kept = await saved(store)
    await store.publish("default", kept.id, 1, [route(kept)])
    ran = await queued(store, workflow_id=kept.id)

    assert await store.delete_workflow("default", kept.id) is True
    assert await store.delete_workflow("default", kept.id) is False

    assert await store.get_workflow("default", kept.id) is None
    assert await store.get_version("default", kept.id, 1) is not None
    assert await store.list_webhooks() == []
    assert await store.get_execution("default", ran.id) == ran


async def test_a_cancelled_caller_loses_no_write(store: Store) -> None:
    claim = await running(store)
    first = asyncio.create_task(store.append(JournalWrite(claim, (event(1),))))
    await asyncio.sleep(0)  # The write is handed over in the caller's first step.

    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await store.append(JournalWrite(claim, (event(2),)))

    assert [e.seq for e in await store.read_events("default", claim.execution_id)] == [0, 1, 2]

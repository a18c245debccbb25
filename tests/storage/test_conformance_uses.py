"""The audit of credentials, written with the journal: the same over every adapter."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from budflow.execution.records import JournalWrite, Rest, TriggerKey
from budflow.model.credential import CredentialUse
from budflow.model.execution import Claim, ClaimLost, KeyKnown
from budflow.services.ports import Store
from budflow.services.retention import ENDED, Expired
from budflow.storage import credential_uses
from budflow.storage.errors import TextRefused, WriteConflict
from tests.storage.conftest import OpenStore
from tests.storage.journals import credential, end, event, execution, running, use, waiting

NOW = datetime(2030, 1, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)


async def used(store: Store, credential_id: str = "crd_a", project_id: str = "default") -> list[CredentialUse]:
    return list((await store.list_credential_uses(project_id, credential_id, limit=1000)).uses)


async def paged(store: Store, limit: int) -> list[CredentialUse]:
    """All uses, page by page."""
    found: list[CredentialUse] = []
    cursor: str | None = None
    while True:
        page = await store.list_credential_uses("default", "crd_a", limit=limit, cursor=cursor)
        found += page.uses
        cursor = page.next_cursor
        if cursor is None:
            return found
        assert len(page.uses) == limit


async def write(store: Store, claim: Claim, *uses: CredentialUse, seq: int = 1, **different: Any) -> None:
    await store.append(JournalWrite(claim, (event(seq, "credentials.used"),), uses=uses, **different))


async def test_a_use_comes_back_as_it_was_written(store: Store) -> None:
    claim = await running(store)
    one = use(claim, node="each[3].price", slot="auth", version=7, author="ä", principal="service:🌱")

    await write(store, claim, one)

    assert await used(store) == [one]
    assert len(await store.read_events("default", claim.execution_id)) == 2


async def test_a_use_without_an_execution_is_kept_among_the_others(store: Store) -> None:
    claim = await running(store)
    first = use(claim, used_at=NOW)
    tried = replace(first, used_at=NOW + SECOND, workflow_id="", version=0, execution_id="", node="", slot="test")

    await write(store, claim, first)
    await store.add_credential_use(tried)

    assert await used(store) == [tried, first]
    with pytest.raises(TextRefused):
        await store.add_credential_use(replace(tried, principal="\0"))


async def test_uses_come_with_an_execution_that_is_written_whole(store: Store) -> None:
    new = execution()
    claim = Claim(new.id, "r1", 1)
    events = (event(0), event(1, "execution.finished"))

    await store.append(JournalWrite(claim, events, admission=new, status="succeeded", uses=(use(claim),)))

    assert len(await used(store)) == 1


async def test_uses_come_with_an_execution_that_is_queued_and_not_with_one_that_is_refused(store: Store) -> None:
    new, key = execution(), TriggerKey("default", "key", "print")
    came_in = use(Claim(new.id, "r1", 1))
    again = replace(new, id="exe_again")

    await store.admit(new, [event(0)], key, (came_in,))
    with pytest.raises(KeyKnown):
        await store.admit(again, [event(0)], key, (replace(came_in, execution_id=again.id),))

    assert await used(store) == [came_in]


async def test_uses_of_one_write_keep_their_order(store: Store) -> None:
    claim = await running(store)
    uses = [use(claim, slot=slot, used_at=NOW) for slot in ("b", "a", "c")]

    await write(store, claim, *uses)

    assert await used(store) == uses[::-1]


async def test_who_lost_the_claim_has_used_nothing(store: Store) -> None:
    lost, ended = await waiting(store), await running(store)
    await store.append(end(ended))

    for claim, seq in ((lost, 2), (ended, 2)):
        with pytest.raises(ClaimLost):
            await write(store, claim, use(claim), seq=seq)
    with pytest.raises(WriteConflict):
        await write(store, Claim("exe_none", "r1", 1), use(lost))

    assert await used(store) == []


async def test_uses_are_written_with_their_events_or_not_at_all(store: Store) -> None:
    claims = [await running(store) for _ in range(6)]
    stale = replace(claims[3], token=claims[3].token - 1)

    results = await asyncio.gather(
        *(write(store, claim, use(claim)) for claim in [*claims[:3], stale, *claims[4:]]),
        write(store, claims[0], use(claims[0], slot="gap"), seq=9),
        return_exceptions=True,
    )

    failed = [type(result) for result in results if result is not None]
    assert failed == [ClaimLost, WriteConflict]
    assert sorted(one.execution_id for one in await used(store)) == sorted(
        claim.execution_id for claim in claims if claim != claims[3]
    )
    assert await store.read_events("default", claims[3].execution_id, after=0) == []


async def test_an_end_and_a_rest_keep_what_was_used(store: Store) -> None:
    ended, rested = await running(store), await running(store)

    await write(store, ended, use(ended), status="succeeded")
    await write(store, rested, use(rested), rest=Rest("timer", None))

    assert {one.execution_id for one in await used(store)} == {ended.execution_id, rested.execution_id}


@pytest.mark.parametrize("text", ["a\x00", "a\ud800"], ids=["nul", "surrogate"])
@pytest.mark.parametrize("field", ["node", "slot", "author", "principal", "credential_id"])
async def test_a_use_with_a_text_that_no_database_keeps_fails_alone(store: Store, field: str, text: str) -> None:
    good, bad = await running(store), await running(store)

    results = await asyncio.gather(
        write(store, good, use(good)), write(store, bad, use(bad, **{field: text})), return_exceptions=True
    )

    assert [type(result) for result in results] == [type(None), TextRefused]
    assert [one.execution_id for one in await used(store)] == [good.execution_id]
    assert len(await store.read_events("default", bad.execution_id)) == 1


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_uses_are_read_newest_first_in_parts(store: Store, limit: int) -> None:
    claim = await running(store)
    # Two of each time, and the younger ones written first.
    uses = [use(claim, used_at=NOW - SECOND * (i // 2), slot=f"s{i}") for i in range(7)]
    for seq, one in enumerate(uses, 1):
        await write(store, claim, one, seq=seq)

    slots = [one.slot for one in await paged(store, limit)]

    assert slots == ["s1", "s0", "s3", "s2", "s5", "s4", "s6"]


async def test_a_cursor_stays_where_it_is_while_more_is_used(store: Store) -> None:
    claim = await running(store)
    await write(store, claim, *(use(claim, used_at=NOW, slot=f"s{i}") for i in range(4)))
    first = await store.list_credential_uses("default", "crd_a", limit=2)

    await write(store, claim, use(claim, used_at=NOW, slot="late"), seq=2)
    rest = await store.list_credential_uses("default", "crd_a", limit=2, cursor=first.next_cursor)

    assert [one.slot for one in (*first.uses, *rest.uses)] == ["s3", "s2", "s1", "s0"]
    assert rest.next_cursor is None


async def test_uses_belong_to_one_credential_of_one_project(store: Store) -> None:
    claim = await running(store)
    await write(store, claim, use(claim), use(claim, credential_id="crd_b"), use(claim, project_id="other"))

    assert len(await used(store)) == 1
    assert len(await used(store, "crd_b")) == 1
    assert len(await used(store, project_id="other")) == 1
    assert await used(store, "crd_b", "other") == []


async def test_uses_outlive_the_credential_and_the_execution(store: Store) -> None:
    record, claim = credential(), await running(store)
    await store.add_credential(record)
    await write(store, claim, use(claim, credential_id=record.id), status="succeeded")
    ended = replace(event(1, "execution.finished"), at=NOW)
    other = execution()
    await store.append(
        JournalWrite(
            Claim(other.id, "r1", 1),
            (event(0), ended),
            admission=other,
            status="succeeded",
            uses=(use(claim, credential_id=record.id, execution_id=other.id),),
        )
    )

    await store.delete_credential("default", record.id)
    await store.prune_executions(Expired("default", "wf_a", ENDED, before=NOW + SECOND), limit=10, at=NOW)

    assert await store.get_execution("default", other.id) is None
    assert len(await used(store, record.id)) == 2


async def test_uses_from_before_are_forgotten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credential_uses, "USES_A_STEP", 2)
    claim = await running(store)
    places = [(project, id_) for project in ("default", "other") for id_ in ("crd_a", "crd_b")]
    seq = 1
    for project, id_ in places:
        old = [
            use(claim, project_id=project, credential_id=id_, used_at=NOW - SECOND * i, slot=f"old{i}")
            for i in range(1, 6)
        ]
        young = [use(claim, project_id=project, credential_id=id_, used_at=NOW, slot="young")]
        await write(store, claim, *old, *young, seq=seq)
        seq += 1

    await store.delete_old_uses(NOW)

    left = {place: [one.slot for one in await used(store, place[1], place[0])] for place in places}
    assert left == {place: ["young"] for place in places}


async def test_many_uses_of_one_write_are_kept(store: Store) -> None:
    claim = await running(store)

    await write(store, claim, *(use(claim, slot=f"s{i}", used_at=NOW) for i in range(333)))

    assert [one.slot for one in await paged(store, 100)] == [f"s{i}" for i in reversed(range(333))]


async def test_uses_are_durable(open_again: OpenStore) -> None:
    before = await open_again()
    claim = await running(before)
    await write(before, claim, use(claim))

    assert len(await used(await open_again())) == 1

"""Credentials at rest and requests for them: the same over every adapter."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from budflow.model.credential import (
    CredentialConflict,
    CredentialNameTaken,
    CredentialNotFound,
    CredentialRecord,
    Grants,
    Sealed,
)
from budflow.model.identity import utc_now
from budflow.services.credential_ports import RequestUsed, TooManyRequests
from budflow.services.ports import Store
from budflow.storage.errors import TextRefused, WriteConflict
from tests.storage.conftest import OpenStore
from tests.storage.journals import credential, credential_request

RunSql = Callable[[str], Awaitable[Any]]

HOUR = timedelta(hours=1)
NUL, HALF = "a\x00", "a\ud800"


async def added(store: Store, **different: Any) -> CredentialRecord:
    new = credential(**different)
    await store.add_credential(new)
    return new


async def get(store: Store, record: CredentialRecord) -> CredentialRecord:
    found = await store.get_credential(record.project_id, record.id)
    assert found is not None
    return found


async def names(store: Store, **wanted: Any) -> list[str]:
    page = await store.list_credentials("default", limit=100, **wanted)
    return [one.name for one in page.credentials]


async def test_a_credential_comes_back_as_it_was_added(store: Store) -> None:
    new = await added(
        store,
        revision=7,
        hosts=("*.crm.example", "http://crm.internal:8080"),
        grants=Grants(project=True, principals=frozenset({"ann", "owner"}), workflows=frozenset({"wf_b", "wf_a"})),
        probe={"method": "GET", "url": "https://crm.example/ä?x=\x00"},
        sealed=Sealed("key_ä", bytes(range(256)), b"\x00\xff" * 500),
        created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    )

    assert await store.get_credential("default", new.id) == new
    assert await store.get_credential("default", "crm") == new


async def test_nobody_is_granted_and_nothing_probed_unless_it_is_said(store: Store) -> None:
    new = await added(store, hosts=(), grants=Grants())

    found = await get(store, new)

    assert (found.hosts, found.grants, found.probe) == ((), Grants(), None)


async def test_what_its_maker_does_to_a_probe_later_changes_nothing(store: Store) -> None:
    probe = {"method": "GET", "url": "https://crm.example/me"}
    new = await added(store, probe=probe)

    probe["url"] = "https://elsewhere.example"

    assert (await get(store, new)).probe == {"method": "GET", "url": "https://crm.example/me"}


async def test_a_name_belongs_to_one_credential_of_a_project(store: Store) -> None:
    first = await added(store)
    elsewhere = await added(store, project_id="other")

    with pytest.raises(CredentialNameTaken):
        await added(store)

    assert await store.get_credential("default", "crm") == first
    assert await store.get_credential("other", "crm") == elsewhere


async def test_an_id_is_taken_once(store: Store) -> None:
    first = await added(store)

    with pytest.raises(WriteConflict):
        await added(store, id=first.id, name="another")

    assert await names(store) == ["crm"]


async def test_of_many_who_take_a_name_at_once_one_has_it(store: Store) -> None:
    results = await asyncio.gather(*(added(store) for _ in range(10)), return_exceptions=True)

    assert sorted(type(result).__name__ for result in results) == ["CredentialNameTaken"] * 9 + ["CredentialRecord"]


async def test_another_project_sees_nothing(store: Store) -> None:
    mine = await added(store)
    theirs = replace(mine, project_id="other")

    assert await store.get_credential("other", mine.id) is None
    assert await store.get_credential("other", "crm") is None
    assert (await store.list_credentials("other", limit=10)).credentials == ()
    assert not await store.delete_credential("other", mine.id)
    with pytest.raises(CredentialNotFound):
        await store.update_credential(replace(theirs, kind="basic"), expected=theirs)
    assert await get(store, mine) == mine


async def test_credentials_are_listed_by_name_in_parts(store: Store) -> None:
    for name in ("b", "a.z", "a-z", "a1", "a_z", "a"):
        await added(store, name=name)

    first = await store.list_credentials("default", limit=4)
    second = await store.list_credentials("default", limit=4, cursor=first.next_cursor)
    whole = await store.list_credentials("default", limit=6)

    assert [one.name for one in first.credentials] == ["a", "a-z", "a.z", "a1"]
    assert [one.name for one in second.credentials] == ["a_z", "b"]
    assert (first.next_cursor, second.next_cursor, whole.next_cursor) == ("a1", None, None)


async def test_a_list_keeps_those_whose_name_contains_a_text(store: Store) -> None:
    for name, kind in (("crm-live", "bearer"), ("crm_test", "basic"), ("mail", "basic")):
        await added(store, name=name, kind=kind)

    assert await names(store, name="RM") == ["crm-live", "crm_test"]
    assert await names(store, name="m_t") == ["crm_test"]
    assert await names(store, name="%") == []
    assert await names(store, kind="basic") == ["crm_test", "mail"]
    assert await names(store, kind="basic", name="crm") == ["crm_test"]
    assert await names(store, kind="Basic") == []


async def test_an_update_replaces_all_of_it(store: Store) -> None:
    old = await added(store)
    new = replace(
        old,
        name="crm-2",
        kind="basic",
        revision=2,
        hosts=("*",),
        grants=Grants(workflows=frozenset({"wf_b"})),
        probe={"url": "https://crm.example"},
        sealed=Sealed("key_2", b"other", b"new box"),
        updated_at=old.updated_at + HOUR,
    )

    await store.update_credential(new, expected=old)

    assert await get(store, old) == new
    assert await names(store) == ["crm-2"]


@pytest.mark.parametrize(
    "meanwhile",
    [
        {"name": "crm-2"},
        {"revision": 2},
        {"hosts": ("crm.example", "b.example")},
        {"grants": Grants(project=True)},
        {"probe": {"url": "https://crm.example"}},
        {"updated_at": datetime(2026, 1, 1, tzinfo=UTC)},
        {"sealed": Sealed("key_1", b"other", b"new box"), "revision": 2},
    ],
    ids=lambda meanwhile: "_".join(meanwhile),
)
async def test_an_update_of_what_was_changed_meanwhile_is_refused(store: Store, meanwhile: dict[str, Any]) -> None:
    old = await added(store)
    changed = replace(old, **meanwhile)
    await store.update_credential(changed, expected=old)

    with pytest.raises(CredentialConflict):
        await store.update_credential(replace(old, kind="basic"), expected=old)

    assert await get(store, old) == changed


async def test_of_many_updates_at_once_one_wins(store: Store) -> None:
    old = await added(store)
    updates = [replace(old, revision=2, hosts=(f"h{number}.example",)) for number in range(10)]

    results = await asyncio.gather(
        *(store.update_credential(update, expected=old) for update in updates), return_exceptions=True
    )

    won = [update for update, result in zip(updates, results, strict=True) if result is None]
    assert [type(result) for result in results if result is not None] == [CredentialConflict] * 9
    assert [await get(store, old)] == won


async def test_an_update_cannot_take_another_ones_name(store: Store) -> None:
    mine, _ = await added(store, name="mine"), await added(store, name="theirs")

    with pytest.raises(CredentialNameTaken):
        await store.update_credential(replace(mine, name="theirs", revision=2), expected=mine)

    assert await get(store, mine) == mine


async def test_what_is_deleted_is_gone(store: Store) -> None:
    old = await added(store)

    assert await store.delete_credential("default", old.id)

    assert not await store.delete_credential("default", old.id)
    assert await store.get_credential("default", "crm") is None
    with pytest.raises(CredentialNotFound):
        await store.update_credential(old, expected=old)
    assert not await store.rewrap_credential(old, Sealed("key_2", b"anew", old.sealed.box))


async def test_a_deleted_ones_name_is_free(store: Store) -> None:
    old = await added(store)
    await store.delete_credential("default", old.id)

    assert await store.get_credential("default", "crm") is None
    new = await added(store)
    assert await store.get_credential("default", "crm") == new


async def test_a_rotation_finds_what_is_wrapped_otherwise(store: Store) -> None:
    assert await store.list_key_ids() == frozenset()
    for number, project in enumerate(("default", "default", "other")):
        await added(store, name=f"n{number}", project_id=project, sealed=Sealed(f"key_{number}", b"w", b"box"))

    found = await store.list_wrapped_otherwise("key_1", limit=10)

    assert {one.name for one in found} == {"n0", "n2"}
    assert len(await store.list_wrapped_otherwise("key_1", limit=1)) == 1
    assert await store.list_key_ids() == {"key_0", "key_1", "key_2"}


async def test_a_rewrap_changes_how_the_key_is_wrapped_and_nothing_else(store: Store) -> None:
    old = await added(store)

    assert await store.rewrap_credential(old, Sealed("key_2", b"anew", old.sealed.box))

    assert await get(store, old) == replace(old, sealed=Sealed("key_2", b"anew", old.sealed.box))
    assert await store.list_wrapped_otherwise("key_2", limit=10) == []


async def test_a_rewrap_of_what_was_wrapped_meanwhile_does_nothing(store: Store) -> None:
    old = await added(store)
    await store.rewrap_credential(old, Sealed("key_2", b"anew", old.sealed.box))

    assert not await store.rewrap_credential(old, Sealed("key_3", b"late", old.sealed.box))

    assert (await get(store, old)).sealed.key_id == "key_2"


async def test_a_rewrap_of_what_was_sealed_anew_does_nothing(store: Store) -> None:
    old = await added(store)
    new = replace(old, revision=2, sealed=Sealed("key_1", b"other", b"new box"))
    await store.update_credential(new, expected=old)

    assert not await store.rewrap_credential(old, Sealed("key_2", b"anew", old.sealed.box))

    assert await get(store, old) == new


async def test_an_update_does_not_undo_a_rewrap_that_came_in_between(store: Store) -> None:
    old = await added(store)
    anew = Sealed("key_2", b"anew", old.sealed.box)
    await store.rewrap_credential(old, anew)

    await store.update_credential(replace(old, grants=Grants(project=True)), expected=old)

    assert await get(store, old) == replace(old, grants=Grants(project=True), sealed=anew)


async def test_new_values_replace_what_was_wrapped_anew_in_between(store: Store) -> None:
    old = await added(store)
    await store.rewrap_credential(old, Sealed("key_2", b"anew", old.sealed.box))
    new = replace(old, revision=2, sealed=Sealed("key_1", b"other", b"new box"))

    await store.update_credential(new, expected=old)

    assert await get(store, old) == new


@pytest.mark.parametrize("values_too", [False, True], ids=["grants", "values"])
async def test_updates_and_rewraps_at_once_never_part_a_box_from_its_key(store: Store, *, values_too: bool) -> None:
    old = await added(store)
    sealed = Sealed("key_1", b"other", b"new box") if values_too else old.sealed
    new = replace(old, revision=2 if values_too else 1, grants=Grants(project=True), sealed=sealed)
    anew = Sealed("key_2", b"anew", old.sealed.box)

    _, rewrapped = await asyncio.gather(store.update_credential(new, expected=old), store.rewrap_credential(old, anew))

    found = await get(store, old)
    assert found.grants == new.grants
    assert found.sealed == (sealed if values_too else anew)
    assert rewrapped or values_too


async def test_a_request_comes_back_as_it_was_made(store: Store) -> None:
    request = credential_request(grants=Grants(workflows=frozenset({"wf_a"})), hosts=("a.example", "b.example"))
    await store.add_credential_request(request)

    assert await store.get_credential_request(request.token_hash) == request
    assert await store.get_credential_request(request.id) is None


async def test_a_token_serves_one_request(store: Store) -> None:
    request = credential_request()
    await store.add_credential_request(request)

    for same in (replace(request, token_hash="hash_b"), replace(request, id="crq_b")):
        with pytest.raises(WriteConflict):
            await store.add_credential_request(same)

    assert await store.get_credential_request(request.token_hash) == request


async def test_only_so_many_requests_of_a_project_wait_for_an_answer(store: Store) -> None:
    first, second, third = (credential_request(name=f"crm-{number}") for number in range(3))
    over = credential_request(expires_at=utc_now() - HOUR)
    elsewhere = credential_request(project_id="other")
    for request in (over, elsewhere, first, second):
        await store.add_credential_request(request, open_max=2)

    with pytest.raises(TooManyRequests):
        await store.add_credential_request(third, open_max=2)
    await store.add_credential(credential(), request_id=first.id)
    await store.add_credential_request(third, open_max=2)


async def test_a_request_is_answered_once(store: Store) -> None:
    request = credential_request()
    await store.add_credential_request(request)
    answer = credential()

    await store.add_credential(answer, request_id=request.id)
    with pytest.raises(RequestUsed):
        await store.add_credential(credential(name="another"), request_id=request.id)

    assert await store.get_credential_request(request.token_hash) == replace(request, credential_id=answer.id)
    assert await names(store) == ["crm"]


async def test_a_request_stays_answered_when_the_credential_is_deleted(store: Store) -> None:
    request, answer = credential_request(), credential()
    await store.add_credential_request(request)
    await store.add_credential(answer, request_id=request.id)
    await store.delete_credential("default", answer.id)

    with pytest.raises(RequestUsed):
        await store.add_credential(credential(), request_id=request.id)


async def test_of_many_answers_at_once_one_counts(store: Store) -> None:
    request = credential_request()
    await store.add_credential_request(request)
    answers = [credential(name=f"crm{number}") for number in range(10)]

    results = await asyncio.gather(
        *(store.add_credential(answer, request_id=request.id) for answer in answers), return_exceptions=True
    )

    [won] = [answer for answer, result in zip(answers, results, strict=True) if result is None]
    assert [type(result) for result in results if result is not None] == [RequestUsed] * 9
    assert await names(store) == [won.name]
    found = await store.get_credential_request(request.token_hash)
    assert found is not None
    assert found.credential_id == won.id


@pytest.mark.parametrize(
    "different",
    [{"created_at": datetime(2099, 1, 1, tzinfo=UTC)}, {"project_id": "other"}],
    ids=["expired", "of another project"],
)
async def test_who_may_not_answer_a_request_adds_nothing(store: Store, different: dict[str, Any]) -> None:
    request = credential_request()
    await store.add_credential_request(request)
    late = credential(**different)

    with pytest.raises(RequestUsed):
        await store.add_credential(late, request_id=request.id)

    assert await store.get_credential(late.project_id, late.id) is None
    assert await store.get_credential_request(request.token_hash) == request


async def test_a_request_is_over_at_the_moment_that_it_names(store: Store) -> None:
    request = credential_request()
    await store.add_credential_request(request)

    with pytest.raises(RequestUsed):
        await store.add_credential(credential(created_at=request.expires_at), request_id=request.id)
    await store.add_credential(
        credential(created_at=request.expires_at - timedelta(microseconds=1)), request_id=request.id
    )


async def test_a_request_that_there_is_not_cannot_be_answered(store: Store) -> None:
    with pytest.raises(RequestUsed):
        await store.add_credential(credential(), request_id="crq_none")

    assert await names(store) == []


async def test_an_answer_with_a_name_that_is_taken_leaves_the_request_open(store: Store) -> None:
    request = credential_request()
    await store.add_credential_request(request)
    await added(store)

    with pytest.raises(CredentialNameTaken):
        await store.add_credential(credential(), request_id=request.id)

    await store.add_credential(credential(name="crm-2"), request_id=request.id)


async def test_an_answer_whose_id_is_taken_leaves_the_request_open(store: Store) -> None:
    request, other = credential_request(), await added(store, name="other")
    await store.add_credential_request(request)

    with pytest.raises(WriteConflict):
        await store.add_credential(credential(id=other.id), request_id=request.id)

    assert await store.get_credential_request(request.token_hash) == request


async def test_requests_that_expired_before_are_forgotten(store: Store) -> None:
    old, young = credential_request(), credential_request()
    old = replace(old, expires_at=young.expires_at - timedelta(seconds=1))
    await store.add_credential_request(old)
    await store.add_credential_request(young)

    await store.delete_old_uses(young.expires_at)

    assert await store.get_credential_request(old.token_hash) is None
    assert await store.get_credential_request(young.token_hash) == young


@pytest.mark.parametrize(
    "faulty",
    [
        *({field: text} for field in ("name", "kind", "created_by") for text in (NUL, HALF)),
        *({"sealed": Sealed(text, b"wrapped", b"box")} for text in (NUL, HALF)),
        # JSON has an escape for NUL.
        *({"grants": Grants(principals=frozenset({HALF}))}, {"hosts": (HALF,)}, {"probe": {"url": HALF}}),
    ],
    ids=lambda faulty: "_".join(faulty),
)
async def test_a_credential_with_a_text_that_no_database_keeps_is_refused(store: Store, faulty: dict[str, Any]) -> None:
    old = await added(store, name="old")

    with pytest.raises(TextRefused):
        await store.add_credential(credential(**faulty))
    with pytest.raises(TextRefused):
        await store.update_credential(replace(old, **faulty), expected=old)

    assert await names(store) == ["old"]
    assert await get(store, old) == old


@pytest.mark.parametrize("field", ["name", "kind", "reason", "asked_by"])
async def test_a_request_with_a_text_that_no_database_keeps_is_refused(store: Store, field: str) -> None:
    for text in (NUL, HALF):
        with pytest.raises(TextRefused):
            await store.add_credential_request(credential_request(**{field: text}))


@pytest.mark.parametrize("text", [NUL, HALF], ids=["nul", "surrogate"])
async def test_what_cannot_be_stored_is_not_found(store: Store, text: str) -> None:
    await added(store)

    assert await store.get_credential("default", text) is None
    assert not await store.delete_credential("default", text)
    assert await store.get_credential_request(text) is None
    assert (await store.list_credential_uses("default", text, limit=10)).uses == ()
    for wanted in ({"name": text}, {"kind": text}, {"cursor": text}):
        with pytest.raises(TextRefused):
            await names(store, **wanted)


async def test_credentials_outlive_the_server(open_again: OpenStore) -> None:
    before, request = await open_again(), credential_request()
    await before.add_credential_request(request)
    new = await added(before, name="crm")
    await before.close()

    after = await open_again()

    assert await after.get_credential("default", "crm") == new
    assert await after.get_credential_request(request.token_hash) == request


async def test_of_the_values_only_what_is_sealed_is_stored(open_again: OpenStore, run_sql: RunSql) -> None:
    await added(await open_again(), sealed=Sealed("key_1", b"wrapped", b"box"))

    assert bytes(await run_sql("SELECT box FROM credentials")) == b"box"
    assert bytes(await run_sql("SELECT wrapped_key FROM credentials")) == b"wrapped"

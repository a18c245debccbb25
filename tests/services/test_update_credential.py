"""Changing a credential: what is left out stays, and hosts widen only with the secrets."""

import logging
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from budflow.execution.ports import CredentialUser
from budflow.model.credential import (
    CredentialConflict,
    CredentialNameTaken,
    CredentialNotFound,
    CredentialUnreadable,
)
from budflow.model.principal import PermissionMissing, Principal
from budflow.services.credential_values import CredentialInvalid
from budflow.services.delete_credential import DeleteCredential, delete_credential
from budflow.services.update_credential import UpdateCredential, ValuesNeeded
from tests.services.credentials import ADA, BOB, CANARY, EVE, OTHER, create, open_services, stored, update

EVE_HERE = replace(ADA, id="eve")
BASIC: dict[str, Any] = {"kind": "basic", "values": {"user": "ada", "password": CANARY}}


async def test_what_is_left_out_stays() -> None:
    async with open_services() as services:
        made = await create(services, **BASIC, probe={"url": "https://crm.example/me"})

        view = await update(services, values={"password": OTHER})
        record, values = await stored(services)

    assert values == {"user": "ada", "password": OTHER}
    assert view.model_dump(exclude={"revision", "updated_at"}) == made.model_dump(exclude={"revision", "updated_at"})
    assert (view.revision, record.revision) == (2, 2)
    assert view.updated_at > made.updated_at


async def test_a_name_and_grants_leave_the_revision_and_what_is_sealed() -> None:
    async with open_services() as services:
        await create(services)
        before, _ = await stored(services)

        view = await update(services, name="crm", grants={"project": True})
        after, values = await stored(services, "crm")

        with pytest.raises(CredentialNotFound):
            await update(services, name="again")
    assert (view.revision, view.name, view.grants.project, view.grants.principals) == (1, "crm", True, [])
    assert (after.sealed, values) == (before.sealed, {"token": CANARY})
    assert after.id == before.id


async def test_nothing_to_change_changes_nothing() -> None:
    async with open_services() as services:
        made = await create(services)

        assert await update(services) == made
        assert await update(services, hosts=["crm.example"], name="crm-token") == made


async def test_null_takes_an_optional_value_away_and_not_one_that_must_be() -> None:
    values = {"key": CANARY, "prefix": "Token "}
    async with open_services() as services:
        await create(services, kind="api_key_header", values=values)

        view = await update(services, values={"prefix": None})
        with pytest.raises(CredentialInvalid) as caught:
            await update(services, values={"key": None})
        _, kept = await stored(services)

    assert view.fields == ["key"]
    assert [problem.code for problem in caught.value.problems] == ["credential.missing_field"]
    assert kept == {"key": CANARY}


async def test_a_probe_is_kept_unless_it_is_named_and_null_takes_it_away() -> None:
    async with open_services() as services:
        await create(services, probe={"url": "https://crm.example/me"})

        assert (await update(services, name="crm-token")).probe is not None
        other = await update(services, probe={"method": "HEAD", "url": "https://crm.example/"})
        assert other.probe is not None and other.probe.method == "HEAD"
        assert (await update(services, probe=None)).probe is None


# --- hosts ---------------------------------------------------------------------------------------------------------


async def test_more_hosts_need_all_secret_values_anew() -> None:
    async with open_services() as services:
        await create(services, **BASIC)
        before, _ = await stored(services)

        without: tuple[dict[str, Any], ...] = ({}, {"values": {"user": "eve"}}, {"values": {}}, {"values": None})
        for changes in without:
            with pytest.raises(ValuesNeeded) as caught:
                await update(services, hosts=["crm.example", "evil.example"], **changes)
            assert caught.value.details == {"fields": ["password"]}
            assert CANARY not in str(caught.value)
        assert (await stored(services))[0] == before
        view = await update(services, hosts=["*"], values={"password": OTHER})
        _, values = await stored(services)

    assert (view.hosts, view.revision) == (["*"], 2)
    assert values == {"user": "ada", "password": OTHER}


async def test_a_key_that_stands_as_the_user_must_be_given_anew_too() -> None:
    async with open_services() as services:
        await create(services, kind="basic", values={"user": CANARY, "password": ""})

        for values in ({"password": ""}, {"password": "known"}, {"password": None}):
            with pytest.raises(ValuesNeeded, match="`user`"):
                await update(services, hosts=["evil.example"], values=values)

        assert (await stored(services))[0].hosts == ("crm.example",)


async def test_fewer_hosts_need_nothing_and_are_sealed_with_the_value() -> None:
    async with open_services() as services:
        await create(services, hosts=["*.example.com", "crm.example"])

        view = await update(services, hosts=["a.example.com"])
        _, values = await stored(services)
        with pytest.raises(ValuesNeeded):
            await update(services, hosts=["*.example.com"])

    assert (view.hosts, view.revision) == (["a.example.com"], 2)
    assert values == {"token": CANARY}


async def test_a_secret_cannot_be_taken_along_by_two_changes_at_once() -> None:
    """Hosts that widen and a secret that is emptied or replaced by null do not leave the old one in place."""
    async with open_services() as services:
        await create(services, kind="custom_headers", values={"headers": {"X-Key": CANARY}})

        with pytest.raises(ValuesNeeded):
            await update(services, hosts=["evil.example"])
        await update(services, hosts=["evil.example"], values={"headers": {"X-Other": OTHER}})
        _, values = await stored(services)

    assert CANARY not in str(values)


async def test_hosts_that_leave_the_probe_outside_are_refused() -> None:
    async with open_services() as services:
        await create(services, hosts=["a.example", "b.example"], probe={"url": "https://a.example/"})

        with pytest.raises(CredentialInvalid) as caught:
            await update(services, hosts=["b.example"])
        both = await update(services, hosts=["b.example"], probe={"url": "https://b.example/"})

    assert [problem.code for problem in caught.value.problems] == ["credential.probe_elsewhere"]
    assert both.hosts == ["b.example"]


async def test_a_kind_that_signs_keeps_a_host() -> None:
    async with open_services() as services:
        await create(services)

        with pytest.raises(CredentialInvalid) as caught:
            await update(services, hosts=[])

    assert [problem.code for problem in caught.value.problems] == ["credential.hosts_missing"]


# --- what else is refused ------------------------------------------------------------------------------------------


async def test_an_expected_revision_holds() -> None:
    async with open_services() as services:
        await create(services)
        await update(services, values={"token": OTHER}, expected_revision=1)

        with pytest.raises(CredentialConflict) as caught:
            await update(services, values={"token": CANARY}, expected_revision=1)

    assert caught.value.details == {"revision": 2}


async def test_a_taken_name_and_another_project_are_refused() -> None:
    async with open_services() as services:
        await create(services)
        await create(services, name="other")

        with pytest.raises(CredentialNameTaken):
            await update(services, name="other")
        with pytest.raises(CredentialNotFound):
            await update(services, EVE, grants={"project": True})
        with pytest.raises(PermissionMissing):
            await update(services, Principal("carl", permissions=frozenset({"credential:read"})))


@pytest.mark.parametrize("reference", ["", "x", "crd_1", "a\x00b", "ä", "../x", "a" * 100, "crd_" + "0" * 32])
async def test_what_is_not_there_is_not_found(reference: str) -> None:
    async with open_services() as services:
        with pytest.raises(CredentialNotFound):
            await update(services, credential=reference)


def test_a_request_shows_no_values() -> None:
    request = UpdateCredential(credential="a", values={"token": CANARY})

    with pytest.raises(ValidationError) as caught:
        UpdateCredential.model_validate({"credential": "a", "values": {"token": CANARY}, "hosts": [CANARY + "/"]})

    assert CANARY not in repr(request)
    assert CANARY not in str(caught.value)


async def test_the_log_says_who_changed_which(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with open_services() as services:
        made = await create(services, ADA)
        await update(services, BOB, values={"token": OTHER})
        await update(services, BOB, name="crm-token")
        await delete_credential(services, EVE_HERE, DeleteCredential(credential=made.id))

    said = [
        (record.message, record.fields["credential"], record.fields["by"])  # type: ignore[attr-defined] # of our logger
        for record in caplog.records
        if record.message.startswith("credential.")
    ]
    assert said == [
        ("credential.created", made.id, "ada"),
        ("credential.changed", made.id, "bob"),
        ("credential.deleted", made.id, "eve"),
    ]


async def test_a_change_holds_from_the_next_opening_on() -> None:
    user = CredentialUser("default", "wf_1", "ada")
    async with open_services() as services:
        await create(services)
        opened = await services.credentials.open(user, "crm-token", ())

        await update(services, values={"token": OTHER})
        again = await services.credentials.open(user, "crm-token", ())

    assert list(opened.values.secrets()) == [CANARY]
    assert list(again.values.secrets()) == [OTHER]


async def test_what_cannot_be_decrypted_is_mended_by_entering_it_anew() -> None:
    async with open_services() as services:
        await create(services)
        record, _ = await stored(services)
        await services.store.delete_credential("default", record.id)
        flipped = record.sealed.box[:-1] + bytes([record.sealed.box[-1] ^ 1])
        broken = replace(record, sealed=replace(record.sealed, box=flipped))
        await services.store.add_credential(broken)

        with pytest.raises(CredentialUnreadable):
            await update(services, hosts=[])
        renamed = await update(services, grants={"project": True})
        mended = await update(services, values={"token": OTHER}, hosts=["elsewhere.example"])

    assert renamed.fields is None
    assert (mended.fields, mended.hosts) == (["token"], ["elsewhere.example"])

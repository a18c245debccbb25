"""Reading credentials: what they are, who used them and what kinds there are; never what is in them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from budflow.execution.ports import CredentialUser
from budflow.model.credential import CredentialNotFound, CredentialUse
from budflow.model.identity import utc_now
from budflow.model.principal import PermissionMissing, Principal
from budflow.services.credential_ports import UsesPage
from budflow.services.delete_credential import DeleteCredential, delete_credential
from budflow.services.get_credential import GetCredential, get_credential
from budflow.services.list_credential_kinds import ListCredentialKinds, list_credential_kinds
from budflow.services.list_credential_uses import ListCredentialUses, list_credential_uses
from budflow.services.list_credentials import ListCredentials, list_credentials
from budflow.services.use_case import Services
from tests.services.credentials import ADA, BOB, CANARY, EVE, create, open_services

USER = CredentialUser("default", "wf_1", "ada")
NOBODY = Principal("carl", permissions=frozenset({"workflow:read", "execution:read", "credential:request"}))


async def names(services: Services, principal: Principal = ADA, **asked: Any) -> list[str]:
    page = await list_credentials(services, principal, ListCredentials.model_validate(asked))
    return [view.name for view in page.credentials]


# --- list ----------------------------------------------------------------------------------------------------------


async def test_credentials_are_listed_by_name_kind_and_page() -> None:
    async with open_services() as services:
        for name in ("shop", "crm-token", "crm-backup"):
            await create(services, name=name)
        await create(services, name="db", kind="basic", values={"user": "ada", "password": CANARY})

        assert await names(services) == ["crm-backup", "crm-token", "db", "shop"]
        assert await names(services, BOB) == ["crm-backup", "crm-token", "db", "shop"]
        assert await names(services, kind="basic") == ["db"]
        assert await names(services, name="crm") == ["crm-backup", "crm-token"]
        assert await names(services, EVE) == []
        first = await list_credentials(services, ADA, ListCredentials(limit=3))
        assert first.next_cursor == "db"
        assert await names(services, cursor=first.next_cursor) == ["shop"]
    assert CANARY not in first.model_dump_json()
    assert all(view.fields is None for view in first.credentials), "nothing is decrypted for a list"


@pytest.mark.parametrize(
    "asked",
    [
        {"limit": 0},
        {"limit": 201},
        {"cursor": "A'"},
        {"kind": "a b"},
        {"name": "%"},
        {"name": "ä"},
        {"cursor": "a\x00"},
    ],
)
def test_a_list_is_asked_for_in_the_right_way(asked: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ListCredentials.model_validate(asked)


# --- get, delete ---------------------------------------------------------------------------------------------------


async def test_one_is_read_by_name_and_by_id() -> None:
    async with open_services() as services:
        made = await create(services)

        for reference in (made.name, made.id):
            assert await get_credential(services, BOB, GetCredential(credential=reference)) == made
        for principal, reference in ((EVE, made.name), (EVE, made.id), (ADA, "crm"), (ADA, "")):
            with pytest.raises(CredentialNotFound):
                await get_credential(services, principal, GetCredential(credential=reference))


async def test_what_is_deleted_is_gone_at_once() -> None:
    async with open_services() as services:
        made = await create(services)
        await services.credentials.open(USER, "crm-token", ())

        with pytest.raises(CredentialNotFound):
            await delete_credential(services, EVE, DeleteCredential(credential=made.id))
        gone = await delete_credential(services, ADA, DeleteCredential(credential="crm-token"))

        assert gone.deleted == made.id
        with pytest.raises(CredentialNotFound):
            await services.credentials.open(USER, "crm-token", ())
        with pytest.raises(CredentialNotFound):
            await delete_credential(services, ADA, DeleteCredential(credential=made.id))
        assert (await create(services)).id != made.id, "its name is free again"


# --- uses ----------------------------------------------------------------------------------------------------------


class Audit:
    """A store with some uses of one credential."""

    def __init__(self, store: Any, uses: list[CredentialUse]) -> None:
        self._store, self._uses = store, uses

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def list_credential_uses(
        self, project_id: str, credential_id: str, *, limit: int, cursor: str | None = None
    ) -> UsesPage:
        found = [use for use in self._uses if (use.project_id, use.credential_id) == (project_id, credential_id)]
        return UsesPage(tuple(found[:limit]), "5~1" if len(found) > limit else None)


def use(credential_id: str, minutes: int) -> CredentialUse:
    at = utc_now() - timedelta(minutes=minutes)
    return CredentialUse("default", credential_id, at, "wf_1", 3, f"exe_{minutes}", "price[2]", "auth", "ada", "bob")


async def test_the_uses_say_who_used_it_where_and_when_even_when_it_is_deleted() -> None:
    async with open_services() as real:
        made = await create(real)
        uses = [use(made.id, 1), use(made.id, 2)]
        services = replace(real, store=Audit(real.store, uses))

        for reference in (made.name, made.id):
            page = await list_credential_uses(services, BOB, ListCredentialUses(credential=reference))
            assert [one.execution_id for one in page.uses] == ["exe_1", "exe_2"]
        first = await list_credential_uses(services, BOB, ListCredentialUses(credential=made.id, limit=1))
        assert first.next_cursor == "5~1"
        await delete_credential(services, ADA, DeleteCredential(credential=made.id))
        kept = await list_credential_uses(services, BOB, ListCredentialUses(credential=made.id))
        assert kept.uses == page.uses

        for principal, reference in ((BOB, made.name), (EVE, made.id), (BOB, "crd_" + "0" * 32)):
            with pytest.raises(CredentialNotFound):
                await list_credential_uses(services, principal, ListCredentialUses(credential=reference))
    assert page.uses[0].model_dump(exclude={"used_at"}) == {
        "workflow_id": "wf_1",
        "version": 3,
        "execution_id": "exe_1",
        "node": "price[2]",
        "slot": "auth",
        "author": "ada",
        "principal": "bob",
    }


@pytest.mark.parametrize("cursor", ["", "x", "1", "1~", "~1", "1~1\n", "9" * 40 + "~1", "1~1~1"])
def test_a_cursor_is_one_that_was_given(cursor: str) -> None:
    with pytest.raises(ValidationError):
        ListCredentialUses(credential="crm", cursor=cursor)


# --- kinds ---------------------------------------------------------------------------------------------------------


async def test_each_kind_tells_what_it_asks_for_and_marks_what_is_secret() -> None:
    async with open_services() as services:
        view = await list_credential_kinds(services, ADA, ListCredentialKinds())

    kinds = {kind.name: kind for kind in view.kinds}
    assert list(kinds) == sorted(services.credential_kinds)
    assert all(kind.summary and kind.values["additionalProperties"] is False for kind in view.kinds)
    bearer = kinds["bearer"]
    assert bearer.signs
    assert bearer.values["properties"]["token"]["x-secret"] is True
    assert not kinds["database_url"].signs


async def test_reading_needs_its_permission() -> None:
    async with open_services() as services:
        made = await create(services)

        for ask in (
            list_credentials(services, NOBODY, ListCredentials()),
            get_credential(services, NOBODY, GetCredential(credential=made.id)),
            list_credential_uses(services, NOBODY, ListCredentialUses(credential=made.id)),
            list_credential_kinds(services, NOBODY, ListCredentialKinds()),
            delete_credential(services, NOBODY, DeleteCredential(credential=made.id)),
        ):
            with pytest.raises(PermissionMissing):
                await ask

"""Trying a credential: by which request, only where it may be sent, and with an answer that shows nothing of it."""

from dataclasses import replace
from typing import Any

import pytest

from budflow.model.credential import CredentialNotFound, HostRefused
from budflow.model.credential_kind import Probed
from budflow.model.principal import PermissionMissing, Principal
from budflow.services import test_credential as testing
from budflow.services.list_credential_uses import ListCredentialUses, list_credential_uses
from budflow.services.use_case import Services
from tests.services.credentials import ADA, CANARY, EVE, FakeProber, create, open_services


async def tried(services: Services, principal: Principal = ADA, **asked: Any) -> testing.CredentialTestView:
    request = testing.CredentialTest.model_validate({"credential": "crm-token", **asked})
    return await testing.test_credential(services, principal, request)


async def test_the_request_is_the_one_that_was_given_or_its_own_or_what_its_kind_knows() -> None:
    prober = FakeProber()
    async with open_services() as real:
        services = replace(real, prober=prober)
        await create(services, probe={"method": "HEAD", "url": "https://crm.example/me"})
        await create(services, name="bare")

        await tried(services, probe={"url": "https://crm.example/other?a=b"})
        await tried(services)
        await tried(services, credential="bare")

    sent = [None if request is None else (request.method, request.url) for _, request in prober.asked]
    assert sent == [("GET", "https://crm.example/other?a=b"), ("HEAD", "https://crm.example/me"), None]
    assert [list(credential.values.secrets()) for credential, _ in prober.asked] == [[CANARY]] * 3


async def test_it_is_tried_nowhere_but_where_it_may_be_sent() -> None:
    prober = FakeProber()
    async with open_services() as real:
        services = replace(real, prober=prober)
        await create(services)

        for url in ("https://evil.example/", "http://crm.example/", "https://crm.example:8443/"):
            with pytest.raises(HostRefused):
                await tried(services, probe={"url": url})

    assert prober.asked == []


async def test_the_audit_says_who_tried_it() -> None:
    async with open_services() as real:
        services = replace(real, prober=FakeProber())
        await create(services)

        await tried(services)

        page = await list_credential_uses(services, ADA, ListCredentialUses(credential="crm-token"))
    assert [(use.slot, use.principal, use.execution_id) for use in page.uses] == [("test", ADA.id, None)]


@pytest.mark.parametrize("works", [True, False, None])
async def test_the_answer_is_true_and_shows_no_secret(works: bool | None) -> None:
    async with open_services() as real:
        services = replace(real, prober=FakeProber(Probed(works, f"It said: {CANARY}.")))
        await create(services)

        view = await tried(services)

    assert (view.works, view.answer) == (works, "It said: ***.")


async def test_who_may_not_change_it_may_not_try_it() -> None:
    async with open_services() as services:
        await create(services)

        with pytest.raises(PermissionMissing):
            await tried(services, Principal("carl", permissions=frozenset({"credential:read"})))
        with pytest.raises(CredentialNotFound):
            await tried(services, EVE)

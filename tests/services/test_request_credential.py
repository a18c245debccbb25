"""Asking a person for a credential: a link that shows what is asked, works once, and ends by itself."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from budflow.model.credential import CredentialNameTaken, CredentialRequest
from budflow.model.identity import utc_now
from budflow.model.principal import PermissionMissing, Principal
from budflow.services import credential_links
from budflow.services.answer_credential_request import (
    AnswerCredentialRequest,
    CredentialEnteredView,
    answer_credential_request,
)
from budflow.services.create_workflow import CreateWorkflow, create_workflow
from budflow.services.credential_links import PREFIX, hash_of
from budflow.services.credential_ports import RequestUsed
from budflow.services.credential_values import CredentialInvalid
from budflow.services.delete_workflow import DeleteWorkflow, delete_workflow
from budflow.services.get_credential import GetCredential, get_credential
from budflow.services.read_credential_request import ReadCredentialRequest, read_credential_request
from budflow.services.request_credential import (
    CredentialRequestView,
    LinksUnavailable,
    RequestCredential,
    request_credential,
)
from budflow.services.use_case import Services
from tests.services.credentials import ADA, CANARY, PUBLIC_URL, create, open_services

AGENT = Principal("agent", permissions=frozenset({"credential:request", "workflow:write"}), door="mcp")
BEARER = Principal("link", permissions=frozenset({"credential:request", "credential:write"}))
ORDINARY: dict[str, Any] = {
    "kind": "bearer",
    "name": "crm-token",
    "hosts": ["crm.example", "*.crm.example"],
    "reason": "To read prices.\nEvery night.",
}


async def ask(services: Services, principal: Principal = AGENT, **different: Any) -> CredentialRequestView:
    return await request_credential(services, principal, RequestCredential.model_validate({**ORDINARY, **different}))


def token_of(view: CredentialRequestView) -> str:
    return view.url.removeprefix(PUBLIC_URL + PREFIX)


async def enter(services: Services, token: str, **different: Any) -> CredentialEnteredView:
    sent = {"token": token, "values": {"token": CANARY}, **different}
    return await answer_credential_request(services, BEARER, AnswerCredentialRequest.model_validate(sent))


async def test_what_a_person_enters_is_granted_to_who_asked() -> None:
    async with open_services() as services:
        view = await ask(services)
        token = token_of(view)

        shown = await read_credential_request(services, BEARER, ReadCredentialRequest(token=token))
        again = await read_credential_request(services, BEARER, ReadCredentialRequest(token=token))
        entered = await enter(services, token)
        made = await get_credential(services, ADA, GetCredential(credential="crm-token"))

    assert shown == again, "looking answers nothing"
    assert (shown.name, shown.kind.name, shown.reason) == ("crm-token", "bearer", ORDINARY["reason"])
    assert (shown.asked_by, shown.hosts, shown.grants.principals) == ("agent", ORDINARY["hosts"], ["agent"])
    assert shown.kind.values["required"] == ["token"]
    assert entered.id == made.id
    assert (made.created_by, made.grants.principals, made.hosts) == ("agent", ["agent"], ORDINARY["hosts"])


async def test_a_link_is_long_random_and_stored_as_its_hash() -> None:
    async with open_services() as services:
        first, second = await ask(services), await ask(services, name="other")
        kept = await services.store.get_credential_request(hash_of(token_of(first)))

        assert await services.store.get_credential_request(token_of(first)) is None
    assert kept is not None
    assert len(token_of(first)) >= 43
    assert token_of(first) != token_of(second)
    assert token_of(first) not in repr(kept)
    assert timedelta(minutes=59) < kept.expires_at - kept.created_at <= timedelta(hours=1)


async def test_a_link_works_once() -> None:
    async with open_services() as services:
        token = token_of(await ask(services))

        ended = await asyncio.gather(*(enter(services, token) for _ in range(5)), return_exceptions=True)

        assert sorted(type(one).__name__ for one in ended) == ["CredentialEnteredView", *["RequestUsed"] * 4]
        for late in (
            enter(services, token),
            read_credential_request(services, BEARER, ReadCredentialRequest(token=token)),
        ):
            with pytest.raises(RequestUsed):
                await late


async def test_a_link_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_services() as services:
        token = token_of(await ask(services))
        later = utc_now() + timedelta(hours=1)
        monkeypatch.setattr(credential_links, "utc_now", lambda: later)

        with pytest.raises(RequestUsed):
            await read_credential_request(services, BEARER, ReadCredentialRequest(token=token))
        with pytest.raises(RequestUsed):
            await enter(services, token)
        assert await services.store.get_credential("default", "crm-token") is None


@pytest.mark.parametrize("token", ["", "x", "a" * 43, "ä", "\x00", "../"])
async def test_who_has_no_link_learns_nothing(token: str) -> None:
    async with open_services() as services:
        await ask(services)

        with pytest.raises(RequestUsed):
            await read_credential_request(services, BEARER, ReadCredentialRequest(token=token))
        with pytest.raises(RequestUsed):
            await enter(services, token)


async def test_a_faulty_answer_leaves_the_link_as_it_is() -> None:
    async with open_services() as services:
        token = token_of(await ask(services))

        with pytest.raises(CredentialInvalid) as caught:
            await enter(services, token, values={"token": f"{CANARY} with spaces"})
        assert CANARY not in str(caught.value) + repr(caught.value.problems)
        with pytest.raises(CredentialInvalid):
            await enter(services, token, hosts=[])
        assert (await enter(services, token)).name == "crm-token"


async def test_hosts_may_be_taken_away_and_not_added() -> None:
    async with open_services() as services:
        token = token_of(await ask(services))

        with pytest.raises(CredentialInvalid) as caught:
            await enter(services, token, hosts=["crm.example", "evil.example"])
        await enter(services, token, hosts=["shop.crm.example"])
        made = await get_credential(services, ADA, GetCredential(credential="crm-token"))

    assert [problem.code for problem in caught.value.problems] == ["credential.hosts_wider"]
    assert made.hosts == ["shop.crm.example"]


async def test_a_name_that_is_taken_meanwhile_is_told_and_nothing_is_replaced() -> None:
    async with open_services() as services:
        token = token_of(await ask(services))
        mine = await create(services)

        with pytest.raises(CredentialNameTaken):
            await ask(services)
        with pytest.raises(CredentialNameTaken):
            await enter(services, token)
        assert await get_credential(services, ADA, GetCredential(credential="crm-token")) == mine


async def test_a_workflow_that_is_deleted_meanwhile_holds_nothing_up() -> None:
    document = {"format": 1, "name": "a", "nodes": {"start": {"type": "trigger.manual"}}}
    async with open_services() as services:
        saved = await create_workflow(services, ADA, CreateWorkflow(document=document))
        token = token_of(await ask(services, grants={"workflows": [saved.workflow.id]}))
        await delete_workflow(services, ADA, DeleteWorkflow(workflow_id=saved.workflow.id))

        await enter(services, token)
        made = await get_credential(services, ADA, GetCredential(credential="crm-token"))

    assert made.grants.model_dump() == {"project": False, "principals": [], "workflows": [saved.workflow.id]}


async def test_what_is_asked_for_is_checked_before_there_is_a_link() -> None:
    async with open_services() as services:
        with pytest.raises(CredentialInvalid) as caught:
            await ask(services, kind="bearerr", grants={"workflows": ["wf_none"]})
        with pytest.raises(CredentialInvalid) as bare:
            await ask(services, hosts=[])

    assert [problem.code for problem in caught.value.problems] == [
        "credential.unknown_kind",
        "credential.unknown_workflow",
    ]
    assert [problem.code for problem in bare.value.problems] == ["credential.hosts_missing"]


async def test_a_server_without_an_address_makes_no_link() -> None:
    async with open_services(public_url=None) as services:
        with pytest.raises(LinksUnavailable):
            await ask(services)


async def test_asking_and_entering_need_their_permissions() -> None:
    nobody = Principal("carl", permissions=frozenset({"credential:read", "workflow:write"}))
    async with open_services() as services:
        token = token_of(await ask(services))

        with pytest.raises(PermissionMissing):
            await ask(services, nobody, name="other")
        with pytest.raises(PermissionMissing):
            await answer_credential_request(
                services, replace(AGENT), AnswerCredentialRequest(token=token, values={"token": CANARY})
            )


@pytest.mark.parametrize(
    "different",
    [{"reason": ""}, {"reason": "x" * 501}, {"reason": "a\x00"}, {"reason": "a\x1b[2J"}, {"name": "A"}, {"values": {}}],
)
def test_what_has_the_wrong_shape_is_refused(different: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RequestCredential.model_validate({**ORDINARY, **different})


def test_nothing_of_an_answer_is_shown() -> None:
    answer = AnswerCredentialRequest(token="t-canary", values={"token": CANARY})

    assert CANARY not in repr(answer)
    assert "t-canary" not in repr(answer) + repr(ReadCredentialRequest(token="t-canary"))
    assert "token_hash" in CredentialRequest.__slots__

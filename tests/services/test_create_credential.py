"""Storing a credential: sealed, named once, granted to who made it, and refused with every fault at once."""

import asyncio
import logging
import threading
from dataclasses import replace
from typing import Any, ClassVar, Self

import orjson
import pytest
from pydantic import ValidationError, model_validator

from budflow.model.credential import CredentialNameTaken, Grants
from budflow.model.credential_kind import CredentialKind
from budflow.model.principal import PermissionMissing, Principal
from budflow.services.create_credential import CreateCredential
from budflow.services.create_workflow import CreateWorkflow, create_workflow
from budflow.services.credential_values import CredentialInvalid
from tests.services.credentials import ADA, BOB, CANARY, EVE, create, open_services


async def test_a_credential_is_sealed_and_granted_to_who_made_it() -> None:
    async with open_services() as services:
        view = await create(services, probe={"url": "https://crm.example/me?a=b"})

        record = await services.store.get_credential("default", "crm-token")
        assert record is not None
        assert record.grants == Grants(principals=frozenset({"ada"}))
        assert orjson.loads(services.cipher.open(record)) == {"token": CANARY}
        assert CANARY not in repr(record)
        assert CANARY.encode() not in record.sealed.box + record.sealed.wrapped_key
    assert view.model_dump(exclude={"id", "created_at", "updated_at"}) == {
        "name": "crm-token",
        "kind": "bearer",
        "revision": 1,
        "hosts": ["crm.example"],
        "grants": {"project": False, "principals": ["ada"], "workflows": []},
        "probe": {"method": "GET", "url": "https://crm.example/me"},
        "fields": ["token"],
        "created_by": "ada",
    }


async def test_grants_that_are_given_are_those() -> None:
    async with open_services() as services:
        document = {"format": 1, "name": "a", "nodes": {"start": {"type": "trigger.manual"}}}
        saved = await create_workflow(services, ADA, CreateWorkflow(document=document))
        workflow_id = saved.workflow.id

        view = await create(services, grants={"workflows": [workflow_id], "principals": ["bob"]})
        nobody = await create(services, name="nobody", grants={})

    assert view.grants.model_dump() == {"project": False, "principals": ["bob"], "workflows": [workflow_id]}
    assert nobody.grants.model_dump() == {"project": False, "principals": [], "workflows": []}


async def test_null_is_a_value_that_is_not_set() -> None:
    async with open_services() as services:
        view = await create(services, kind="basic", values={"user": "ada", "password": CANARY, "more": None})

    assert view.fields == ["password", "user"]


async def test_a_name_is_taken_once_in_a_project() -> None:
    async with open_services() as services:
        await create(services)

        with pytest.raises(CredentialNameTaken):
            await create(services, BOB, values={"token": "another-value"})
        again = await create(services, EVE)
        both = await asyncio.gather(*(create(services, name="race") for _ in range(5)), return_exceptions=True)

    assert again.name == "crm-token"
    assert sum(not isinstance(one, BaseException) for one in both) == 1
    assert {type(one) for one in both if isinstance(one, BaseException)} == {CredentialNameTaken}


async def test_every_fault_is_told_at_once_and_no_value() -> None:
    async with open_services() as services:
        with pytest.raises(CredentialInvalid) as caught:
            await create(
                services,
                values={"tokn": CANARY, "token": [CANARY]},
                hosts=[],
                probe={"url": "https://elsewhere.example/"},
                grants={"workflows": ["wf_none"]},
            )
        assert await services.store.get_credential("default", "crm-token") is None

    problems = caught.value.problems
    assert {problem.path: problem.code for problem in problems} == {
        "/values/tokn": "credential.unknown_field",
        "/values/token": "credential.invalid_value",
        "/hosts": "credential.hosts_missing",
        "/probe/url": "credential.probe_elsewhere",
        "/grants/workflows": "credential.unknown_workflow",
    }
    assert CANARY not in repr(problems) + str(caught.value)


async def test_an_unknown_kind_names_the_one_that_was_meant() -> None:
    async with open_services() as services:
        with pytest.raises(CredentialInvalid) as caught:
            await create(services, kind="bearre")

    [problem] = caught.value.problems
    assert (problem.code, problem.path, problem.hint) == ("credential.unknown_kind", "/kind", "Did you mean `bearer`?")


async def test_a_kind_that_signs_nothing_needs_no_hosts_and_takes_no_probe() -> None:
    values = {"url": f"postgresql://ada:{CANARY}@db.example/shop"}
    async with open_services() as services:
        stored = await create(services, kind="database_url", values=values, hosts=[])
        with pytest.raises(CredentialInvalid) as caught:
            await create(services, name="b", kind="database_url", values=values, probe={"url": "https://crm.example/"})

    assert stored.hosts == []
    assert [problem.code for problem in caught.value.problems] == ["credential.probe_unfit"]


async def test_grants_have_a_limit() -> None:
    grants = {"principals": [f"p{n}" for n in range(150)], "workflows": [f"w{n}" for n in range(150)]}
    async with open_services() as services:
        with pytest.raises(CredentialInvalid) as caught:
            await create(services, grants=grants)

    assert [problem.code for problem in caught.value.problems] == ["credential.too_many_grants"]


class Slow(CredentialKind):
    """A kind whose check takes as long as a test wants, as trying a passphrase does."""

    name: ClassVar[str] = "slow"
    GOING_ON: ClassVar[threading.Event] = threading.Event()

    @model_validator(mode="after")
    def _tried(self) -> Self:
        if not self.GOING_ON.wait(10):
            raise ValueError("nobody else could go on meanwhile")
        return self


async def test_a_slow_check_holds_up_nobody_else() -> None:
    async with open_services() as real:
        services = replace(real, credential_kinds={**real.credential_kinds, "slow": Slow})

        making = asyncio.create_task(create(services, kind="slow", values={}))
        await create(services, name="another")
        Slow.GOING_ON.set()

        assert (await making).kind == "slow"


async def test_it_needs_its_permission() -> None:
    async with open_services() as services:
        with pytest.raises(PermissionMissing):
            await create(services, Principal("carl", permissions=frozenset({"credential:read", "workflow:write"})))
        assert await services.store.get_credential("default", "crm-token") is None


@pytest.mark.parametrize(
    "different",
    [
        *({"name": name} for name in ("", "A", "ä", "a b", "crd_1", "1a", "a\n", "a" * 65, "a\x00", "a/b", 5, None)),
        *({"hosts": hosts} for hosts in (None, "a.example", [""], ["a.example/x"], ["ä.example"], ["a\nb"], [1])),
        *(
            {"hosts": hosts}
            for hosts in (["x" * 400], [f"a{n}.example" for n in range(51)], ["a.example:99999"], ["ftp://a.example"])
        ),
        *({"values": values} for values in (None, [], "text", {f"a{n}": 1 for n in range(200)})),
        *({"grants": grants} for grants in ([], {"principals": "ada"}, {"principals": ["a b"]}, {"all": True})),
        *({"probe": probe} for probe in ({}, {"url": "/me"}, {"url": "https://u:p@a.example/"}, {"url": "ftp://a/"})),
        *({"probe": {"url": url}} for url in ("https://a.example/#x", "https://a.example/ x", "https://ä.example/")),
        *(
            {"probe": {"url": url}}
            for url in ("https://a.example:99999/", "https://[::1/", "https://:443/", "https://")
        ),
        *({"probe": {"url": "https://a.example/", "method": method}} for method in ("DELETE", "get", "")),
        {"kind": "k" * 100},
        {"kind": None},
        {"more": 1},
    ],
)
def test_what_has_the_wrong_shape_is_refused_without_being_quoted(different: dict[str, Any]) -> None:
    ordinary = {"kind": "bearer", "name": "crm", "values": {"token": CANARY}, "hosts": ["crm.example"]}

    with pytest.raises(ValidationError) as caught:
        CreateCredential.model_validate({**ordinary, **different})

    assert CANARY not in str(caught.value)


def test_hosts_are_written_in_one_way() -> None:
    hosts = ["https://API.Example.com", "api.example.com", " *.example.com ", "[::1]:8443", "http://crm.internal", "*"]
    request = CreateCredential.model_validate({"kind": "bearer", "name": "crm", "values": {}, "hosts": hosts})

    assert request.hosts == ["api.example.com", "*.example.com", "[::1]:8443", "http://crm.internal", "*"]


async def test_neither_the_log_nor_a_request_shows_a_value(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    request = CreateCredential.model_validate({"kind": "bearer", "name": "crm", "values": {"token": CANARY}})

    async with open_services() as services:
        view = await create(services)

    assert CANARY not in caplog.text + repr(request) + str(request) + repr(view) + view.model_dump_json()

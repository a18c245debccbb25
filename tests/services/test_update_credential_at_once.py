"""Changes of one credential by several at once, and beside rotations: each is kept whole, or refused."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest
from pydantic import ValidationError

from budflow.model.credential import CredentialRecord, Grants
from budflow.services.credential_values import CredentialInvalid
from budflow.services.ports import Store
from budflow.services.rotate_encryption_key import RotateEncryptionKey, rotate_encryption_key
from budflow.services.update_credential import UpdateCredential
from tests.services.credentials import ADA, BOB, CANARY, OTHER, create, open_services, stored, update


async def test_changes_of_two_at_once_are_both_kept() -> None:
    values = {"user": "ada", "password": CANARY}
    async with open_services() as services:
        await create(services, kind="basic", values=values, hosts=["a.example", "b.example"])

        await asyncio.gather(
            update(services, values={"user": "eve"}),
            update(services, BOB, values={"password": OTHER}),
            update(services, hosts=["a.example"]),
            update(services, grants={"project": True}),
        )
        record, kept = await stored(services)

    assert kept == {"user": "eve", "password": OTHER}
    assert (record.hosts, record.grants.project, record.revision) == (("a.example",), True, 4)


async def test_single_grants_of_many_at_once_are_all_kept() -> None:
    """Who reads the grants and sends them back whole would lose what others add, whatever revision is expected."""
    async with open_services() as services:
        await create(services, grants={"principals": ["ann", "bob", "carl"]})

        await asyncio.gather(
            update(services, grant={"principals": ["dora"]}, expected_revision=1),
            update(services, revoke={"principals": ["ann"]}),
            update(services, grant={"project": True}, revoke={"principals": ["bob"]}),
            update(services, BOB, grant={"principals": ["eve"]}, name="crm-token"),
        )
        record, _ = await stored(services)

    assert record.grants == Grants(project=True, principals=frozenset({"carl", "dora", "eve"}))
    assert record.revision == 1


async def test_what_is_revoked_and_granted_in_one_change_is_granted() -> None:
    both = {"project": True, "principals": ["ann"]}
    async with open_services() as services:
        await create(services, grants={"principals": ["ann", "bob"]})

        granted = await update(services, revoke=both, grant=both)
        revoked = await update(services, revoke={**both, "workflows": ["wf_none"]})

    assert (granted.grants.project, granted.grants.principals) == (True, ["ann", "bob"])
    assert (revoked.grants.project, revoked.grants.principals) == (False, ["bob"])


async def test_single_grants_have_the_same_limits_as_all_of_them() -> None:
    async with open_services() as services:
        await create(services, grants={"principals": [f"p{number}" for number in range(200)]})

        with pytest.raises(CredentialInvalid) as too_many:
            await update(services, grant={"principals": ["one-more"]})
        await update(services, revoke={"principals": ["p0"]}, grant={"principals": ["one-more"]})
        with pytest.raises(CredentialInvalid) as unknown:
            await update(services, revoke={"principals": ["p1"]}, grant={"workflows": ["wf_none"]})

    assert [problem.code for problem in too_many.value.problems] == ["credential.too_many_grants"]
    assert [problem.code for problem in unknown.value.problems] == ["credential.unknown_workflow"]


@pytest.mark.parametrize("single", ["grant", "revoke"])
def test_all_grants_and_single_ones_cannot_both_be_meant(single: str) -> None:
    with pytest.raises(ValidationError, match="which replace all"):
        UpdateCredential.model_validate({"credential": "a", "grants": {}, single: {"project": True}})


async def test_of_two_with_the_same_expected_revision_one_wins() -> None:
    async with open_services() as services:
        await create(services)

        ended = await asyncio.gather(
            *(update(services, values={"token": f"value-{n}"}, expected_revision=1) for n in range(4)),
            return_exceptions=True,
        )
        record, _ = await stored(services)

    assert sorted(type(one).__name__ for one in ended) == [*["CredentialConflict"] * 3, "CredentialView"]
    assert record.revision == 2


async def test_changes_and_a_rotation_of_the_key_go_on_at_the_same_time() -> None:
    async with open_services() as services:
        for number in range(20):
            await create(services, name=f"c{number}")

        rotating = asyncio.create_task(rotate_encryption_key.run(services, ADA, RotateEncryptionKey()))
        await asyncio.gather(
            *(update(services, credential=f"c{number}", values={"token": f"value-{number}"}) for number in range(20)),
            *(update(services, credential=f"c{number}", grants={"project": True}) for number in range(20)),
        )
        rotated = await rotating
        kept = [await stored(services, f"c{number}") for number in range(20)]

    assert rotated.left == []
    assert [values for _, values in kept] == [{"token": f"value-{number}"} for number in range(20)]
    assert all(record.grants.project for record, _ in kept)


class Stale:
    """A store whose first answer comes from before a rotation that has dropped the key since."""

    def __init__(self, store: Any) -> None:
        self._store, self._reads = store, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def get_credential(self, project_id: str, reference: str) -> CredentialRecord:
        self._reads += 1
        record: CredentialRecord = await self._store.get_credential(project_id, reference)
        return replace(record, sealed=replace(record.sealed, key_id="0" * 16)) if self._reads == 1 else record


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"values": {"algorithm": "sha512"}}, {"secret": CANARY, "algorithm": "sha512"}),
        ({"values": {"secret": OTHER}}, {"secret": OTHER, "algorithm": "sha1"}),
        ({"hosts": ["a.example"]}, {"secret": CANARY, "algorithm": "sha1"}),
    ],
)
async def test_a_change_that_read_the_row_before_a_rotation_ended_keeps_the_other_values(
    changes: dict[str, Any], kept: dict[str, Any]
) -> None:
    async with open_services() as services:
        given = {"secret": CANARY, "algorithm": "sha1"}
        await create(services, kind="hmac", values=given, hosts=["a.example", "b.example"])

        view = await update(replace(services, store=cast(Store, Stale(services.store))), **changes)
        _, values = await stored(services)

    assert view.revision == 2
    assert values == kept

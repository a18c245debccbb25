import asyncio
from dataclasses import replace

import pytest

from budflow.model.credential import Grants, Sealed
from budflow.storage.postgres.store import PostgresStore
from tests.storage.journals import credential, credential_request

pytestmark = pytest.mark.postgres


async def test_of_two_servers_one_answers_a_request(postgres_url: str) -> None:
    stores, request = [await PostgresStore.open(postgres_url) for _ in range(2)], credential_request()
    await stores[0].add_credential_request(request)
    answers = [credential(name=f"crm{number}") for number in range(20)]

    results = await asyncio.gather(
        *(stores[number % 2].add_credential(answer, request_id=request.id) for number, answer in enumerate(answers)),
        return_exceptions=True,
    )

    assert sorted(type(result).__name__ for result in results) == ["NoneType"] + ["RequestUsed"] * 19
    assert len((await stores[0].list_credentials("default", limit=100)).credentials) == 1
    for store in stores:
        await store.close()


async def test_of_two_servers_one_takes_a_name(postgres_url: str) -> None:
    stores = [await PostgresStore.open(postgres_url) for _ in range(2)]

    results = await asyncio.gather(
        *(stores[number % 2].add_credential(credential()) for number in range(20)), return_exceptions=True
    )

    assert sorted(type(result).__name__ for result in results) == ["CredentialNameTaken"] * 19 + ["NoneType"]
    for store in stores:
        await store.close()


async def test_two_servers_update_and_rewrap_without_parting_a_box_from_its_key(postgres_url: str) -> None:
    stores = [await PostgresStore.open(postgres_url) for _ in range(2)]
    for number in range(20):
        old = credential(name=f"crm{number}")
        await stores[0].add_credential(old)
        new = replace(old, revision=2, sealed=Sealed("key_1", b"other", b"new box"), grants=Grants(project=True))

        updated, rewrapped, granted = await asyncio.gather(
            stores[0].update_credential(new, expected=old),
            stores[1].rewrap_credential(old, Sealed("key_2", b"anew", old.sealed.box)),
            stores[1].update_credential(replace(old, grants=Grants(project=True)), expected=old),
            return_exceptions=True,
        )

        found = await stores[0].get_credential("default", old.id)
        assert found is not None
        assert (updated is None) != (granted is None)
        anew = Sealed("key_2", b"anew", b"\x00box") if rewrapped else old.sealed
        assert found.sealed == (new.sealed if updated is None else anew)
    for store in stores:
        await store.close()

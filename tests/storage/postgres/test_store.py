import asyncio

import pytest

from budflow.execution.records import JournalWrite
from budflow.storage.errors import StorageUnavailable, TextRefused
from budflow.storage.postgres.store import DatabaseUrlRefused, PostgresStore
from tests.servers import PostgresServer, new_database
from tests.storage.journals import event, queued, running

pytestmark = pytest.mark.postgres


async def test_both_forms_of_the_url_are_taken(postgres_url: str) -> None:
    for url in (
        postgres_url,
        postgres_url.replace("postgresql:", "postgresql+asyncpg:"),
        f"{postgres_url}?sslmode=disable",
    ):
        await (await PostgresStore.open(url)).close()


@pytest.mark.parametrize("url", ["mysql://u:s3cret@h/db", "not a url s3cret", "postgresql://u:s3cret@h:port/db", ""])
async def test_another_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(DatabaseUrlRefused) as refused:
        await PostgresStore.open(url)

    assert "s3cret" not in f"{refused.value} {refused.value.details} {refused.value.__cause__} {refused.value.hint}"


@pytest.mark.parametrize("url", ["postgresql://u:s3cret@127.0.0.1:1/db", "postgresql://u:s3cret@no.invalid/db"])
async def test_a_server_that_is_not_there_is_told_without_the_password(url: str) -> None:
    with pytest.raises(StorageUnavailable) as refused:
        await PostgresStore.open(url)

    assert refused.value.http_status == 503
    assert "s3cret" not in f"{refused.value} {refused.value.details} {refused.value.__cause__!r}"


async def test_a_database_that_is_not_there_is_told(postgres_server: PostgresServer) -> None:
    with pytest.raises(StorageUnavailable, match="InvalidCatalogName"):
        await PostgresStore.open(postgres_server.url("none_such"))


async def test_a_restart_of_the_server_is_survived(own_postgres: PostgresServer) -> None:
    store = await PostgresStore.open(await new_database(own_postgres))
    claims = [await running(store) for _ in range(20)]
    own_postgres.pause()

    down = await asyncio.gather(
        *(store.append(JournalWrite(claim, (event(1),))) for claim in claims), return_exceptions=True
    )
    with pytest.raises(StorageUnavailable):
        await store.get_execution("default", claims[0].execution_id)
    assert {type(result) for result in down} == {StorageUnavailable}

    own_postgres.resume()
    await asyncio.gather(*(store.append(JournalWrite(claim, (event(1),))) for claim in claims))
    assert len(await store.read_events("default", claims[0].execution_id)) == 2
    await store.close()


async def test_text_that_postgres_cannot_keep_fails_alone(postgres_url: str) -> None:
    store = await PostgresStore.open(postgres_url)
    claims = [await running(store) for _ in range(3)]

    results = await asyncio.gather(
        *(store.append(JournalWrite(claim, (event(1),))) for claim in claims),
        queued(store, workflow_id="wf_\x00"),
        return_exceptions=True,
    )

    assert [type(result) for result in results] == [type(None)] * 3 + [TextRefused]
    await store.close()


async def test_two_servers_append_side_by_side(postgres_url: str) -> None:
    stores = [await PostgresStore.open(postgres_url) for _ in range(2)]
    claims = [await running(stores[0]) for _ in range(20)]

    async def append(store: PostgresStore, number: int) -> None:
        for seq in range(1, 20):
            await store.append(JournalWrite(claims[number], (event(seq),)))

    await asyncio.gather(*(append(stores[number % 2], number) for number in range(20)))

    for claim in claims:
        assert len(await stores[0].read_events("default", claim.execution_id)) == 20
    for store in stores:
        await store.close()

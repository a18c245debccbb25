"""`budflow worker` before it takes anything: what it refuses, each with one clear error."""

import base64
from pathlib import Path

import asyncpg
import pytest

from budflow.app import open_runtime
from budflow.credentials.key_ring import open_key_ring
from budflow.errors import BudflowError
from budflow.model.credential import Sealed
from budflow.server.work import WorkerNeedsPostgresql, Working, work
from budflow.services.credential_ports import EncryptionKeyMissing
from budflow.settings import Settings
from budflow.storage.blobs.marker import BlobsNotShared
from budflow.storage.errors import StorageUnavailable
from budflow.storage.migrate import SchemaNewer
from budflow.storage.postgres.store import PostgresStore
from tests.storage.journals import credential

KEYS = tuple(base64.b64encode(bytes([byte]) * 32).decode() for byte in (1, 2))


async def refused(error: type[BudflowError], **settings: object) -> BudflowError:
    """What a worker with these settings is refused with."""

    def ready(_: Working) -> None:
        raise AssertionError("the worker began")

    with pytest.raises(error) as caught:
        await work(Settings(**settings), ready)
    assert caught.value.hint
    return caught.value


async def test_a_sqlite_file_has_no_workers(tmp_path: Path) -> None:
    error = await refused(WorkerNeedsPostgresql, data_dir=tmp_path)

    assert "BUDFLOW_DATABASE_URL" in error.hint
    assert not any(tmp_path.glob("*"))  # noqa: ASYNC240 - a test waits for nobody else


async def test_a_database_that_does_not_answer_is_told_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://budflow:open-sesame@127.0.0.1:9/budflow"

    error = await refused(StorageUnavailable, data_dir=tmp_path, database_url=url)

    assert "open-sesame" not in f"{error.message} {error.hint} {error.details}"


@pytest.mark.postgres
async def test_a_database_of_a_newer_release_is_left_alone(tmp_path: Path, postgres_url: str) -> None:
    await (await PostgresStore.open(postgres_url)).close()
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()

    error = await refused(SchemaNewer, data_dir=tmp_path, database_url=postgres_url)

    assert "9999" in error.message


@pytest.mark.postgres
async def test_a_worker_without_the_keys_of_the_servers_does_not_begin(tmp_path: Path, postgres_url: str) -> None:
    there, elsewhere = KEYS
    key = open_key_ring(Settings(encryption_keys=there).encryption_keys, tmp_path).newest()
    store = await PostgresStore.open(postgres_url)
    await store.add_credential(credential(sealed=Sealed(key.id, b"wrapped", b"box")))
    await store.close()

    error = await refused(EncryptionKeyMissing, data_dir=tmp_path, database_url=postgres_url, encryption_keys=elsewhere)

    assert error.details["keys"] == [key.id]


@pytest.mark.postgres
async def test_a_second_server_with_a_directory_of_blobs_of_its_own_does_not_begin(
    tmp_path: Path, postgres_url: str
) -> None:
    async with open_runtime(Settings(data_dir=tmp_path / "one", database_url=postgres_url), "serve"):
        with pytest.raises(BlobsNotShared, match=str(tmp_path / "two" / "blobs")):
            async with open_runtime(Settings(data_dir=tmp_path / "two", database_url=postgres_url), "serve"):
                pass

        shared = f"file://{tmp_path}/one/blobs"
        settings = Settings(data_dir=tmp_path / "two", database_url=postgres_url, blob_url=shared)
        async with open_runtime(settings, "serve") as second:
            assert second.services.blobs.place == str(tmp_path / "one" / "blobs")

    async with open_runtime(Settings(data_dir=tmp_path / "three", database_url=postgres_url), "serve") as alone:
        assert alone.services.blobs.place == str(tmp_path / "three" / "blobs")


@pytest.mark.postgres
async def test_only_the_servers_directory_of_blobs_is_worked_with(tmp_path: Path, postgres_url: str) -> None:
    async with open_runtime(Settings(data_dir=tmp_path / "main", database_url=postgres_url), "serve"):
        pass

    error = await refused(BlobsNotShared, data_dir=tmp_path / "worker", database_url=postgres_url)

    assert str(tmp_path / "worker" / "blobs") in error.message
    assert not (tmp_path / "worker").exists()

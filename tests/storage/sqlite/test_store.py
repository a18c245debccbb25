"""The SQLite store as a file."""

from pathlib import Path

from budflow.storage.sqlite.store import SqliteStore


def names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


async def test_a_clean_stop_leaves_all_in_one_file(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "budflow.db")
    key = await store.get_server_key("links")
    assert await store.get_workflow("default", "wf_1") is None  # By a reader, which has the file open from now on.
    assert (tmp_path / "budflow.db-wal").stat().st_size > 0

    await store.close()

    assert names(tmp_path) == ["budflow.db"], "no log that the next start would have to read"
    again = await SqliteStore.open(tmp_path / "budflow.db")
    assert await again.get_server_key("links") == key
    await again.close()

"""Files of the server: only below the roots, only regular ones, and written so that nothing is half there."""

import asyncio
import os
import stat
from pathlib import Path

import pytest

from budflow.egress import files as module
from budflow.egress.files import FileFailed, FileMissing, FileRefused, FileTooLarge, RootedFiles
from budflow.model.files import NO_FILES, FilesClosed


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "inner").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    return folder


@pytest.fixture
def files(root: Path) -> RootedFiles:
    return RootedFiles([root])


def names(folder: Path) -> list[str]:
    return sorted(child.name for child in folder.iterdir())


async def read(files: RootedFiles, path: str) -> bytes:
    data = b""
    async with files.read(path) as file:
        while part := await file.read():
            data += part
    return data


async def overwrite(files: RootedFiles, path: str, data: bytes = b"new") -> None:
    async with files.overwrite(path) as file:
        await file.write(data)


async def append(files: RootedFiles, path: str, data: bytes = b"more") -> None:
    async with files.append(path) as file:
        await file.write(data)


@pytest.mark.parametrize("path", ["inner/a.txt", "./inner//a.txt", "{root}/inner/a.txt"])
async def test_a_path_is_absolute_or_counts_from_the_first_root(files: RootedFiles, root: Path, path: str) -> None:
    (root / "inner" / "a.txt").write_bytes(b"x" * 1_500_000)

    assert await read(files, path.format(root=root)) == b"x" * 1_500_000


async def test_a_file_may_be_below_any_root(root: Path, tmp_path: Path) -> None:
    files = RootedFiles([root, tmp_path / "outside"])

    assert await read(files, str(tmp_path / "outside" / "secret")) == b"secret"
    with pytest.raises(FileMissing):
        await read(files, "secret")


@pytest.mark.parametrize(
    "path",
    [
        *("../secret", "inner/../../secret", "..", ".", "", "/", "inner/", "{root}", "{root}/", "{root}/../secret"),
        *("/etc/passwd", "{root}/../root2/x", "{root}2/x", "a\x00b", "a\nb", "inner/.."),
    ],
)
@pytest.mark.parametrize("use", [read, overwrite, append])
async def test_no_path_leads_out(files: RootedFiles, root: Path, path: str, use: object) -> None:
    with pytest.raises(FileRefused):
        await use(files, path.format(root=root))  # type: ignore[operator]  # one of the three functions above


@pytest.mark.parametrize("use", [read, overwrite, append])
@pytest.mark.parametrize("link", ["file", "folder", "inside", "chain"])
async def test_no_symbolic_link_is_followed(files: RootedFiles, root: Path, link: str, use: object) -> None:
    (root / "inner" / "a.txt").write_text("a")
    (root / "file").symlink_to(root.parent / "secret")
    (root / "folder").symlink_to(root.parent / "outside")
    (root / "inside").symlink_to(root / "inner" / "a.txt")
    (root / "chain").symlink_to(root / "folder")
    path = {"file": "file", "folder": "folder/secret", "inside": "inside", "chain": "chain/secret"}[link]

    with pytest.raises(FileRefused):
        await use(files, path)  # type: ignore[operator]  # one of the three functions above

    assert (root.parent / "secret").read_text() == (root.parent / "outside" / "secret").read_text() == "secret"


@pytest.mark.parametrize("use", [read, overwrite, append])
async def test_only_regular_files_are_used(files: RootedFiles, root: Path, use: object) -> None:
    os.mkfifo(root / "pipe")

    for path in ("pipe", "inner"):
        async with asyncio.timeout(5):
            with pytest.raises(FileRefused):
                await use(files, path)  # type: ignore[operator]  # one of the three functions above


async def test_devices_are_not_even_opened() -> None:
    with pytest.raises(FileRefused):
        await read(RootedFiles([Path("/dev")]), "null")


async def test_a_directory_that_is_exchanged_for_a_link_meanwhile_leads_nowhere(
    files: RootedFiles, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "inner" / "secret").write_text("mine")
    stat_of = os.stat

    def exchanged(name: str, **rest: object) -> os.stat_result:
        found = stat_of(name, **rest)  # type: ignore[call-overload]  # whatever it is called with
        if name == "secret":
            (root / "inner" / "secret").unlink()
            (root / "inner" / "secret").symlink_to(root.parent / "secret")
        return found

    monkeypatch.setattr(module.os, "stat", exchanged)

    with pytest.raises(FileRefused):
        await read(files, "inner/secret")


async def test_what_is_not_there_is_missing(files: RootedFiles) -> None:
    for path in ("a.txt", "no/a.txt"):
        with pytest.raises(FileMissing):
            await read(files, path)
    with pytest.raises(FileMissing):
        await overwrite(files, "no/a.txt")


async def test_others_see_the_old_file_until_the_new_one_is_complete(files: RootedFiles, root: Path) -> None:
    path = root / "a.txt"
    path.write_text("old")
    path.chmod(0o604)

    async with files.overwrite("a.txt") as file:
        await file.write(b"ne")
        assert path.read_text() == "old"
        await file.write(b"w")

    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert names(root) == ["a.txt", "inner"]


async def test_a_new_file_is_not_for_everybody(files: RootedFiles, root: Path) -> None:
    await overwrite(files, "a.txt")
    await append(files, "b.txt")

    for name in ("a.txt", "b.txt"):
        assert not (root / name).stat().st_mode & 0o007


async def test_an_error_leaves_the_old_file_and_nothing_beside_it(files: RootedFiles, root: Path) -> None:
    (root / "a.txt").write_text("old")

    with pytest.raises(ZeroDivisionError):
        async with files.overwrite("a.txt") as file:
            await file.write(b"new")
            raise ZeroDivisionError

    assert (root / "a.txt").read_text() == "old"
    assert names(root) == ["a.txt", "inner"]


async def test_appending_adds_at_the_end_and_makes_the_file(files: RootedFiles, root: Path) -> None:
    await append(files, "log", b"one ")
    await append(files, "log", b"two")

    assert (root / "log").read_bytes() == b"one two"


async def test_there_is_a_limit_to_a_file(files: RootedFiles, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILE_BYTES_MAX", 4)
    (root / "a.txt").write_text("12345")

    for use in (read, append):
        with pytest.raises(FileTooLarge):
            await use(files, "a.txt")
    with pytest.raises(FileTooLarge):
        await overwrite(files, "b.txt", b"12345")
    assert not (root / "b.txt").exists()


async def test_what_the_system_refuses_is_told_with_the_path(files: RootedFiles) -> None:
    with pytest.raises(FileFailed, match=r"aaa.*too long"):
        await read(files, "a" * 300)


async def test_without_roots_no_file_is_used() -> None:
    for files in (RootedFiles([]), NO_FILES):
        with pytest.raises(FilesClosed) as closed:
            async with files.read("a.txt"):
                pass
        assert "file_roots" in closed.value.hint
        with pytest.raises(FilesClosed):
            async with files.overwrite("a.txt"):
                pass
        with pytest.raises(FilesClosed):
            async with files.append("a.txt"):
                pass


async def test_a_cancelled_write_is_over_before_its_descriptor_is_another_file(
    files: RootedFiles, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, written = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    write = os.write

    def slow(descriptor: int, data: bytes) -> int:
        loop.call_soon_threadsafe(writing.set)
        asyncio.run_coroutine_threadsafe(written.wait(), loop).result()
        return write(descriptor, data)

    monkeypatch.setattr(module.os, "write", slow)
    task = asyncio.create_task(append(files, "log"))
    await writing.wait()

    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    written.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (root / "log").read_bytes() == b"more"

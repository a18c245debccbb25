import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from budflow.storage.owner import (
    LOCK_FILE,
    DataDirRefused,
    DirectoryOwned,
    OwnerKeyExposed,
    OwnerKeyUnusable,
    OwnerLock,
    owner_key,
    read_owner,
)

_HOLDER = """
import sys
from pathlib import Path
from budflow.storage.owner import OwnerLock
lock = OwnerLock.acquire(Path(sys.argv[1]), "mcp")
lock.announce(socket="/run/api.sock")
lock.announce(address="http://127.0.0.1:8710")
print("held", flush=True)
sys.stdin.read()
lock.close()
"""


@contextmanager
def holder(data_dir: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that owns the directory until its stdin is closed."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        if process.poll() is None:
            process.kill()


def test_the_second_owner_is_refused_with_the_first_ones_name(tmp_path: Path) -> None:
    with holder(tmp_path) as process, pytest.raises(DirectoryOwned) as refused:
        OwnerLock.acquire(tmp_path, "serve")

    assert refused.value.details == {
        "pid": process.pid,
        "kind": "mcp",
        "address": "http://127.0.0.1:8710",
        "socket": "/run/api.sock",
    }
    assert str(process.pid) in refused.value.message
    assert "http://127.0.0.1:8710" in refused.value.message


def test_the_living_owner_is_told(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        owner = read_owner(tmp_path)

    assert owner is not None
    assert (owner.pid, owner.kind, owner.socket) == (process.pid, "mcp", "/run/api.sock")


def test_a_killed_owner_leaves_the_directory_free(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

        assert (tmp_path / LOCK_FILE).read_bytes().strip()
        assert read_owner(tmp_path) is None
        with OwnerLock.acquire(tmp_path, "serve") as lock:
            assert read_owner(tmp_path) == lock.owner


def test_an_owner_that_closes_hands_over(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.communicate("")

        OwnerLock.acquire(tmp_path, "serve").close()
    assert read_owner(tmp_path) is None


def test_the_lock_excludes_within_one_process_too(tmp_path: Path) -> None:
    with OwnerLock.acquire(tmp_path, "serve"), pytest.raises(DirectoryOwned):
        OwnerLock.acquire(tmp_path, "mcp")


def test_readers_do_not_keep_an_owner_out(tmp_path: Path) -> None:
    OwnerLock.acquire(tmp_path, "serve").close()
    stop = False

    def read_on() -> None:
        while not stop:
            read_owner(tmp_path)

    readers = [Thread(target=read_on) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(20):
            OwnerLock.acquire(tmp_path, "serve").close()
    finally:
        stop = True
        for reader in readers:
            reader.join()


def test_the_directory_and_its_files_are_private(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "data"
    with OwnerLock.acquire(data_dir, "serve"):
        owner_key(data_dir)

        assert data_dir.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in data_dir.iterdir()} == {0o600}


def test_nobody_owns_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert read_owner(tmp_path / "none") is None


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_path_that_is_a_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(DataDirRefused, match="it is a file"):
        OwnerLock.acquire(tmp_path / name, "serve")
    with pytest.raises(DataDirRefused):
        owner_key(tmp_path / name)


def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:  # Modes do not stop root; a directory of the kernel's does.
        place = Path("/proc/self")
    else:
        place = tmp_path / "closed"
        place.mkdir(mode=0o500)

    with pytest.raises(DataDirRefused):
        OwnerLock.acquire(place, "serve")


def test_the_key_is_made_once(tmp_path: Path) -> None:
    key = owner_key(tmp_path)

    assert re.fullmatch(r"bf_[A-Za-z0-9_-]{43}", key)
    assert owner_key(tmp_path) == key
    assert [path.name for path in tmp_path.iterdir()] == ["owner.key"]


def test_processes_that_start_together_agree_on_the_key(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from budflow.storage.owner import owner_key\n"
        "print(owner_key(Path(sys.argv[1])))"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    keys = {process.communicate(timeout=60)[0].strip() for process in started}

    assert keys == {owner_key(tmp_path)}


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    key = owner_key(tmp_path)
    (tmp_path / "owner.key").chmod(mode)

    with pytest.raises(OwnerKeyExposed) as refused:
        owner_key(tmp_path)

    assert key not in f"{refused.value} {refused.value.details}"


@pytest.mark.parametrize("content", ["", "nonsense", "bf_ü"])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: str) -> None:
    owner_key(tmp_path)
    (tmp_path / "owner.key").write_text(content)

    with pytest.raises(OwnerKeyUnusable):
        owner_key(tmp_path)

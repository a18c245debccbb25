"""What a task leaves behind is removed, whatever it is."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from budflow.sandbox.worker.scratch import empty


def test_files_links_directories_and_pipes_are_removed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    directory = tmp_path / "scratch"
    (directory / "a/b/c").mkdir(parents=True)
    (directory / "a/file").write_text("x")
    (directory / "a/b/link").symlink_to(outside)
    (directory / "dangling").symlink_to("nowhere")
    (directory / "0").mkdir()
    (directory / "a/0").mkdir()
    os.mkfifo(directory / "pipe")

    empty(str(directory))

    assert list(directory.iterdir()) == []
    assert (outside / "kept").read_text() == "x"


def test_neither_depth_nor_modes_are_in_the_way(tmp_path: Path) -> None:
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        for _ in range(100):  # Deeper than a path can be long, and than the stack.
            Path("d" * 100).mkdir()
            os.chdir("d" * 100)
    finally:
        os.chdir(before)
    (tmp_path / "closed").mkdir(mode=0)

    empty(str(tmp_path))

    assert list(tmp_path.iterdir()) == []


def test_directories_that_their_owner_closed_are_removed_by_it() -> None:
    with TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o777)
        pid = os.fork()
        if pid == 0:
            try:
                if os.getuid() == 0:  # Nothing is closed to root.
                    os.setuid(65534)
                (directory / "a/b/c").mkdir(parents=True)
                (directory / "a/b").chmod(0)
                (directory / "a").chmod(0)
                empty(name)
            finally:
                os._exit(len(list(directory.iterdir())))

        assert os.waitpid(pid, 0)[1] == 0

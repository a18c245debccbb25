"""What requirements mean is kept in files for a day: those that are older go, with the next lock or the next start."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest

from budflow.model.sandbox import SandboxUnavailable
from budflow.sandbox.docker.build import Builder, PackageIndex
from budflow.sandbox.docker.engine import Engine
from budflow.sandbox.docker.images import LOCK_SECONDS, Images
from budflow.sandbox.docker.runner import DockerRunner
from budflow.sandbox.runners import OnProgress


class _Engine:
    """Docker, with the base image alone and no containers."""

    def image(self, reference: str) -> Mapping[str, Any]:
        return {"Id": "sha256:base", "Size": 0}

    def images_labelled(self, label: str, value: str | None = None) -> list[Mapping[str, Any]]:
        return []

    def containers_labelled(self, label: str, value: str) -> list[str]:
        return []

    def events(self, label: str, value: str) -> NoReturn:
        raise SandboxUnavailable

    def describe(self) -> dict[str, Any]:
        return {"runtimes": ["runc"]}

    def close(self) -> None:
        pass


class _Builder:
    """Locks and installs at once."""

    index = PackageIndex((), None)

    def __init__(self) -> None:
        self.locked: list[Sequence[str]] = []

    async def lock(self, base: str, wanted: Sequence[str], on_progress: OnProgress) -> str:
        self.locked.append(wanted)
        return "\n".join(wanted)

    async def install(self, base: str, lock: str, config: Mapping[str, Any], on_progress: OnProgress) -> str:
        return f"sha256:{lock}"


def _images(directory: Path) -> Images:
    return Images(cast(Engine, _Engine()), directory, cast(Builder, _Builder()), "base")


def _files(directory: Path) -> set[Path]:
    return set(directory.glob("*"))


def _make_old(*files: Path) -> None:
    for file in files:
        then = time.time() - LOCK_SECONDS - 1
        os.utime(file, (then, then))


async def test_a_new_lock_removes_those_that_are_older_than_they_may_be(tmp_path: Path) -> None:
    images = _images(tmp_path)
    await images.prepare(("words",), print)
    old = _files(tmp_path)
    (left := tmp_path / "left.new").write_text("")
    _make_old(*old, left)
    (other := tmp_path / "README").write_text("")
    _make_old(other)

    await images.prepare(("greeting",), print)
    await images.prepare(("six",), print)

    files = _files(tmp_path)
    assert not files & {*old, left}
    assert other in files, "It is not the sandbox's."
    assert len(files) == 3


async def test_one_that_is_made_anew_is_kept(tmp_path: Path) -> None:
    await _images(tmp_path).prepare(("words",), print)
    [file] = _files(tmp_path)
    _make_old(file)

    await _images(tmp_path).prepare(("words",), print)

    assert _files(tmp_path) == {file}
    assert time.time() - file.stat().st_mtime < LOCK_SECONDS


@pytest.mark.parametrize("there", [True, False])
async def test_the_next_start_removes_them_too(tmp_path: Path, there: bool) -> None:
    directory = tmp_path / "images"
    if there:
        await _images(directory).prepare(("words",), print)
        await _images(directory).prepare(("greeting",), print)
        _make_old(next(iter(_files(directory))))

    engine = cast(Engine, _Engine())
    runner = await DockerRunner.open(engine, "owner", Images(engine, directory, None, "base"))

    assert len(_files(directory)) == int(there)
    async with asyncio.timeout(10):
        await runner.close()

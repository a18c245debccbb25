"""Other processes of the machine have a server start its sandboxd, and hear why it does not."""

import asyncio
import stat
from pathlib import Path

import pytest

from budflow.model.sandbox import SandboxUnavailable
from budflow.sandbox.doorbell import BELL_FILE, answer_bell, ring
from tests.until import until


class FakeKeeper:
    """Starts nothing."""

    def __init__(self, problem: SandboxUnavailable | None = None) -> None:
        self.problem, self.asked = problem, 0

    async def socket(self) -> Path:
        self.asked += 1
        if self.problem is not None:
            raise self.problem
        return Path("/nowhere")


async def test_who_rings_waits_until_sandboxd_serves(tmp_path: Path) -> None:
    keeper, directory = FakeKeeper(), tmp_path / "sandbox"
    answering = asyncio.create_task(answer_bell(directory, keeper))
    await until((directory / BELL_FILE).exists)

    await asyncio.gather(ring(directory), ring(directory))

    assert keeper.asked == 2
    assert stat.S_IMODE((directory / BELL_FILE).stat().st_mode) == 0o600
    answering.cancel()
    await asyncio.gather(answering, return_exceptions=True)
    assert not (directory / BELL_FILE).exists()


async def test_who_rings_hears_why_sandboxd_cannot_be_started(tmp_path: Path) -> None:
    answering = asyncio.create_task(answer_bell(tmp_path, FakeKeeper(SandboxUnavailable("no Docker", hint="install"))))
    await until((tmp_path / BELL_FILE).exists)

    with pytest.raises(SandboxUnavailable, match="no Docker") as refused:
        await ring(tmp_path)

    assert refused.value.hint == "install"
    answering.cancel()
    await asyncio.gather(answering, return_exceptions=True)


async def test_where_no_server_is_ringing_fails_at_once(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="nobody there starts one"):
        await ring(tmp_path)


async def test_a_directory_that_cannot_be_used_stops_no_server(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    await answer_bell(tmp_path / "file" / "sandbox", FakeKeeper())

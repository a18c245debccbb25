"""How code is isolated is picked by the settings, by what the machine has, and never silently not at all."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from budflow.model.sandbox import SandboxUnavailable
from budflow.sandbox.client import SandboxClient
from budflow.sandbox.daemon_settings import DaemonSettings
from budflow.sandbox.keeper import SandboxKeeper
from budflow.sandbox.places import SandboxdRunning, own_directory
from budflow.sandbox.process.runner import ProcessRunner
from budflow.sandboxd import after_its_predecessor, isolate
from tests.sandbox.tasks import Lines, task, values


def _settings(tmp_path: Path, sandbox: str) -> DaemonSettings:
    return DaemonSettings.model_validate(
        {"directory": tmp_path, "sandbox": sandbox, "docker_url": f"unix://{tmp_path}/no-docker.sock"}
    )


async def test_without_docker_and_bubblewrap_it_says_what_both_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SandboxUnavailable) as refused:
        await isolate(_settings(tmp_path, "auto"), "owner")

    assert "Docker" in refused.value.message
    assert "bwrap" in refused.value.message


async def test_who_wants_docker_gets_nothing_less(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="Docker"):
        await isolate(_settings(tmp_path, "docker"), "owner")


async def test_off_is_off(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="off"):
        await isolate(_settings(tmp_path, "off"), "owner")


@pytest.mark.process
async def test_by_processes_code_runs_and_says_with_reduced_isolation(tmp_path: Path) -> None:
    if (lack := await ProcessRunner().trouble()) is not None:
        pytest.skip(lack)
    async with SandboxKeeper(_settings(tmp_path, "auto")) as keeper:
        client, log = SandboxClient(keeper), Lines()

        given = await values(client.of("p1"), task("import os\nreturn [{'pid': os.getpid() < 100}]"), log)
        status = await client.describe()

        await client.close()
    assert given == [{"pid": True}]
    assert status["isolation"] == "process"
    assert "Ran with reduced isolation." in [message for _, message, _, _ in log.lines]


async def test_one_that_still_ends_in_the_same_directory_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    settings, over = _settings(tmp_path, "auto"), asyncio.Event()
    async with AsyncExitStack() as stack:
        with own_directory(settings):
            coming = asyncio.create_task(after_its_predecessor(stack, settings, over))
            done, _ = await asyncio.wait({coming}, timeout=0.3)
            assert not done, "It would say that another one serves there."

        with pytest.raises(SandboxUnavailable, match="Docker"):  # It came as far as to look for what isolates code.
            await coming


async def test_one_that_goes_on_in_the_same_directory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("budflow.sandboxd.PREDECESSOR_SECONDS", 0.1)
    settings = _settings(tmp_path, "auto")

    with own_directory(settings):
        async with AsyncExitStack() as stack:
            with pytest.raises(SandboxdRunning):
                await after_its_predecessor(stack, settings, asyncio.Event())

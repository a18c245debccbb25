"""A server's sandbox for other processes of its machine: started when one of them asks, where it is its own."""

import asyncio
from pathlib import Path

from budflow.sandbox.client import SandboxClient
from budflow.sandbox.doorbell import BELL_FILE, ring
from budflow.sandbox.keeper import ExistingSandboxd
from budflow.sandbox.open import KeptSandbox, SandboxOff
from tests.until import until


async def test_a_sandboxd_of_the_servers_own_starts_when_another_process_needs_it(tmp_path: Path) -> None:
    keeper = ExistingSandboxd("unix:/nowhere/sandboxd.sock")
    sandbox = KeptSandbox(SandboxClient(keeper), keeper, tmp_path)
    serving = asyncio.create_task(sandbox.serve_others())
    await until((tmp_path / BELL_FILE).exists)

    await ring(tmp_path)

    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_one_that_somebody_else_runs_is_started_for_nobody() -> None:
    keeper = ExistingSandboxd("unix:/nowhere/sandboxd.sock")

    await KeptSandbox(SandboxClient(keeper), keeper).serve_others()


async def test_where_the_settings_allow_no_code_nothing_is_started() -> None:
    await SandboxOff().serve_others()

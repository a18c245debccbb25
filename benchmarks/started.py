"""`budflow worker` and its like, started as processes of their own for a case, and ended with it."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from budflow.settings import Settings

BUDFLOW = str(Path(sys.executable).with_name("budflow"))


@asynccontextmanager
async def workers(
    settings: Settings, count: int, more: Mapping[str, str] | None = None
) -> AsyncIterator[Sequence[int]]:
    """So many `budflow worker`, with `more` variables; their processes."""
    started = [await start_process(settings, more or {}, "worker") for _ in range(count)]
    try:
        yield [process.pid for process in started]
    finally:
        for process in started:
            await stop_process(process)


async def start_process(settings: Settings, more: Mapping[str, str], *command: str) -> Process:
    """A `budflow` command on the database of the settings, once it has said on stdout that it has begun."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("BUDFLOW_", "RAY_"))}
    own = {"BUDFLOW_DATA_DIR": str(settings.data_dir), "BUDFLOW_DATABASE_URL": str(settings.database_url)}
    process = await asyncio.create_subprocess_exec(
        *(BUDFLOW, *command, "--json"),
        env={**plain, **own, **more, "BUDFLOW_LOG_LEVEL": "warning"},
        stdin=DEVNULL,
        stdout=PIPE,
        limit=2**24,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    return process


async def stop_process(process: Process) -> None:
    """Tell it to stop, and wait until it has."""
    process.terminate()
    await process.communicate()

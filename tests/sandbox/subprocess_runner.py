"""A WorkerRunner for tests alone: real workers as plain processes of this machine, outside of any sandbox."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from budflow.model.sandbox import Isolation
from budflow.sandbox.runners import End, OnProgress, WorkerKind


class Started:
    """Meets StartedWorker."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.killed = False

    @property
    def id(self) -> str:
        return str(self.process.pid)

    async def wait(self) -> End:
        status = await self.process.wait()
        return End("killed" if self.killed else "exited", status)

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.killed = True
            self.process.kill()
        await self.process.wait()


class SubprocessRunner:
    """Meets WorkerRunner."""

    isolation: Isolation = "process"

    def __init__(self) -> None:
        self.started: list[Started] = []

    async def prepare(self, requirements: Sequence[str], on_progress: OnProgress) -> str:
        for requirement in requirements:
            on_progress(f"Installing {requirement}")
        return ",".join(requirements)

    async def start(self, kind: WorkerKind, sockets: Path, environment: Mapping[str, str]) -> Started:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "budflow.sandbox.worker",
            env={**environment, "BUDFLOW_SOCKETS": str(sockets), "PATH": os.environ["PATH"]},
            stdin=asyncio.subprocess.DEVNULL,
        )
        self.started.append(Started(process))
        return self.started[-1]

    async def describe(self) -> Mapping[str, Any]:
        return {"python": sys.version}

    async def close(self) -> None:
        for started in self.started:
            await started.kill()

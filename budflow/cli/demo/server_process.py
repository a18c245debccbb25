"""The demo's server: a real `budflow serve` with a data directory of its own, started and stopped again."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from budflow.errors import BudflowError
from budflow.storage.owner import owner_key, read_owner

START_SECONDS_MAX = 30.0
RAY_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 20.0


class ServerDidNotStart(BudflowError):
    """The server did not start."""

    code = "demo.server_did_not_start"
    hint = "Look at its log, which stands above; `budflow doctor` checks this machine."


class RayDidNotStart(BudflowError):
    """Ray did not come up."""

    code = "demo.ray_did_not_start"
    hint = "Run `make demo EXECUTOR=inprocess` to go without Ray; `budflow doctor` checks this machine."


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running server: its address such as `http://127.0.0.1:8710`, its key and its process id."""

    address: str
    key: str
    pid: int

    async def get(self, path: str) -> dict[str, Any]:
        """GET from the HTTP API, as JSON."""
        async with httpx2.AsyncClient(base_url=self.address, headers=self.headers, timeout=30) as http:
            answer = await http.get(path)
            answer.raise_for_status()
            body: dict[str, Any] = answer.json()
            return body

    @property
    def headers(self) -> dict[str, str]:
        """What authenticates the owner."""
        return {"Authorization": f"Bearer {self.key}"}

    async def wait_for_ray(self) -> dict[str, Any]:
        """Until executions go to Ray; gives the executor's status. Raises RayDidNotStart."""
        try:
            async with asyncio.timeout(RAY_SECONDS_MAX):
                while True:
                    status = await self.get("/api/v1/status")
                    executor: dict[str, Any] = status["executor"]
                    if executor["name"] == "ray":
                        return executor
                    if executor.get("ray_error"):
                        raise RayDidNotStart(f"Ray did not come up: {executor['ray_error']}.")
                    await asyncio.sleep(0.25)
        except TimeoutError as error:
            raise RayDidNotStart(f"Ray did not come up within {RAY_SECONDS_MAX:.0f} s.") from error


@asynccontextmanager
async def server_process(data_dir: Path, variables: dict[str, str]) -> AsyncIterator[ServerProcess]:
    """Start `budflow serve` on a free port; it is stopped, and waited for, at the end."""
    log_path = data_dir.parent / "server.log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("BUDFLOW_")},
        **variables,
        "BUDFLOW_DATA_DIR": str(data_dir),
        "BUDFLOW_PORT": "0",
    }
    program = (sys.executable, "-c", "from budflow.cli.main import main; main()", "serve")
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(*program, env=environment, stdin=DEVNULL, stdout=log, stderr=log)
    try:
        try:
            server = await _ready(process, data_dir)
        except TimeoutError as error:
            sys.stderr.write(log_path.read_text(encoding="utf-8", errors="replace"))
            raise ServerDidNotStart(f"The server was not ready within {START_SECONDS_MAX:.0f} s.") from error
        yield server
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS_MAX)
    except TimeoutError:
        process.kill()
        await process.wait()


async def _ready(process: asyncio.subprocess.Process, data_dir: Path) -> ServerProcess:
    async with asyncio.timeout(START_SECONDS_MAX), httpx2.AsyncClient() as http:
        while process.returncode is None:
            owner = read_owner(data_dir)
            if owner is not None and owner.address:
                try:
                    if (await http.get(f"{owner.address}/readyz")).status_code == httpx2.codes.OK:
                        return ServerProcess(owner.address, owner_key(data_dir), process.pid)
                except httpx2.TransportError:
                    pass
            await asyncio.sleep(0.02)
    raise TimeoutError

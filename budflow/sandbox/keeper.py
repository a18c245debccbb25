"""Keeps the embedded server's sandboxd: a child process, started with the first code that runs, and again if it dies
or is stuck.

It has its settings as the first line of its standard input and ends when that is closed, so it ends with the server
however that ends. On its standard output it says once that it serves, or why it does not.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from budflow.log import get_log
from budflow.model.sandbox import SandboxUnavailable
from budflow.sandbox.daemon_settings import SOCKET_FILE, DaemonSettings
from budflow.sandbox.troubles import rebuild

#: It imports the client of Docker, asks the engine, and makes the base image where there is none.
READY_SECONDS = 120.0
STOP_SECONDS = 20.0
#: For one that has not served yet; in that time it tidies up behind itself, unless it is stuck.
HURRY_SECONDS = 3.0
BACK_OFF_SECONDS = 0.5
BACK_OFF_SECONDS_MAX = 30.0
#: So long one may take to answer who connects, on a machine that is busy; it is asked again after a while only.
ANSWER_SECONDS = 15.0
ANSWERED_SECONDS = 5.0
#: One that served so long is started again at once when it dies.
STEADY_SECONDS = 60.0
STOPPED = "The server is being stopped."
#: What the child may see of the server's environment, in which there are keys.
ENVIRONMENT = frozenset(
    {"PATH", "PYTHONPATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "TZ", "XDG_RUNTIME_DIR"}
    | {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "UV_DEFAULT_INDEX"}
    | {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
)

log = get_log(__name__)


class SandboxKeeper:
    """`async with` it; `socket()` starts sandboxd where it does not run."""

    def __init__(self, settings: DaemonSettings, *, python: str = sys.executable) -> None:
        self._settings, self._python = settings, python
        self._process: asyncio.subprocess.Process | None = None
        self._starting: asyncio.subprocess.Process | None = None
        self._asking: asyncio.Task[None] | None = None
        self._answered_at = 0.0
        self._lock = asyncio.Lock()
        self._failures = 0
        self._not_before = self._serves_since = 0.0
        self._why = SandboxUnavailable("The sandbox daemon was not started.")
        self._closed = False

    async def __aenter__(self) -> "SandboxKeeper":
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def pid(self) -> int | None:
        """The child's, where it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    @property
    def _path(self) -> Path:
        return self._settings.directory / SOCKET_FILE

    async def socket(self) -> Path:
        """See `client.Keeper`. While it fails to start again and again, the last failure is repeated for a while."""
        async with self._lock:
            if self._process is not None and self.pid is not None and not await self._answers():
                await self._end_stuck(self._process)
            if self.pid is None:
                await self._start()
        return self._path

    async def close(self) -> None:
        """End it: it has its `drain_seconds` for what runs."""
        self._closed = True
        if self._starting is not None:
            await _end(self._starting, HURRY_SECONDS)  # Who waits for it is told.
        if self._asking is not None:
            self._asking.cancel()
        async with self._lock:
            process, self._process = self._process, None
            if process is not None:
                await _end(process, self._settings.drain_seconds + STOP_SECONDS)

    async def _answers(self) -> bool:
        """Whether it answers at its socket, as one does that is neither stopped nor stuck; asked once in a while."""
        if time.monotonic() - self._answered_at < ANSWERED_SECONDS:
            return True
        self._asking = asyncio.create_task(_ask(self._path))
        try:
            await asyncio.wait([self._asking], timeout=ANSWER_SECONDS)
            answers = self._asking.done() and not self._asking.cancelled() and self._asking.exception() is None
        finally:
            self._asking.cancel()
            self._asking = None
        if answers:
            self._answered_at = time.monotonic()
        return answers

    async def _end_stuck(self, process: asyncio.subprocess.Process) -> None:
        if self._closed:
            raise SandboxUnavailable(STOPPED)
        log.error("sandbox.daemon_stuck", pid=process.pid)
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await _end(process, HURRY_SECONDS)

    async def _start(self) -> None:
        if self._closed:
            raise SandboxUnavailable(STOPPED)
        if self._process is not None:
            log.error("sandbox.daemon_died", status=self._process.returncode)
            self._process = None
            if time.monotonic() - self._serves_since > STEADY_SECONDS:
                self._failures = 0
            self._failed(SandboxUnavailable("The sandbox daemon died."))
        if time.monotonic() < self._not_before and self._failures > 1:
            raise self._why
        process = await asyncio.create_subprocess_exec(
            self._python,
            "-P",  # The working directory is no place to import from.
            "-m",
            "budflow.sandboxd",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if name in ENVIRONMENT},
            start_new_session=True,  # Ctrl-C is for the server, which ends it in its turn.
        )
        self._starting = process
        try:
            told = await self._first_word(process)
        except BaseException:
            await _end(process, HURRY_SECONDS)
            raise
        finally:
            self._starting = None
        if self._closed:
            await _end(process, HURRY_SECONDS)
            raise SandboxUnavailable(STOPPED)
        if told.get("serving") is not True:
            await _end(process, HURRY_SECONDS)
            error = rebuild({"code": SandboxUnavailable.code, **told})
            self._failed(error)
            raise error
        self._process = process
        self._serves_since = self._answered_at = time.monotonic()
        log.info("sandbox.daemon_started", pid=process.pid, isolation=told.get("isolation"))

    async def _first_word(self, process: asyncio.subprocess.Process) -> Mapping[str, Any]:
        assert process.stdin is not None  # noqa: S101 - they are pipes
        assert process.stdout is not None  # noqa: S101 - they are pipes
        with contextlib.suppress(ConnectionError):
            process.stdin.write(self._settings.model_dump_json().encode() + b"\n")
            await process.stdin.drain()
        try:
            async with asyncio.timeout(READY_SECONDS):
                line = await process.stdout.readline()
        except TimeoutError:
            return {"message": f"The sandbox daemon did not serve within {READY_SECONDS:g} s."}
        if not line:
            status = await process.wait()
            return {"message": f"The sandbox daemon ended as it started, with status {status}.", "hint": _LOOK}
        told: Mapping[str, Any] = orjson.loads(line)
        return told

    def _failed(self, error: Any) -> None:
        self._failures += 1
        wait = min(BACK_OFF_SECONDS * 2 ** min(self._failures, 10), BACK_OFF_SECONDS_MAX)
        self._not_before, self._why = time.monotonic() + wait, error


_LOOK = "Its log stands among the server's."


class ExistingSandboxd:
    """One that somebody else runs, by the setting `sandbox_address`."""

    def __init__(self, address: str) -> None:
        """`address` is `unix:/path/sandboxd.sock`."""
        self._path = Path(address.removeprefix("unix:"))

    async def socket(self) -> Path:
        """See `client.Keeper`."""
        return self._path

    async def close(self) -> None:
        """It is not ours to end."""


async def _ask(path: Path) -> None:
    """Raises what connecting raises."""
    from websockets.asyncio.client import unix_connect  # noqa: PLC0415 - the library of WebSockets, with the first code

    connection = await unix_connect(str(path), compression=None, open_timeout=ANSWER_SECONDS, ping_interval=None)
    connection.transport.abort()  # It was answered.
    await connection.wait_closed()


async def _end(process: asyncio.subprocess.Process, seconds: float) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

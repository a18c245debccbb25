"""A server that dies and comes back: one data directory and one port, and one process after the other on them."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import orjson

from tests.crash.fault import FILE_VARIABLE, Fault, arm, disarm
from tests.processes import SECONDS, Serving, environment

ROOT = Path(__file__).parents[2]
LOG_TAIL_CHARACTERS = 4000


class ServerFailed(Exception):
    """The server did not start, or ended although nobody killed it."""


class Server:
    """`budflow serve` on `directory`, with fault points; use `running_server`.

    `deaths` and `answers` are the Unix times at which a process died, and at which one said that it answers.
    """

    def __init__(self, directory: Path, settings: dict[str, str]) -> None:
        self.data_dir = directory / "data"
        # Beside the directory, which a test may fill or make read-only.
        self.log = directory.with_name(f"{directory.name}.log")
        self._fault_file = directory.with_name(f"{directory.name}.fault")
        self._settings = {**settings, FILE_VARIABLE: str(self._fault_file)}
        self.port = _free_port()
        self.deaths: list[float] = []
        self.answers: list[float] = []
        self._process: subprocess.Popen[str] | None = None
        self._serving: Serving | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def serving(self) -> Serving:
        """The process that answers now."""
        assert self._serving is not None, "the server is not running"
        return self._serving

    @property
    def running(self) -> bool:
        """Whether a process was started since the last one died."""
        return self._serving is not None

    @property
    def client(self) -> httpx2.Client:
        """A client of the API, with the owner's key."""
        return self.serving.client

    def start(self, **different: str) -> bool:
        """Start a process, with `different` settings from now on. False when a fault killed it before it could answer.

        Raises ServerFailed.
        """
        self._settings |= different
        with self.log.open("a") as log:
            process = self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.crash.faulty_server", "serve", "--port", str(self.port), "--json"],
                env=environment(self.data_dir, **self._settings),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert process.stdout is not None
        told = process.stdout.readline()
        if not told:
            self._buried()
            if process.returncode == -signal.SIGKILL:
                return False
            raise ServerFailed(f"exit code {process.returncode}: {self._log_tail()}")
        self.answers.append(time.time())
        self._serving = Serving(process, orjson.loads(told), self.data_dir)
        return True

    def arm(self, fault: Fault) -> None:
        """Let this process, or the next one, die at a fault point."""
        arm(self._fault_file, fault)

    def disarm(self) -> bool:
        """Forget the fault; whether it had come to pass."""
        over = not self._fault_file.exists()
        disarm(self._fault_file)
        return over

    def died(self, seconds: float) -> bool:
        """Whether the process dies of its fault within so many seconds; it is disarmed then."""
        assert self._process is not None
        watched = os.pidfd_open(self._process.pid)
        try:
            ready, _, _ = select.select([watched], [], [], seconds)
        finally:
            os.close(watched)
        if not ready:
            return False
        self._buried()
        if self._process.returncode != -signal.SIGKILL:
            raise ServerFailed(f"exit code {self._process.returncode}: {self._log_tail()}")
        self.disarm()
        return True

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._buried()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """End the process politely, if there is one."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(SECONDS)
        self.kill()

    def _buried(self) -> None:
        assert self._process is not None
        self.deaths.append(time.time())
        self._process.wait(SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._serving is not None:
            self._serving.client.close()
            self._serving = None

    def _log_tail(self) -> str:
        return self.log.read_text()[-LOG_TAIL_CHARACTERS:]


@contextlib.contextmanager
def running_server(directory: Path, **settings: str) -> Iterator[Server]:
    """A server that answers; at the end it is gone."""
    directory.mkdir(parents=True, exist_ok=True)
    server = Server(directory, settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port

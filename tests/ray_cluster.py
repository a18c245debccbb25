"""A Ray cluster of its own for tests: a head and more nodes by `ray start`, each with its processes apart from ours."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.processes import SECONDS, eventually

RAY = str(Path(sys.executable).with_name("ray"))
HOST = "127.0.0.1"
START_SECONDS = 60
STORE_BYTES = 80 * 1024 * 1024
#: Becomes the parent of what the command leaves behind (PR_SET_CHILD_SUBREAPER), and waits for none of it.
UNREAPED = """
import ctypes, signal, subprocess, sys

ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print("up", flush=True)
signal.pause()
"""


class RayCluster:
    """`address` of its GCS, `dashboard` its URL, `directory` where Ray writes, `token` its secret."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.token = directory, secrets.token_hex(32)
        port, dashboard = _free_port(), _free_port()
        self.address, self.dashboard = f"{HOST}:{port}", f"http://{HOST}:{dashboard}"
        self._head = ("--head", f"--port={port}", f"--dashboard-port={dashboard}")
        self._nodes = 0
        self._launchers: list[subprocess.Popen[bytes]] = []

    def environment(self, token: str | None = None) -> dict[str, str]:
        """By which a process joins it; with another token it cannot."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token or self.token, "RAY_USAGE_STATS_ENABLED": "0"}

    def add(self, *options: str) -> int:
        """Start a node, the first one as the head, and wait until it runs; its number."""
        number, command = self._command(options)
        subprocess.run(command, **self._outside(), stdout=subprocess.DEVNULL, timeout=START_SECONDS, check=True)
        return number

    def add_unreaped(self, *options: str) -> int:
        """The same below a process that collects none of its dead, as the first one of many containers does.

        Ray's workers look whether their raylet's process is there, so that of such a node they outlive it.
        """
        number, command = self._command(options)
        launcher = subprocess.Popen(
            [sys.executable, "-c", UNREAPED, *command], **self._outside(), stdout=subprocess.PIPE
        )
        assert launcher.stdout is not None
        with launcher.stdout:
            assert launcher.stdout.readline().strip() == b"up", "the node did not start"
        self._launchers.append(launcher)
        return number

    def _command(self, options: tuple[str, ...]) -> tuple[int, list[str]]:
        number, self._nodes = self._nodes, self._nodes + 1
        role = (f"--address={self.address}",) if number else self._head
        own = (f"--temp-dir={self._directory(number)}", f"--object-store-memory={STORE_BYTES}")
        return number, [RAY, "start", f"--node-ip-address={HOST}", "--disable-usage-stats", *own, *role, *options]

    def _outside(self) -> dict[str, Any]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "BUDFLOW_"))}
        environment = {**plain, **self.environment()}
        return {"env": environment, "stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def kill_raylet(self, number: int) -> None:
        """Kill the raylet of a node and nothing else of it: its workers are left behind."""
        directory = f"--raylet_socket_name={self._directory(number)}".encode()
        [raylet] = [pid for pid in self.processes() if directory in _read(pid, "cmdline")]
        os.kill(raylet, signal.SIGKILL)

    def processes(self) -> list[int]:
        """Those of every node, orphans among them: all inherited the token."""
        mark = f"RAY_AUTH_TOKEN={self.token}".encode()
        everyone = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [pid for pid in everyone if mark in _read(pid, "environ")]

    def close(self) -> None:
        """End all of it at once."""

        def gone() -> bool:
            for pid in (left := self.processes()):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not left

        eventually(gone, "every process of Ray is gone")
        for launcher in self._launchers:
            launcher.wait(SECONDS)

    def _directory(self, number: int) -> Path:
        return self.directory / str(number)


@contextmanager
def ray_cluster(*head: str) -> Iterator[RayCluster]:
    """One whose head was started with these options too."""
    # Ray's sockets need a short path, which pytest's own directories have not.
    cluster = RayCluster(Path(tempfile.mkdtemp(prefix="bf-ray-", dir="/tmp")))
    try:
        cluster.add(*head)
        yield cluster
    finally:
        cluster.close()
        shutil.rmtree(cluster.directory, ignore_errors=True)


def _read(pid: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""  # It has just ended.


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port

"""A Ray cluster of its own for tests: a head and more nodes by `ray start`, each with its processes apart from ours."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.processes import SECONDS, eventually

RAY = str(Path(sys.executable).with_name("ray"))
HOST = "127.0.0.1"
START_SECONDS = 60
STARTS_MAX = 3
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

    def __init__(
        self,
        directory: Path,
        gcs_redis: str | None = None,
        host: str = HOST,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`gcs_redis` is the `host:port` of a Redis, by which it outlives its head; `host` the address of its nodes,
        `variables` what these have in their environment.
        """
        self.directory, self.token = directory, secrets.token_hex(32)
        port, dashboard = _free_port(), _free_port()
        self._host = host
        self.address, self.dashboard = f"{host}:{port}", f"http://{HOST}:{dashboard}"
        self._head = ("--head", f"--port={port}", f"--dashboard-port={dashboard}")
        self._own = {**variables} if gcs_redis is None else {**variables, "RAY_REDIS_ADDRESS": gcs_redis}
        self._options: tuple[str, ...] = ()
        self._numbers = count()
        self._launchers: list[subprocess.Popen[bytes]] = []

    def environment(self, token: str | None = None) -> dict[str, str]:
        """By which a process joins it; with another token it cannot."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token or self.token, "RAY_USAGE_STATS_ENABLED": "0"}

    def add(self, *options: str) -> int:
        """Start a node, the first one as the head, and wait until it runs; its number."""
        number = next(self._numbers)
        if not number:
            self._options = options
        self._run(self._command(number, options))
        return number

    def restart_head(self) -> None:
        """Start the head again, where it was, after `kill_node(0)`, and wait until it runs."""
        # Ray takes the other nodes for a head that runs already, where this file says that it did.
        for left in reversed(range(STARTS_MAX)):  # On a busy machine Ray gives its own processes too little time.
            (self._directory(0) / "ray_current_cluster").unlink(missing_ok=True)
            try:
                self._run(self._command(0, self._options))
                return
            except subprocess.CalledProcessError:
                if not left:
                    raise
                self.kill_node(0)

    def add_unreaped(self, *options: str) -> int:
        """The same below a process that collects none of its dead, as the first one of many containers does.

        Ray's workers look whether their raylet's process is there, so that of such a node they outlive it.
        """
        number = next(self._numbers)
        self._launch([sys.executable, "-c", UNREAPED, *self._command(number, options)])
        return number

    def add_elsewhere(self, host: str, inside: Sequence[str], *options: str) -> int:
        """The same at another address, by the command `inside` that runs one there, in a namespace of processes too."""
        number = next(self._numbers)
        apart = ("unshare", "--pid", "--fork", "--mount-proc")  # Ray looks among the processes for other nodes.
        self._launch([*inside, *apart, sys.executable, "-c", UNREAPED, *self._command(number, options, host)])
        return number

    def _launch(self, command: list[str]) -> None:
        launcher = subprocess.Popen(command, **self._outside(), stdout=subprocess.PIPE)
        assert launcher.stdout is not None
        with launcher.stdout:
            assert launcher.stdout.readline().strip() == b"up", "the node did not start"
        self._launchers.append(launcher)

    def _run(self, command: list[str]) -> None:
        subprocess.run(command, **self._outside(), stdout=subprocess.DEVNULL, timeout=START_SECONDS, check=True)

    def _command(self, number: int, options: tuple[str, ...], host: str | None = None) -> list[str]:
        role = (f"--address={self.address}",) if number else self._head
        own = (f"--temp-dir={self._directory(number)}", f"--object-store-memory={STORE_BYTES}")
        return [RAY, "start", f"--node-ip-address={host or self._host}", "--disable-usage-stats", *own, *role, *options]

    def _outside(self) -> dict[str, Any]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "BUDFLOW_"))}
        environment = {**plain, **self.environment(), **self._own}
        return {"env": environment, "stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def kill_raylet(self, number: int) -> None:
        """Kill the raylet of a node and nothing else of it: its workers are left behind."""
        os.kill(self._raylet(number), signal.SIGKILL)

    def kill_node(self, number: int) -> None:
        """Kill all of a node at once, its workers with it, as the death of a machine does; 0 is the head."""
        mark, everyone = f"{self._directory(number)}/".encode(), self.processes()
        own = {pid for pid in everyone if mark in _read(pid, "cmdline")}
        for pid in own | {pid for pid in everyone if _parent(pid) in own}:
            with suppress(ProcessLookupError):  # Some end each other.
                os.kill(pid, signal.SIGKILL)

    def workers(self, number: int) -> list[int]:
        """The processes that the raylet of a node started."""
        raylet = self._raylet(number)
        return [pid for pid in self.processes() if _parent(pid) == raylet]

    def _raylet(self, number: int) -> int:
        socket_name = f"--raylet_socket_name={self._directory(number)}/".encode()
        [raylet] = [pid for pid in self.processes() if socket_name in _read(pid, "cmdline")]
        return raylet

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
def ray_cluster(
    *head: str, gcs_redis: str | None = None, host: str = HOST, variables: Mapping[str, str] = MappingProxyType({})
) -> Iterator[RayCluster]:
    """One whose head was started with these options too."""
    # Ray's sockets need a short path, which pytest's own directories have not.
    cluster = RayCluster(Path(tempfile.mkdtemp(prefix="bf-ray-", dir="/tmp")), gcs_redis, host, variables)
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


def _parent(pid: int) -> int | None:
    words = _read(pid, "stat").rpartition(b")")[2].split()
    return int(words[1]) if words else None


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port

"""A real Docker engine for tests: Debian's dockerd on a socket and in directories of its own, without a network."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from filelock import FileLock

from tests.servers import CannotStart

START_SECONDS = 30
STOP_SECONDS = 20
INSTALL_SECONDS = 180
LOOK_SECONDS = 0.02
#: Nothing of this machine's network is changed, and containers have none.
WITHOUT_NETWORK = ("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none")


class DockerServer:
    """The engine. `port` is there only because the session's other servers have one."""

    def __init__(self, directory: Path, port: int = 0) -> None:
        self.directory = directory
        self.port = port

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def socket(self) -> Path:
        return self.directory / "docker.sock"

    @classmethod
    def start(cls) -> "DockerServer":
        """Start an engine. Where Docker is not installed it is, on Debian and as root."""
        if os.geteuid() != 0:
            raise CannotStart("Docker cannot start: these tests start their own dockerd, which must be root's.")
        server = cls(Path(tempfile.mkdtemp(prefix="budflow-docker-")))
        try:
            _install_docker()
            server._start()
        except (OSError, subprocess.SubprocessError) as error:
            server.stop()
            raise CannotStart(f"Docker cannot start: {error}") from error
        except CannotStart:
            shutil.rmtree(server.directory, ignore_errors=True)
            raise
        return server

    def stop(self) -> None:
        """End the engine with all its containers, and remove its directory."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            pid = int((self.directory / "pid").read_text())
            os.kill(pid, signal.SIGTERM)
            self._until_gone(pid)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self) -> None:
        arguments = [
            *("--host", self.url),
            *("--data-root", str(self.directory / "data")),
            *("--exec-root", str(self.directory / "exec")),
            *("--pidfile", str(self.directory / "pid")),
            *("--shutdown-timeout", "1"),
            *WITHOUT_NETWORK,
        ]
        with (self.directory / "log").open("w") as log:
            process = subprocess.Popen(
                [_dockerd(), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,  # It outlives the worker of pytest-xdist that started it.
            )
        process.returncode = 0  # Nobody waits for it, and Python need not warn of that.
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or not _runs(process.pid):
                raise subprocess.SubprocessError((self.directory / "log").read_text()[-1000:])
            time.sleep(LOOK_SECONDS)

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(START_SECONDS)
                connection.connect(str(self.socket))
                connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return b"200 OK" in connection.recv(1_024)
        except OSError:
            return False

    def _until_gone(self, pid: int) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        while _runs(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                return
            time.sleep(LOOK_SECONDS)


def _runs(pid: int) -> bool:
    """Whether it is there, and no zombie of ours."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return Path(f"/proc/{pid}").exists()


def _dockerd() -> str:
    """Its path, or "": Debian has it where not every PATH looks."""
    return shutil.which("dockerd") or shutil.which("dockerd", path="/usr/sbin:/sbin") or ""


def _install_docker() -> None:
    """Raises CannotStart where there is none and none can be installed."""
    if _dockerd():
        return
    if not shutil.which("apt-get"):
        raise CannotStart("Docker cannot start: install `docker.io` (on Debian it is a package of that name).")
    with FileLock(Path(tempfile.gettempdir()) / "budflow-install-docker.lock"):
        for arguments in (("install",), ("update",), ("install",)):  # The lists of packages may be missing, or old.
            if not _dockerd():
                names = ("--no-install-recommends", "docker.io") if arguments == ("install",) else ()
                done = subprocess.run(
                    # Another test's apt-get may be at work: it is waited for.
                    ["apt-get", "-o", f"DPkg::Lock::Timeout={INSTALL_SECONDS}", "--yes", "--quiet", *arguments, *names],
                    env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                    capture_output=True,
                    text=True,
                    timeout=2 * INSTALL_SECONDS,
                )
    if not _dockerd():
        raise CannotStart(f"Docker cannot start: it could not be installed: {done.stderr[-1000:]}")

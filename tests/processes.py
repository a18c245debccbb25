"""Real `budflow` processes for tests: servers, MCP clients on stdio, commands; a service that holds answers back."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import orjson

BUDFLOW = str(Path(sys.executable).with_name("budflow"))
SECONDS = 60.0


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """The variables of a process on `data_dir`; nothing of ours comes from outside."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("BUDFLOW_")}
    return {**plain, "BUDFLOW_DATA_DIR": str(data_dir), "BUDFLOW_HTTP_ALLOW": "127.0.0.1", **settings}


def command(data_dir: Path, *args: str, exits: int = 0, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    done = subprocess.run(
        [BUDFLOW, *args],
        env=environment(data_dir, **settings),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == exits, (done.returncode, done.stdout, done.stderr)
    return done


def eventually(holds: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
    """What `holds` gives, as soon as that is true."""
    deadline = time.monotonic() + seconds
    while not (value := holds()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)
    return value


class Serving:
    """A running `budflow serve`."""

    def __init__(self, process: subprocess.Popen[str], told: Mapping[str, Any], data_dir: Path) -> None:
        self.process, self.data_dir = process, data_dir
        self.url, self.socket = str(told["url"]), Path(told["socket"])
        key = (data_dir / "owner.key").read_text().strip()
        self.client = httpx2.Client(
            base_url=f"{self.url}/api/v1", headers={"Authorization": f"Bearer {key}"}, timeout=SECONDS
        )

    def create(self, document: Mapping[str, Any]) -> str:
        """Store a workflow; its id."""
        workflow_id: str = self.client.post("/workflows", json={"document": document}).json()["workflow"]["id"]
        return workflow_id

    def start(self, workflow_id: str) -> str:
        """Start an execution; its id."""
        answer = self.client.post(f"/workflows/{workflow_id}/executions", json={})
        execution_id: str = answer.json()["execution"]["id"]
        return execution_id

    def status_of(self, execution_id: str) -> str:
        """The status of an execution."""
        status: str = self.client.get(f"/executions/{execution_id}").json()["execution"]["status"]
        return status

    def tell(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self) -> tuple[int, str]:
        """The exit code and all of stderr, when it has ended."""
        _, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, errors


@contextmanager
def serving(data_dir: Path, *args: str, **settings: str) -> Iterator[Serving]:
    """A `budflow serve` that answers; at the end it is gone."""
    process = subprocess.Popen(
        [BUDFLOW, "serve", "--port", "0", "--json", *args],
        env=environment(data_dir, **settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(process.communicate(timeout=SECONDS)[1])
        server = Serving(process, orjson.loads(line), data_dir)
        with server.client:
            yield server
    finally:
        _end(process)


class Working:
    """A running `budflow worker`."""

    def __init__(self, process: subprocess.Popen[str], told: Mapping[str, Any]) -> None:
        self.process = process
        self.runner = str(told["runner"])

    def tell(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait(self) -> tuple[int, str]:
        """The exit code and all of stderr, when it has ended."""
        _, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, errors


@contextmanager
def working(data_dir: Path, count: int = 1, **settings: str) -> Iterator[list[Working]]:
    """Several `budflow worker` that take executions; at the end they are gone."""
    processes = [
        subprocess.Popen(
            [BUDFLOW, "worker", "--json"],
            env=environment(data_dir, **settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    try:
        workers = []
        for process in processes:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise AssertionError(process.communicate(timeout=SECONDS)[1])
            workers.append(Working(process, orjson.loads(line)))
        yield workers
    finally:
        for process in processes:
            _end(process)


class McpClient:
    """A running `budflow mcp` with its client: one request at a time, in the older era of the protocol."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._id = 0

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a request: its whole message."""
        self._id += 1
        self._write({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], SECONDS)
        assert ready, f"no answer to {method}"
        message: dict[str, Any] = orjson.loads(self.process.stdout.readline())
        assert message["id"] == self._id
        return message

    def tool(self, name: str, **arguments: Any) -> dict[str, Any]:
        """The structured content that a tool answers with."""
        message = self.request("tools/call", name=name, arguments=arguments)
        assert "error" not in message, message
        assert not message["result"].get("isError"), message
        content: dict[str, Any] = message["result"]["structuredContent"]
        return content

    def shake_hands(self) -> None:
        """Open the conversation."""
        info = {"name": "test", "version": "1"}
        answer = self.request("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=info)
        assert "result" in answer, answer
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def leave(self) -> tuple[int, str]:
        """Close stdin; the exit code and all of stderr."""
        _, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, errors.decode()

    def _write(self, message: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(orjson.dumps(message) + b"\n")
        self.process.stdin.flush()


@contextmanager
def mcp_client(data_dir: Path, **settings: str) -> Iterator[McpClient]:
    """A `budflow mcp` whose conversation is open; at the end it is gone."""
    process = subprocess.Popen(
        [BUDFLOW, "mcp"],
        env=environment(data_dir, **settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    try:
        client = McpClient(process)
        client.shake_hands()
        yield client
    finally:
        _end(process)


def _end(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


class Silence:
    """An HTTP service that holds its answer back until it is told to speak."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._connection: socket.socket | None = None
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

    def asked(self) -> None:
        """Return when somebody is waiting for the answer; whoever waited before is forgotten."""
        self.close()
        self._listener.settimeout(SECONDS)
        self._connection, _ = self._listener.accept()

    def hung_up(self) -> None:
        """Return when whoever waits for the answer waits no more."""
        assert self._connection is not None
        self._connection.settimeout(SECONDS)
        try:
            while self._connection.recv(65_536):
                pass  # What is left of the request.
        except ConnectionResetError:
            return

    def answer(self) -> None:
        """Answer what was asked."""
        assert self._connection is not None
        self._connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        self._connection.close()

    def close(self) -> None:
        """Hang up on whoever still waits."""
        if self._connection is not None:
            self._connection.close()


@contextmanager
def silence() -> Iterator[Silence]:
    """Such a service on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        service = Silence(listener)
        try:
            yield service
        finally:
            service.close()


def asking(url: str) -> dict[str, Any]:
    """A workflow that asks `url`."""
    return {
        "format": 1,
        "name": "Ask",
        "nodes": {"start": {"type": "trigger.manual"}, "ask": {"type": "http.request", "params": {"url": url}}},
        "edges": [{"from": "start", "to": "ask"}],
    }

"""A broker for one worker, a real process: it says what a test says, and reads by the messages of the protocol."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from websockets.sync.server import ServerConnection, unix_serve

from budflow.sandbox.messages import FRAME_BYTES_MAX, FROM_WORKER, Error, Message, Result

SECONDS_MAX = 10.0
PART_ITEMS = 100
WORKER = (sys.executable, "-I", "-m", "budflow.sandbox.worker")
TICKET = "a-ticket-of-the-test"


@dataclass
class Outcome:
    """All that a worker said of one task."""

    items: list[dict[str, Any]] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    error: dict[str, Any] | None = None
    lines: list[dict[str, Any]] = field(default_factory=list)
    progress: list[tuple[float | None, str]] = field(default_factory=list)
    requests: list[tuple[int, int]] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)

    @property
    def printed(self) -> list[str]:
        """The text of its log lines."""
        return [line["message"] for line in self.lines]

    @property
    def code(self) -> str | None:
        """Of the error that the task as a whole failed with."""
        return self.error["code"] if self.error else None

    @property
    def message(self) -> str:
        """Of that error."""
        return str(self.error["message"]) if self.error else ""

    def add(self, message: Message) -> bool:
        """Whether it was the last."""
        told = message.model_dump(by_alias=True)
        match told["type"]:
            case "log":
                self.lines.append(told)
            case "progress":
                self.progress.append((told["fraction"], told["message"]))
            case "data_request":
                self.requests.append((told["start"], told["stop"]))
            case "error":
                self.error = told["error"]
            case "result":
                self.items += [each["json"] for each in told["items"]]
                self.sources += [each["source"] for each in told["items"]]
                self.failed += told["failed"]
                self.parts.append(len(told["items"]))
        return isinstance(message, Error) or (isinstance(message, Result) and message.last)


class Broker:
    """One connection, and the worker's process at its other end."""

    def __init__(self, connection: ServerConnection, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self._connection = connection
        self._count = 0
        self.separators = (",", ":")  # As the real one has them.
        self.hello = self.receive()
        self.send({"type": "welcome", "protocol": 1, "heartbeat_seconds": 5.0})

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message, whatever it is."""
        self._connection.send(json.dumps(message, ensure_ascii=False, separators=self.separators))

    def receive(self) -> Any:
        """The next message, if it is one of the protocol; heartbeats are left out."""
        while True:
            message = FROM_WORKER.validate_json(self._connection.recv(timeout=SECONDS_MAX))
            if message.type != "heartbeat":
                return message

    def offer(self) -> str:
        """Offer a task, which the worker accepts."""
        self._count += 1
        task_id = f"task-{self._count}"
        self.send({"type": "offer", "task_id": task_id})
        assert self.receive().model_dump() == {"type": "accept", "task_id": task_id}
        return task_id

    def start(self, code: str, items: Sequence[Mapping[str, Any]] = ({},), mode: str = "all", **more: Any) -> str:
        """Offer a task and send it, with the first part of its items."""
        task_id = self.offer()
        task: dict[str, Any] = {
            "mode": mode,
            "code": code,
            "params": {},
            "now": "2026-11-23T12:00:00+01:00",
            "seed": "s",
            "name": "n",
            "item_count": len(items),
            "items": items[:PART_ITEMS],
            "timeout_seconds": 5.0,
            "memory_mb": 64,
        }
        self.send({"type": "task", "task_id": task_id, **task, **more})
        return task_id

    def finish(self, items: Sequence[Mapping[str, Any]] = (), on: Callable[[Any], None] | None = None) -> Outcome:
        """Answer what the worker asks, until the task ends."""
        outcome = Outcome()
        while True:
            message = self.receive()
            if on is not None:
                on(message)
            if message.type == "data_request":
                part = items[message.start : min(message.stop, message.start + PART_ITEMS)]
                data = {"type": "data", "task_id": message.task_id, "start": message.start, "items": part}
                self.send(data)
            if outcome.add(message):
                return outcome

    def run(self, code: str, items: Sequence[Mapping[str, Any]] = ({},), mode: str = "all", **more: Any) -> Outcome:
        """Run a task to its end."""
        self.start(code, items, mode, **more)
        return self.finish(items)

    def works(self) -> bool:
        """Whether a further task goes as it should."""
        return self.run("return {'a': 1}").items == [{"a": 1}]

    def close(self) -> None:
        """Go away."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def listening(sockets: Path) -> "Iterator[queue.Queue[ServerConnection]]":
    """The broker's socket in this directory; the connections that come."""
    connections: queue.Queue[ServerConnection] = queue.Queue()
    gone = threading.Event()

    def handle(connection: ServerConnection) -> None:
        connections.put(connection)
        gone.wait()

    server = unix_serve(handle, str(sockets / "broker.sock"), max_size=FRAME_BYTES_MAX, compression=None)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield connections
    finally:
        gone.set()
        server.shutdown()
        thread.join()


@contextmanager
def started(
    sockets: Path, environment: Mapping[str, str] | None = None, command: Sequence[str] = WORKER
) -> Iterator[Broker]:
    """A worker that is connected; in the end it has gone."""
    with listening(sockets) as connections:
        process = subprocess.Popen(
            command,
            env={
                "PATH": os.environ["PATH"],
                "BUDFLOW_SOCKETS": str(sockets),
                "BUDFLOW_TICKET": TICKET,
                "BUDFLOW_PROXY_PORT": "0",
                **(environment or {}),
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            with Broker(connections.get(timeout=SECONDS_MAX), process) as broker:
                yield broker
            process.wait(timeout=SECONDS_MAX)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
            assert process.stderr is not None
            process.stderr.close()

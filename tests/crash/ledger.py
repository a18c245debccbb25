"""The ledger: a small server outside of BudFlow that remembers every effect it was asked for, as the oracle of crashes.

`python -m tests.crash.ledger DIR` listens on a free port of 127.0.0.1, says so in one line of JSON and appends every
delivery to DIR/ledger.jsonl, synced to the disk before it answers. A key that it has seen gets the first answer again.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

FILE = "ledger.jsonl"
#: Who is to be `signed` sends it in the header Authorization.
TOKEN = "crash-ledger-token-5b0c"
END_SECONDS = 10.0
IDLE_SECONDS_MAX = 3600


class Effect(NamedTuple):
    """What was to be done once: the step `node` for one `item` of the order `order`, whoever asks for it how often."""

    order: str
    node: str
    item: str


@dataclass(slots=True)
class Deliveries:
    """How often one effect was asked for, and under which idempotency keys."""

    keys: set[str] = field(default_factory=set)
    count: int = 0

    @property
    def doubled(self) -> bool:
        """Whether a receiver that knows idempotency keys would have done it twice."""
        return len(self.keys) > 1


class Ledger:
    """The server's state: the file, and the answers given so far."""

    def __init__(self, directory: Path) -> None:
        self._file = os.open(directory / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._answers: dict[str, bytes] = {}
        self._refused: Counter[Effect] = Counter()
        self._released: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def take(self, request: Request) -> Response:
        """POST /effects: `{order, node, item}`, and how to answer. One that says it is `signed` needs the token.

        The first `refuse` requests for the effect get 503 and are not done; `delay_seconds` pass between doing it and
        the answer, and those of the nodes in `hold` wait for their release. A repetition is answered at once.
        """
        try:
            body = orjson.loads(await request.body())
        except ClientDisconnect:  # The server died while it asked: nothing is known of what it wanted.
            return Response(status_code=400)
        if body.get("signed") and request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return Response(status_code=401)
        effect = Effect(str(body["order"]), str(body["node"]), str(body.get("item", "")))
        key = request.headers.get("Idempotency-Key", "")
        if key not in self._answers and self._refused[effect] < int(body.get("refuse") or 0):
            self._refused[effect] += 1
            return Response(b'{"refused": true}', 503, media_type="application/json")
        answer = self._answers.get(key)
        self._write({**effect._asdict(), "key": key, "repeated": answer is not None})
        if answer is None:
            answer = self._answers[key] = orjson.dumps({**effect._asdict(), "number": len(self._answers)})
            await asyncio.sleep(float(body.get("delay_seconds") or 0))
            if effect.node in (body.get("hold") or ()):
                await self._released[effect.node].wait()
        return Response(answer, media_type="application/json")

    async def release(self, request: Request) -> Response:
        """POST /release/NODE: answer what is held of this node, and hold nothing of it from now on."""
        self._released[request.path_params["node"]].set()
        return Response(status_code=204)

    def _write(self, delivery: dict[str, Any]) -> None:
        os.write(self._file, orjson.dumps(delivery) + b"\n")
        os.fsync(self._file)


@dataclass(frozen=True, slots=True)
class RunningLedger:
    """A ledger that answers at `url`, and its file."""

    url: str
    path: Path

    def release(self, node: str) -> None:
        """Let the held answers of a node go."""
        httpx2.post(f"{self.url}/release/{node}").raise_for_status()

    def effects(self) -> dict[Effect, Deliveries]:
        """Everything that was delivered so far."""
        found: dict[Effect, Deliveries] = {}
        for line in self.path.read_bytes().splitlines():
            entry = orjson.loads(line)
            deliveries = found.setdefault(Effect(entry["order"], entry["node"], entry["item"]), Deliveries())
            deliveries.keys.add(entry["key"])
            deliveries.count += 1
        return found


@contextmanager
def running_ledger(directory: Path) -> Iterator[RunningLedger]:
    """A ledger process on `directory`; at the end it is gone, and its file stays."""
    directory.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.crash.ledger", str(directory)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, "the ledger did not start"
        yield RunningLedger(orjson.loads(line)["url"], directory / FILE)
    finally:
        process.terminate()
        process.wait(END_SECONDS)
        process.stdout.close()


async def _serve(directory: Path) -> None:
    ledger = Ledger(directory)
    routes = [
        Route("/effects", ledger.take, methods=["POST"]),
        Route("/release/{node}", ledger.release, methods=["POST"]),
    ]
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        config = uvicorn.Config(
            Starlette(routes=routes),
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=1,
            # It hangs up on nobody: a request that meets that is lost, whoever is killed elsewhere.
            timeout_keep_alive=IDLE_SECONDS_MAX,
        )
        sys.stdout.write(orjson.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}).decode() + "\n")
        sys.stdout.flush()
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))

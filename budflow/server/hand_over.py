"""The hand-over of a data directory: `budflow serve` asks a living `budflow mcp` to drain and to let go of it."""

import asyncio
import contextlib
import http.client
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from budflow.errors import BudflowError
from budflow.services.keys import Keys
from budflow.storage.owner import DirectoryOwned, OwnerLock, owner_key

PATH = "/internal/hand-over"
#: The other side drains for ten seconds at most and then closes its store.
WAIT_SECONDS = 20.0
ASK_SECONDS = 5.0

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


async def take_ownership(data_dir: Path) -> OwnerLock:
    """Own the data directory for `budflow serve`; a living `budflow mcp` is asked to hand it over.

    Raises DirectoryOwned when another `serve` has it, or when the other does not let go in time.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WAIT_SECONDS
    asked: set[int] = set()
    while True:
        try:
            # It tries for a quarter of a second, every five milliseconds: nobody else gets in between.
            return await asyncio.to_thread(OwnerLock.acquire, data_dir, "serve")
        except DirectoryOwned as owned:
            pid, path = owned.details.get("pid"), owned.details.get("socket")
            if owned.details.get("kind") not in ("mcp", None) or loop.time() > deadline:
                raise
            if pid is not None and path is not None and pid not in asked:
                asked.add(pid)
                # Gone, or going: the lock tells the rest.
                with contextlib.suppress(OSError, http.client.HTTPException):
                    await asyncio.to_thread(_ask, path, owner_key(data_dir))


def with_hand_over(app: ASGIApp, keys: Keys, asked: asyncio.Event) -> ASGIApp:
    """`app` with the route by which the owner is asked to hand over; only for the Unix socket of `budflow mcp`."""

    async def routed(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await app(scope, receive, send)
            return
        authorization = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        try:
            keys.owner(authorization, "cli")
        except BudflowError as error:
            status = error.http_status
        else:
            asked.set()
            status = 202
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    return routed


class _UnixConnection(http.client.HTTPConnection):
    """An HTTP connection over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ASK_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ASK_SECONDS)
        self.sock.connect(self._path)


def _ask(path: str, key: str) -> None:
    with contextlib.closing(_UnixConnection(path)) as connection:
        connection.request("POST", PATH, headers={"Authorization": f"Bearer {key}"})
        connection.getresponse().read()

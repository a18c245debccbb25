"""Has a server start its sandboxd for other processes of its machine and user, such as those of its Ray.

The server answers on a socket in the directory of sandboxd, whether this runs or not: one line of JSON for each who
connects, when sandboxd serves or cannot be started.
"""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Any

import orjson

from budflow.errors import BudflowError
from budflow.log import get_log
from budflow.model.sandbox import SandboxUnavailable
from budflow.sandbox.client import Keeper
from budflow.sandbox.troubles import rebuild

BELL_FILE = "wake.sock"
#: Sandboxd says within two minutes that it serves, or why not.
ANSWER_SECONDS = 150.0

log = get_log(__name__)


async def answer_bell(directory: Path, keeper: Keeper) -> None:
    """Answer until cancelled."""

    async def hear(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(orjson.dumps(await _told(keeper)) + b"\n")
            await writer.drain()
        writer.close()

    path = directory / BELL_FILE
    try:
        server = await _listening(path, hear)
    except OSError as error:
        log.warning("sandbox.no_doorbell", path=str(path), error=error.strerror or str(error))
        return
    try:
        async with server:
            await server.serve_forever()
    finally:
        path.unlink(missing_ok=True)


async def ring(directory: Path) -> None:
    """Return when the sandboxd of this directory serves. Raises SandboxUnavailable."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_unix_connection(str(directory / BELL_FILE))
            try:
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise SandboxUnavailable(f"No sandboxd serves in {directory}, and nobody there starts one.") from error
    told: dict[str, Any] = orjson.loads(line or b"{}")
    if not told.get("serving"):
        raise rebuild({"code": SandboxUnavailable.code, "message": "The server is being stopped.", **told})


async def _listening(path: Path, hear: Any) -> asyncio.Server:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - a moment of work; left by a server that was killed, as this one owns the directory
    before = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(hear, path)
    finally:
        os.umask(before)


async def _told(keeper: Keeper) -> dict[str, Any]:
    try:
        await keeper.socket()
    except BudflowError as error:
        return {"code": error.code, "message": error.message, "hint": error.hint}
    return {"serving": True}

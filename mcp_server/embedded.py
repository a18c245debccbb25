"""The backend inside `budflow mcp` where no other process owns the data directory."""

import asyncio
import contextlib
from dataclasses import replace

import anyio

from budflow.log import get_log
from budflow.model.principal import OWNER
from budflow.services.use_case import Services
from mcp_server.front import Backend, BackendGone
from mcp_server.pipe import Conversation
from mcp_server.server import build_server

log = get_log(__name__)


class EmbeddedBackend:
    """A conversation with a server in this process."""

    def __init__(self, services: Services) -> None:
        """Use `open_embedded`."""
        self._answers: asyncio.Queue[bytes | None] = asyncio.Queue()
        principal = replace(OWNER, door="mcp")
        self._conversation = Conversation(build_server(services, lambda _: principal), self._answer)
        self._running = asyncio.create_task(self._run(), name="mcp-embedded")

    async def send(self, line: bytes) -> None:
        """Raises BackendGone."""
        try:
            await self._conversation.take(line)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            raise BackendGone from error

    async def receive(self) -> bytes:
        """Raises BackendGone."""
        answer = await self._answers.get()
        if answer is None:
            self._answers.put_nowait(None)
            raise BackendGone
        return answer

    async def close(self) -> None:
        """End it; what is open gets no answer."""
        self._conversation.close()
        self._running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._running

    async def _run(self) -> None:
        try:
            await self._conversation.run()
        except Exception:  # The edge: the front opens another conversation, and the client stays
            log.exception("mcp.conversation_broke")
        finally:
            self._answers.put_nowait(None)

    async def _answer(self, text: str) -> None:
        self._answers.put_nowait(text.encode())


async def open_embedded(services: Services) -> Backend:
    """A backend that serves the owner of this machine from `services`."""
    return EmbeddedBackend(services)

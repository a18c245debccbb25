"""How our processes on a Ray node reach its sandboxd: relays by the tickets of runners, the plugin by one of its own.

Where it is, the environment of the node's processes says: `BUDFLOW_SANDBOX_ADDRESS`.
"""

import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

from budflow.model.log import LogCapability
from budflow.model.sandbox import CodePart, CodeTask, SandboxUnavailable
from budflow.sandbox import image_client
from budflow.sandbox.access import REQUESTER_SECONDS, SandboxKeyUnreadable, Tickets, read_key
from budflow.sandbox.client import ProjectSandbox
from budflow.sandbox.connection import Connection, Refused, connect_with
from budflow.sandbox.doorbell import ring
from budflow.sandbox.image_requests import NODE
from ray_jobs.sandbox_address import ADDRESS_VARIABLE, DEFAULT_ADDRESS, PREFIX

T = TypeVar("T")


class TicketLink:
    """The link of one task. Its ticket must be for the image, and is good for no second one."""

    def __init__(self, ticket: str, image: str) -> None:
        self._ticket, self._image = ticket, image
        self._link: Connection | None = None

    async def link(self, project_id: str) -> Connection:
        """See Links. Raises SandboxUnavailable."""
        try:
            self._link = await _reached(
                lambda socket: connect_with(socket, self._ticket, project=project_id, image=self._image)
            )
        except Refused as error:
            raise SandboxUnavailable(
                f"The sandboxd of this Ray node, at {socket_here()}, lets no code run: {error}.",
                hint="Look whether it runs and has the same `sandbox.key` as those of the cluster's other nodes.",
            ) from error
        return self._link

    def rest(self, project_id: str, link: Connection) -> None:
        """See Links. It is closed with the task."""

    async def close(self) -> None:
        """End it; what runs is cancelled."""
        if self._link is not None:
            await self._link.close()


async def run_code(
    ticket: str, project_id: str, image: str, task: CodeTask, log: LogCapability
) -> AsyncGenerator[CodePart, None]:
    """Run code by a ticket for just this project and image. Raises what SandboxCapability says."""
    links = TicketLink(ticket, image)
    try:
        async with aclosing(ProjectSandbox(links, project_id).run(task, log)) as parts:
            async for part in parts:
                yield part
    finally:
        await links.close()


async def prepare_image(ticket: str, requirements: tuple[str, ...], on_progress: Callable[[str], None]) -> str:
    """The image for these requirements, "" where there are none. Raises RequirementsFailed, SandboxUnavailable."""
    return await _reached(lambda socket: image_client.prepare(socket, ticket, requirements, on_progress))


async def image_bytes(image: str) -> int:
    """What an image takes, without the base image. Raises SandboxUnavailable where it is not there."""
    return await _about(image, image_client.find)


async def remove_image(image: str) -> int:
    """Remove it where nobody uses it; the bytes that this frees. Raises SandboxUnavailable."""
    return await _about(image, image_client.remove)


async def sign(directory: Path, project_id: str, image: str) -> str:
    """A ticket for one task, or for preparing an image, by the key in a directory. Raises SandboxUnavailable.

    A server makes the key when it starts its sandboxd for the first time.
    """
    try:
        return _ticket(directory, project_id, image)
    except SandboxKeyUnreadable as error:
        try:
            await ring(directory)
        except SandboxUnavailable as unavailable:
            raise SandboxUnavailable(f"{unavailable.message} {error.message}", hint=unavailable.hint) from error
    return _ticket(directory, project_id, image)


def socket_here() -> Path:
    """The socket of this node's sandboxd."""
    return Path((os.environ.get(ADDRESS_VARIABLE) or DEFAULT_ADDRESS).removeprefix(PREFIX))


async def _about(image: str, call: Callable[[Path, str, str], Awaitable[int]]) -> int:
    ticket = await sign(socket_here().parent, NODE, "")
    return await _reached(lambda socket: call(socket, ticket, image))


async def _reached(call: Callable[[Path], Awaitable[T]]) -> T:
    """Call with the socket. Where nobody listens, a server that starts its sandboxd when it is needed is asked to."""
    socket = socket_here()
    try:
        return await call(socket)
    except (Refused, SandboxUnavailable) as error:
        if not isinstance(error.__cause__, OSError):
            raise
        await ring(socket.parent)
    return await call(socket)


def _ticket(directory: Path, project_id: str, image: str) -> str:
    return Tickets(read_key(directory)).issue("requester", project_id, REQUESTER_SECONDS, image=image)

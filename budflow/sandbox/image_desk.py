"""sandboxd's answers about images: prepared by its runner, and removed when no worker has them any more."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from budflow.log import get_log
from budflow.model.failure import NodeError
from budflow.model.sandbox import SandboxUnavailable
from budflow.sandbox.image_requests import (
    NODE,
    FindImage,
    ImageMessage,
    ImageReady,
    ImageRefused,
    ImageRemoved,
    ImageRequest,
    Prepare,
    Preparing,
)
from budflow.sandbox.images import Images
from budflow.sandbox.runners import KeepsImages, WorkerRunner
from budflow.sandbox.shares import PlacesTaken, Shares, busy

MESSAGE_CHARS_MAX = 200

log = get_log(__name__)

Send = Callable[[ImageMessage], Awaitable[None]]


class EndsWorkers(Protocol):
    """The pool, as far as images are concerned."""

    async def end_idle(self, image: str) -> None:
        """End the workers of an image that do nothing, and keep none of it warm; returns when they have ended."""
        ...


@contextmanager
def waiting_for_image(shares: Shares, project: str) -> Iterator[None]:
    """Be one of those that wait for an image. Raises SandboxBusy."""
    try:
        shares.take(project)
    except PlacesTaken as taken:
        raise busy(taken, "an image") from taken
    try:
        yield
    finally:
        shares.give_back(project)


class ImageDesk:
    """Answers requests for images. `runner` is the one of the workers; `waiting` counts tasks that wait for one too."""

    def __init__(self, runner: WorkerRunner, images: Images, pool: EndsWorkers, waiting: Shares) -> None:
        self._keeps = runner if isinstance(runner, KeepsImages) else None
        self._images, self._pool, self._waiting = images, pool, waiting

    async def answer(self, request: ImageRequest, subject: str, send: Send) -> None:
        """Answer one request of a requester with a ticket for this subject."""
        try:
            if isinstance(request, Prepare):
                with waiting_for_image(self._waiting, subject):
                    answer = await self._prepare(request, send)
            elif subject != NODE:
                raise SandboxUnavailable("A project's ticket is for its code, and not for the images of a machine.")
            elif isinstance(request, FindImage):
                answer = ImageReady(
                    request=request.request, image=request.image, bytes=await self._bytes(request.image)
                )
            else:
                answer = ImageRemoved(request=request.request, bytes=await self._remove(request.image))
        except NodeError as error:
            answer = ImageRefused(request=request.request, code=error.code, message=error.message, hint=error.hint)
        await send(answer)

    async def _prepare(self, request: Prepare, send: Send) -> ImageMessage:
        said: asyncio.Queue[str | None] = asyncio.Queue()
        image = asyncio.ensure_future(self._images.image(tuple(request.requirements), said.put_nowait))
        image.add_done_callback(lambda _: said.put_nowait(None))
        try:
            while (line := await said.get()) is not None:
                await send(Preparing(request=request.request, message=line[:MESSAGE_CHARS_MAX]))
            found = await image
        finally:
            image.cancel()
        return ImageReady(request=request.request, image=found, bytes=0)

    async def _bytes(self, image: str) -> int:
        if self._keeps is not None:
            return await self._keeps.image_bytes(image)
        if image:
            raise SandboxUnavailable("This sandbox has no images: it isolates by processes.")
        return 0

    async def _remove(self, image: str) -> int:
        if self._keeps is None or not image:
            return 0
        await self._pool.end_idle(image)
        freed = await self._keeps.remove_image(image)
        self._images.forget(image)
        log.info("sandbox.image_removed", image=image, bytes=freed)
        return freed

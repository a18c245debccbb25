"""A requester's side of images: prepare, find or remove one, each over a link of its own to `sandboxd.sock`."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from pydantic import ValidationError
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import WebSocketException

from budflow.model.failure import NodeError
from budflow.model.sandbox import RequirementsFailed, SandboxBusy, SandboxUnavailable
from budflow.sandbox.image_requests import (
    IMAGE_ANSWER,
    FindImage,
    ImageMessage,
    ImageReady,
    ImageRefused,
    ImageRemoved,
    Prepare,
    Preparing,
    RemoveImage,
)
from budflow.sandbox.requests import Greeted, Greeting

OPEN_SECONDS = 5.0

_ERRORS: dict[str, type[NodeError]] = {
    kind.code: kind for kind in (RequirementsFailed, SandboxBusy, SandboxUnavailable)
}


async def prepare(socket: Path, ticket: str, requirements: tuple[str, ...], on_progress: Callable[[str], None]) -> str:
    """The digest of the image for these requirements; "" where there are no images.

    Raises RequirementsFailed, SandboxUnavailable.
    """
    async with aclosing(_asked(socket, ticket, Prepare(request=1, requirements=list(requirements)))) as answers:
        async for answer in answers:
            if isinstance(answer, Preparing):
                on_progress(answer.message)
            elif isinstance(answer, ImageReady):
                return answer.image
    raise SandboxUnavailable("The sandbox did not say which image it prepared.")


async def find(socket: Path, ticket: str, image: str) -> int:
    """What an image takes beyond the base image. Raises SandboxUnavailable where it is not there."""
    async with aclosing(_asked(socket, ticket, FindImage(request=1, image=image))) as answers:
        async for answer in answers:
            if isinstance(answer, ImageReady):
                return answer.bytes
    raise SandboxUnavailable("The sandbox did not say whether it has the image.")


async def remove(socket: Path, ticket: str, image: str) -> int:
    """Remove an image where nobody uses it; the bytes that this frees. Raises SandboxUnavailable."""
    async with aclosing(_asked(socket, ticket, RemoveImage(request=1, image=image))) as answers:
        async for answer in answers:
            if isinstance(answer, ImageRemoved):
                return answer.bytes
    raise SandboxUnavailable("The sandbox did not say whether it removed the image.")


async def _asked(socket: Path, ticket: str, request: ImageMessage) -> AsyncGenerator[ImageMessage, None]:
    try:
        async with _linked(socket, ticket) as connection:
            await connection.send(request.model_dump_json())
            async for frame in connection:
                answer: ImageMessage = IMAGE_ANSWER.validate_json(frame)
                if isinstance(answer, ImageRefused):
                    raise _ERRORS.get(answer.code, SandboxUnavailable)(answer.message, hint=answer.hint)
                yield answer
    except WebSocketException as error:
        raise SandboxUnavailable(f"sandboxd ended the link: {error}") from error
    except (OSError, TimeoutError) as error:
        raise SandboxUnavailable(f"sandboxd does not answer at {socket}: {error}.") from error
    except ValidationError as error:
        raise SandboxUnavailable("sandboxd is of another version of BudFlow.") from error


@asynccontextmanager
async def _linked(socket: Path, ticket: str) -> AsyncGenerator[ClientConnection, None]:
    async with unix_connect(str(socket), compression=None, open_timeout=OPEN_SECONDS) as connection:
        await connection.send(Greeting(ticket=ticket).model_dump_json())
        Greeted.model_validate_json(await connection.recv())
        yield connection

"""A requester's side of images: prepare, find or remove one, each over a link of its own to `sandboxd.sock`."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from websockets.asyncio.client import unix_connect
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

Answer = TypeVar("Answer", bound=ImageMessage)

_ERRORS: dict[str, type[NodeError]] = {
    kind.code: kind for kind in (RequirementsFailed, SandboxBusy, SandboxUnavailable)
}


async def prepare(socket: Path, ticket: str, requirements: tuple[str, ...], on_progress: Callable[[str], None]) -> str:
    """The digest of the image for these requirements; "" where there are no images.

    Raises RequirementsFailed, SandboxBusy, SandboxUnavailable.
    """
    request = Prepare(request=1, requirements=list(requirements))
    return (await _asked(socket, ticket, request, ImageReady, on_progress)).image


async def find(socket: Path, ticket: str, image: str) -> int:
    """What an image takes beyond the base image. Raises SandboxUnavailable where it is not there."""
    return (await _asked(socket, ticket, FindImage(request=1, image=image), ImageReady)).bytes


async def remove(socket: Path, ticket: str, image: str) -> int:
    """Remove an image where nobody uses it; the bytes that this frees. Raises SandboxUnavailable."""
    return (await _asked(socket, ticket, RemoveImage(request=1, image=image), ImageRemoved)).bytes


def _unheard(_line: str) -> None:
    """Nobody listens."""


async def _asked(
    socket: Path,
    ticket: str,
    request: ImageMessage,
    kind: type[Answer],
    on_progress: Callable[[str], None] = _unheard,
) -> Answer:
    try:
        async with unix_connect(str(socket), compression=None, open_timeout=OPEN_SECONDS) as connection:
            await connection.send(Greeting(ticket=ticket).model_dump_json())
            Greeted.model_validate_json(await connection.recv())
            await connection.send(request.model_dump_json())
            async for frame in connection:
                answer = IMAGE_ANSWER.validate_json(frame)
                if isinstance(answer, ImageRefused):
                    raise _ERRORS.get(answer.code, SandboxUnavailable)(answer.message, hint=answer.hint)
                if isinstance(answer, Preparing):
                    on_progress(answer.message)
                elif isinstance(answer, kind):
                    return answer
    except WebSocketException as error:
        raise SandboxUnavailable(f"sandboxd ended the link: {error}") from error
    except (OSError, TimeoutError) as error:
        raise SandboxUnavailable(f"sandboxd does not answer at {socket}: {error}.") from error
    except ValidationError as error:
        raise SandboxUnavailable("sandboxd is of another version of BudFlow.") from error
    raise SandboxUnavailable("sandboxd ended the link before it answered.")

"""One request and its answer over ASGI: the body is read within limits, the answer is sent as a whole."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from budflow.errors import BudflowError
from budflow.services.problem_document import MEDIA_TYPE, ProblemDocument, problem_headers

#: Whoever sends a few bytes now and then holds a connection no longer than this.
BODY_SECONDS_MAX = 120.0

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class BodyTooLarge(BudflowError):
    """The body is larger than this server takes."""

    code = "webhook.body_too_large"
    http_status = 413
    hint = "Send less at once; the server's owner may raise `webhook_body_bytes_max`."


class BodySlow(BudflowError):
    """The body did not arrive in time."""

    code = "webhook.body_slow"
    http_status = 408
    hint = "Send it again, over a faster connection or in smaller pieces."


class ClientGone(Exception):
    """The client hung up before its request was complete: nobody is there to be answered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response; `Content-Length` is not among the headers."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def refusal(error: BudflowError, instance: str) -> Answer:
    """An error as a problem document."""
    headers = (("Content-Type", MEDIA_TYPE), *problem_headers(error).items())
    return Answer(error.http_status, headers, ProblemDocument.of(error, instance).json_bytes())


async def read_body(headers: list[tuple[bytes, bytes]], receive: Receive, bytes_max: int) -> bytes:
    """The whole body. What `Content-Length` announces is refused unread; what really comes is counted too.

    Raises BodyTooLarge, BodySlow and ClientGone.
    """
    announced = next((value for name, value in headers if name == b"content-length"), b"0")
    if announced.isdigit() and int(announced) > bytes_max:
        raise _too_large(bytes_max)
    try:
        async with asyncio.timeout(BODY_SECONDS_MAX):
            return await _received(receive, bytes_max)
    except TimeoutError:
        raise BodySlow from None


async def _received(receive: Receive, bytes_max: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > bytes_max:
            raise _too_large(bytes_max)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(bytes_max: int) -> BodyTooLarge:
    return BodyTooLarge(f"At most {bytes_max} bytes are taken.", bytes_max=bytes_max)


async def send_answer(answer: Answer, send: Send) -> None:
    """The whole response."""
    headers = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in answer.headers]
    if answer.body or answer.status not in (204, 304):
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})

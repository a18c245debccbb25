"""uvicorn's HTTP protocol with what it lacks: a limit on the head of a request, in bytes and in seconds.

Without it whoever can connect fills the memory with one endless header, or holds connections open for nothing.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from budflow.errors import BudflowError
from budflow.services.problem_document import MEDIA_TYPE, ProblemDocument

#: The request line and all header fields, but for what comes in the same read as their end.
HEAD_BYTES_MAX = 64 * 1024
HEAD_SECONDS_MAX = 30.0


class HeadTooLarge(BudflowError):
    """The address and the headers of the request are too long."""

    code = "request.head_too_large"
    http_status = 431
    hint = "Send what is long in the body."


class RequestMalformed(BudflowError):
    """This is no HTTP request."""

    code = "request.malformed"
    http_status = 400
    hint = "Speak HTTP/1.1 without TLS; look for forbidden characters in the address and the headers."


class BoundedHttp(HttpToolsProtocol):
    """A connection; refused with a problem document where it sends more than a request may be, or no HTTP at all."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._head_bytes = 0
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._bound(0)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_head = False
        self._bound(0)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._bound(len(data))

    def send_400_response(self, msg: str) -> None:
        self._refuse(RequestMalformed())

    def _bound(self, received_bytes: int) -> None:
        """Count what came of a head that is not complete, and wait for the rest of it only so long."""
        if self._in_head:
            self._head_bytes += received_bytes
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(HeadTooLarge(f"At most {HEAD_BYTES_MAX} bytes are taken.", bytes_max=HEAD_BYTES_MAX))
            elif self._patience is None:
                self._patience = self.loop.call_later(HEAD_SECONDS_MAX, self.transport.abort)
            return
        self._head_bytes = 0
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _refuse(self, error: BudflowError) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()  # Another answer is under way; ours would stand in the middle of it.
            return
        body = ProblemDocument.of(error).json_bytes()
        fields = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[error.http_status] + fields.encode() + body)
        self.transport.close()

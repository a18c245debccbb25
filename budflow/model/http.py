"""HTTP as nodes speak it: the request handed to the guarded client and the response it hands back."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. `url` is absolute; a name may stand more than once in `headers`.

    `timeout_seconds` counts from the call to the last byte, redirects included; `response_bytes_max` counts the
    bytes of the body after decompression.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    timeout_seconds: float
    follow_redirects: bool
    response_bytes_max: int


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One response, whatever its status. `body` is decompressed, while `headers` stand as the server sent them.

    `url` is the one that answered, after redirects, without user name and password.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    url: str

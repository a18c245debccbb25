"""HTTP as nodes speak it: the request handed to the guarded client and the response it hands back."""

from dataclasses import dataclass, replace

from budflow.model.secret import Secret


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. `url` is absolute; a name may stand more than once in `headers`.

    `timeout_seconds` counts from the call to the last byte, redirects included; `response_bytes_max` counts the
    bytes of the body after decompression. `secret_headers` and `secret_query` are more of both, which leave only for
    hosts that the credential allows: the one that the request is sent with, and that they are from.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    timeout_seconds: float
    follow_redirects: bool
    response_bytes_max: int
    secret_headers: tuple[tuple[str, Secret], ...] = ()
    secret_query: tuple[tuple[str, Secret], ...] = ()

    def with_header(self, name: str, value: str) -> "HttpRequest":
        """The request with this header at the end, instead of all that have its name in any case."""
        kept = (header for header in self.headers if header[0].lower() != name.lower())
        return replace(self, headers=(*kept, (name, value)))


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One response, whatever its status. `body` is decompressed, while `headers` stand as the server sent them.

    `url` is the one that answered, after redirects, without user name and password.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    url: str

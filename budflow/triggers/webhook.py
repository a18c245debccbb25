"""From an HTTP request to the item that a `trigger.webhook` brings in. Pure: the door does the reading."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from budflow.asgi.body import parse_body, parse_form
from budflow.model.item import Json

#: What lets somebody in elsewhere never enters a journal.
CREDENTIALS = frozenset({b"authorization", b"proxy-authorization", b"cookie"})

RawHeaders = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A request as the door read it: `path` is percent-encoded and below `/webhook/`, header names are lower-case."""

    method: str
    path: str
    query: bytes
    headers: RawHeaders
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header field, the first where it was sent twice."""
        wanted = name.lower().encode("latin-1")
        return next((value.decode("latin-1") for key, value in self.headers if key == wanted), None)


def to_item(request: WebhookRequest, params: Mapping[str, str]) -> Json:
    """The item's json; docs of `trigger.webhook` describe it. Raises BodyMalformed."""
    return {
        "method": request.method,
        "path": unquote(request.path),
        "params": dict(params),
        "query": parse_form(request.query) if request.query else {},
        "headers": _headers(request.headers),
        "body": parse_body(request.header("content-type"), request.body),
    }


def _headers(headers: RawHeaders) -> dict[str, str]:
    shown: dict[str, str] = {}
    for key, value in headers:
        if key not in CREDENTIALS:
            name, text = key.decode("latin-1"), value.decode("latin-1")
            shown[name] = f"{shown[name]}, {text}" if name in shown else text
    return shown

"""Requests as kinds get them to sign."""

from collections.abc import Sequence
from datetime import UTC, datetime

from budflow.model.http import HttpRequest, HttpResponse

NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)
URL = "https://api.example.com/orders"


def request(
    url: str = URL, *, method: str = "GET", headers: Sequence[tuple[str, str]] = (), body: bytes | None = None
) -> HttpRequest:
    return HttpRequest(
        method=method,
        url=url,
        headers=tuple(headers),
        body=body,
        timeout_seconds=30,
        follow_redirects=True,
        response_bytes_max=1_000_000,
    )


def challenge(*values: str, status: int = 401) -> HttpResponse:
    """An answer with these fields `WWW-Authenticate`."""
    return HttpResponse(status, tuple(("WWW-Authenticate", value) for value in values), b"", URL)


def header(signed: HttpRequest | None, name: str) -> str:
    """The value of a header that stands there once."""
    assert signed is not None
    [value] = [value for found, value in signed.headers if found.lower() == name.lower()]
    return value

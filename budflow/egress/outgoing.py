"""A request on its way out: from what a node wrote to what httpx2 sends, checked so that it can smuggle nothing."""

import base64
import re
from dataclasses import dataclass, replace
from typing import ClassVar

# Imported here and not at first use: 70 ms together, most of it modules that the HTTP API loads as well.
import httpx2

from budflow.egress.transport import RequestInvalid
from budflow.errors import BudflowError
from budflow.model.http import HttpRequest

PORT_MAX = 65_535
# How a body is framed follows from the body; another length or coding is how requests are smuggled.
OWN_HEADERS = frozenset({"content-length", "transfer-encoding", "upgrade"})

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class UrlInvalid(BudflowError):
    """The URL is not a whole http:// or https:// address."""

    code = "http.url_invalid"
    http_status = 422
    hint = "Write it out, such as https://example.com/path."
    retriable: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Hop:
    """A request on its way to one address: that of the request, parsed once, since it takes as long as all the rest."""

    request: HttpRequest
    url: httpx2.URL


def first_hop(request: HttpRequest, *, signed: bool) -> Hop:
    """The request with its URL as it will be sent, and with user name and password moved from there into a header.

    Where it will be `signed` both are refused: nobody could tell which of the two lets it in. Raises RequestInvalid
    and UrlInvalid; neither repeats the URL, which may hold a password.
    """
    if not _TOKEN.fullmatch(request.method) or request.method.upper() == "CONNECT":
        raise RequestInvalid(f"{request.method!r} is not a method a workflow may send")
    url = parsed_url(request.url)
    headers = tuple(header for header in request.headers if header[0].lower() not in OWN_HEADERS)
    if url.userinfo and signed:
        message = "The URL has a user name or a password, and there is a credential as well"
        raise RequestInvalid(message, hint="Take them out of the URL, or take the credential off the node.")
    if (request.secret_headers or request.secret_query) and not signed:
        raise RequestInvalid("The request has secrets and no credential that they are from")
    if url.userinfo and not any(name.lower() == "authorization" for name, _ in headers):
        headers = (*headers, ("Authorization", _basic(url)))
    url = bare(url)
    return Hop(replace(request, url=str(url), headers=headers), url)


def outgoing(client: httpx2.AsyncClient, hop: Hop) -> httpx2.Request:
    """The request as httpx2 takes it. Raises RequestInvalid, which quotes no value."""
    headers = [_encoded_header(name, value) for name, value in hop.request.headers]
    return client.build_request(hop.request.method, hop.url, headers=headers, content=hop.request.body)


def parsed_url(text: str) -> httpx2.URL:
    """Raises RequestInvalid and UrlInvalid; neither repeats the URL."""
    if _CONTROL.search(text):
        raise RequestInvalid("The URL contains a line break or another control character")
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, UnicodeError):
        raise UrlInvalid("The URL cannot be read") from None  # Without the cause, which may quote it.
    return sendable(url)


def sendable(url: httpx2.URL) -> httpx2.URL:
    """The URL itself. Raises UrlInvalid unless it leads to an HTTP server."""
    if url.scheme not in ("http", "https"):
        raise UrlInvalid(f"The scheme {url.scheme!r} is not http or https" if url.scheme else "The URL has no scheme")
    if not url.host:
        raise UrlInvalid("The URL names no host")
    if url.port is not None and not 0 < url.port <= PORT_MAX:
        raise UrlInvalid(f"{url.port} is not a port")
    return url


def bare(url: httpx2.URL) -> httpx2.URL:
    """The URL without user name and password."""
    return url.copy_with(username=None, password=None) if url.userinfo else url


def origin_of(url: httpx2.URL) -> str:
    """Scheme, host and port (RFC 6454): the host as it is asked for, the port only where it is not the scheme's own."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _basic(url: httpx2.URL) -> str:
    """RFC 7617, in UTF-8."""
    return "Basic " + base64.b64encode(f"{url.username}:{url.password}".encode()).decode()


def _encoded_header(name: str, value: str) -> tuple[bytes, bytes]:
    if not _TOKEN.fullmatch(name):
        raise RequestInvalid(f"{name!r} is not a header's name")
    if _CONTROL.search(value.replace("\t", " ")):
        raise RequestInvalid(f"The value of the header {name} contains a line break or another control character")
    try:
        return name.encode("ascii"), value.strip(" \t").encode("utf-8")
    except UnicodeEncodeError:
        raise RequestInvalid(f"The value of the header {name} is not text") from None

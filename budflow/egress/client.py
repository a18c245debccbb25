"""The guarded client: how a node's HTTP request leaves, held to the address policy, a deadline and a size."""

import asyncio
import base64
import re
import ssl
from contextlib import aclosing
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import ClassVar

# Imported here and not at first use: 70 ms together, most of it modules that the HTTP API loads as well.
import httpx2

from budflow.egress.policy import AddressPolicy
from budflow.egress.transport import GuardedTransport, RequestInvalid, Resolve, ResponseBroken, resolve_with_system
from budflow.errors import BudflowError
from budflow.model.http import HttpRequest, HttpResponse

REDIRECTS_MAX = 10
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


class TooManyRedirects(BudflowError):
    """The server redirects without end."""

    code = "http.too_many_redirects"
    http_status = 502
    hint = "Set the request not to follow redirects and look at the `Location` it answers with."
    retriable: ClassVar[bool] = False


class TimedOut(BudflowError):
    """The response was not whole in time; the server may have carried the request out."""

    code = "http.timed_out"
    http_status = 504
    hint = "Give it more time, ask for less at once, or try again later."
    retriable: ClassVar[bool] = True


class ResponseTooLarge(BudflowError):
    """The response is larger than allowed."""

    code = "http.response_too_large"
    http_status = 502
    hint = "Raise the request's limit, or ask for less: a page, a range, fewer fields."
    retriable: ClassVar[bool] = False


class GuardedClient:
    """Sends nodes' requests over one pool of connections. It serves every project, so it remembers nothing of any."""

    def __init__(
        self, policy: AddressPolicy, *, resolve: Resolve = resolve_with_system, tls: ssl.SSLContext | None = None
    ) -> None:
        """`tls` replaces the system's certificate authorities. Nothing is opened or loaded before the first request."""
        self._policy = policy
        self._resolve = resolve
        self._tls = tls
        self._client: httpx2.AsyncClient | None = None

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send one request; every status, 500 as well, is a response.

        Raises RequestInvalid, UrlInvalid, AddressRefused, ConnectFailed, TlsFailed, ResponseBroken, ResponseTooLarge,
        TooManyRedirects and TimedOut.
        """
        client = self._opened()
        first = _outgoing(client, request)
        try:
            async with asyncio.timeout(request.timeout_seconds) as deadline:
                return await _exchange(client, first, request)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            host = first.url.host
            raise TimedOut(f"No whole response from {host} within {request.timeout_seconds:g} s", host=host) from error

    async def aclose(self) -> None:
        """Close every connection; requests still under way fail."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _opened(self) -> httpx2.AsyncClient:
        if self._client is None:
            self._client = httpx2.AsyncClient(
                transport=GuardedTransport(self._policy, self._resolve, self._tls),
                headers={"User-Agent": "budflow"},
                # The client is everybody's: a cookie kept from one project would reach another.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                timeout=None,  # One deadline over everything stands in `send`.
                trust_env=False,
            )
        return self._client


async def _exchange(client: httpx2.AsyncClient, outgoing: httpx2.Request, request: HttpRequest) -> HttpResponse:
    """Send, follow redirects, read. They are walked here because httpx2 would read their bodies without a limit."""
    for _ in range(REDIRECTS_MAX + 1):
        response = await client.send(outgoing, stream=True, auth=None, follow_redirects=False)
        try:
            if not (request.follow_redirects and response.has_redirect_location):
                body = await _read(response, request.response_bytes_max)
                return HttpResponse(
                    response.status_code, tuple(response.headers.multi_items()), body, str(outgoing.url)
                )
            outgoing = _redirected(response)
        finally:
            await response.aclose()
    raise TooManyRedirects(f"More than {REDIRECTS_MAX} redirects, the last to {outgoing.url.host}")


async def _read(response: httpx2.Response, bytes_max: int) -> bytes:
    """The decompressed body. httpx2 decompresses at most 1 MiB at a time, so a bomb is noticed before it has grown."""
    parts, size = [], 0
    try:
        async with aclosing(response.aiter_bytes()) as stream:
            async for part in stream:
                size += len(part)
                if size > bytes_max:
                    host = response.url.host
                    raise ResponseTooLarge(f"{host} answered with more than {bytes_max} bytes", bytes_max=bytes_max)
                parts.append(part)
                await asyncio.sleep(0)  # A well-compressed body yields many parts without ever waiting for the network.
    except httpx2.DecodingError as error:
        raise ResponseBroken(f"The body from {response.url.host} cannot be decompressed: {error}") from error
    return b"".join(parts)


def _outgoing(client: httpx2.AsyncClient, request: HttpRequest) -> httpx2.Request:
    """The request as httpx2 takes it, with user name and password moved from the URL into their header."""
    if not _TOKEN.fullmatch(request.method) or request.method.upper() == "CONNECT":
        raise RequestInvalid(f"{request.method!r} is not a method a workflow may send")
    url = _parsed_url(request.url)
    headers = [_encoded_header(name, value) for name, value in request.headers if name.lower() not in OWN_HEADERS]
    if url.userinfo and not any(name.lower() == b"authorization" for name, _ in headers):
        headers.append((b"Authorization", _basic(url)))
    return client.build_request(request.method, _bare(url), headers=headers, content=request.body)


def _parsed_url(text: str) -> httpx2.URL:
    """Raises RequestInvalid and UrlInvalid; neither repeats the URL, which may hold a password."""
    if _CONTROL.search(text):
        raise RequestInvalid("The URL contains a line break or another control character")
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, UnicodeError) as error:
        raise UrlInvalid("The URL cannot be read") from error
    return _sendable(url)


def _sendable(url: httpx2.URL) -> httpx2.URL:
    if url.scheme not in ("http", "https"):
        raise UrlInvalid(f"The scheme {url.scheme!r} is not http or https" if url.scheme else "The URL has no scheme")
    if not url.host:
        raise UrlInvalid("The URL names no host")
    if url.port is not None and not 0 < url.port <= PORT_MAX:
        raise UrlInvalid(f"{url.port} is not a port")
    return url


def _bare(url: httpx2.URL) -> httpx2.URL:
    return url.copy_with(username=None, password=None)


def _basic(url: httpx2.URL) -> bytes:
    """RFC 7617, in UTF-8."""
    return b"Basic " + base64.b64encode(f"{url.username}:{url.password}".encode())


def _encoded_header(name: str, value: str) -> tuple[bytes, bytes]:
    if not _TOKEN.fullmatch(name):
        raise RequestInvalid(f"{name!r} is not a header's name")
    if _CONTROL.search(value.replace("\t", " ")):
        raise RequestInvalid(f"The value of the header {name} contains a line break or another control character")
    try:
        return name.encode("ascii"), value.strip(" \t").encode("utf-8")
    except UnicodeEncodeError as error:
        raise RequestInvalid(f"The value of the header {name} is not text") from error


def _redirected(response: httpx2.Response) -> httpx2.Request:
    """The next request. httpx2 picks the method as browsers do and drops Authorization and Cookie for other origins."""
    following = response.next_request
    if following is None:
        raise UrlInvalid(f"{response.url.host} redirects to a URL that cannot be read")
    following.url = _bare(_sendable(following.url))
    if (following.url.scheme, following.url.netloc) != (response.url.scheme, response.url.netloc):
        following.headers.pop("Proxy-Authorization", None)
    return following

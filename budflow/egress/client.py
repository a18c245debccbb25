"""The guarded client: how a node's HTTP request leaves, held to the address policy, a deadline and a size."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import ClassVar

import httpx2

from budflow.egress.outgoing import Hop, UrlInvalid, bare, first_hop, origin_of, outgoing, sendable
from budflow.egress.policy import AddressPolicy
from budflow.egress.signing import Signing
from budflow.egress.transport import GuardedTransport, Resolve, ResponseBroken, resolve_with_system
from budflow.errors import BudflowError
from budflow.model.credential_kind import OpenCredential
from budflow.model.http import HttpRequest, HttpResponse
from budflow.model.identity import utc_now

REDIRECTS_MAX = 10
#: Libraries that write a line for every request, with its URL: a credential may stand in there.
TALKATIVE = ("httpx2", "httpcore2")


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
        self,
        policy: AddressPolicy,
        *,
        resolve: Resolve = resolve_with_system,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """`tls` replaces the system's certificate authorities. Nothing is opened or loaded before the first request."""
        self._policy = policy
        self._resolve = resolve
        self._tls = tls
        self._now = now
        self._client: httpx2.AsyncClient | None = None

    async def send(self, request: HttpRequest, credential: OpenCredential | None = None) -> HttpResponse:
        """Send one request; every status, 500 as well, is a response.

        With a credential it is signed, as often as it goes to the origin (scheme, host and port) of its URL; redirected
        to another one it goes on without what signing added. In the response the secrets are masked, and its `url` is
        the unsigned one. What signing adds must not be in the request already: neither a header or a parameter of the
        query of the same name, nor a user name in the URL.

        Raises RequestInvalid, UrlInvalid, AddressRefused, ConnectFailed, TlsFailed, ResponseBroken, ResponseTooLarge,
        TooManyRedirects and TimedOut; with a credential HostRefused, before anything is sent or resolved, SignedTwice,
        RedirectRefused and what the credential's kind raises. No secret stands in any of them.
        """
        hop = first_hop(request, signed=credential is not None)
        signing = None if credential is None else Signing(credential, hop, self._now)
        client = self._opened()
        try:
            async with asyncio.timeout(request.timeout_seconds) as deadline:
                return await _exchange(client, hop, signing)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            host = hop.url.host
            raise TimedOut(f"No whole response from {host} within {request.timeout_seconds:g} s", host=host) from error
        except BudflowError as error:
            if signing is not None:
                signing.mask_error(error)
                raise error from None  # The cause quotes what the server sent: it may have repeated a secret.
            raise

    async def aclose(self) -> None:
        """Close every connection; requests still under way fail."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _opened(self) -> httpx2.AsyncClient:
        if self._client is None:
            for name in TALKATIVE:
                logging.getLogger(name).setLevel(logging.WARNING)
            self._client = httpx2.AsyncClient(
                transport=GuardedTransport(self._policy, self._resolve, self._tls),
                headers={"User-Agent": "budflow"},
                # The client is everybody's: a cookie kept from one project would reach another.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                timeout=None,  # One deadline over everything stands in `send`.
                trust_env=False,
            )
        return self._client


async def _exchange(client: httpx2.AsyncClient, hop: Hop, signing: Signing | None) -> HttpResponse:
    """Send, follow redirects, read. They are walked here because httpx2 would read their bodies without a limit."""
    for _ in range(REDIRECTS_MAX + 1):
        response = await _send(client, hop if signing is None else signing.sign(hop))
        try:
            answer = None if signing is None else signing.answer(hop, response)
            if answer is not None:
                await response.aclose()
                response = await _send(client, answer)
            if not (hop.request.follow_redirects and response.has_redirect_location):
                body = await _read(response, hop.request.response_bytes_max)
                whole = HttpResponse(response.status_code, _headers_of(response), body, hop.request.url)
                return whole if signing is None else signing.mask(whole)
            hop = _next_hop(hop, response, signing)
        finally:
            await response.aclose()
    raise TooManyRedirects(f"More than {REDIRECTS_MAX} redirects, the last to {hop.url.host}")


async def _send(client: httpx2.AsyncClient, hop: Hop) -> httpx2.Response:
    return await client.send(outgoing(client, hop), stream=True, auth=None, follow_redirects=False)


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


def _headers_of(response: httpx2.Response) -> tuple[tuple[str, str], ...]:
    """With their names as they were sent: in small letters no secret that is repeated in one would be found."""
    values = (value for _, value in response.headers.multi_items())
    return tuple((name.decode("latin-1"), value) for (name, _), value in zip(response.headers.raw, values, strict=True))


def _next_hop(hop: Hop, response: httpx2.Response, signing: Signing | None) -> Hop:
    """The request that a redirect asks for, unsigned. httpx2 picks the method as browsers do and says what to drop."""
    following = response.next_request
    if following is None:
        raise UrlInvalid(f"{response.url.host} redirects to a URL that cannot be read")
    url = bare(sendable(following.url))
    if signing is not None:
        url = signing.cleared(url, response.headers["Location"])
    # Authorization and Cookie are not among them for another origin; what signing added was never in the hop.
    kept = {name.lower() for name in following.headers}
    if origin_of(url) != origin_of(response.url):
        kept -= {"host", "proxy-authorization"}
    request = replace(
        hop.request,
        method=following.method,
        url=str(url),
        headers=tuple(header for header in hop.request.headers if header[0].lower() in kept),
        body=hop.request.body if following.method == hop.request.method.upper() else None,
    )
    return Hop(request, url)

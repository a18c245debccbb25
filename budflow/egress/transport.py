"""The pool of connections behind the guarded client: it resolves names, checks the addresses and dials only those.

Checking at this place, and not on the URL, is what holds against rebinding: the address checked is the one connected
to, for the first request and for every redirect alike.
"""

import asyncio
import select
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from ipaddress import ip_address
from typing import Any, ClassVar, Protocol

import httpcore2
import httpx2

from budflow.egress.policy import AddressPolicy, AddressRefused, IpAddress
from budflow.errors import BudflowError

# A pool looks at each of its connections for every request: many small ones take a thousand at once, one would not.
POOLS = 20
POOL_CONNECTIONS_MAX = 50
# Idle connections that the first pool keeps, which alone has all the requests of quieter times; and each of the others.
FIRST_IDLE_MAX = 50
OTHER_IDLE_MAX = 3
# Less than the 5 s after which uvicorn, Node.js and Apache close: a request that meets the close on its way is lost.
IDLE_SECONDS_MAX = 4.0
# With several addresses, how long one may stay silent before the next is tried: a broken IPv6 route is the usual case.
ATTEMPT_SECONDS_MAX = 5.0


class ConnectFailed(BudflowError):
    """No connection could be made; nothing was sent."""

    code = "http.connect_failed"
    http_status = 502
    hint = "Check host and port, and that the server runs and can be reached from here."
    retriable: ClassVar[bool] = True


class TlsFailed(BudflowError):
    """The server's certificate was not accepted; nothing was sent."""

    code = "http.tls_failed"
    http_status = 502
    hint = "The certificate must be valid for the host in the URL and signed by an authority this machine trusts."
    retriable: ClassVar[bool] = False


class RequestInvalid(BudflowError):
    """The request cannot be sent as HTTP."""

    code = "http.request_invalid"
    http_status = 422
    hint = "Look for line breaks and control characters in method, URL and headers."
    retriable: ClassVar[bool] = False


class ResponseBroken(BudflowError):
    """The server did not send a whole and valid HTTP response; it may have carried the request out."""

    code = "http.response_broken"
    http_status = 502
    hint = "Check that the port speaks HTTP (or HTTPS, as the URL says); otherwise it may pass when tried again."
    retriable: ClassVar[bool] = True


class Resolve(Protocol):
    """Finds the addresses of a host, best first. Raises OSError when there is none."""

    async def __call__(self, host: str, port: int) -> Sequence[IpAddress]: ...


async def resolve_with_system(host: str, port: int) -> Sequence[IpAddress]:
    """The system's resolver, which also reads odd spellings of addresses (127.1, 0x7f000001) as it always would."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(ip_address(sockaddr[0]) for *_, sockaddr in found))


async def checked_addresses(policy: AddressPolicy, resolve: Resolve, host: str, port: int) -> Sequence[IpAddress]:
    """The addresses of a host that a connection may be opened to: connect to these, and never by the name again.

    Raises AddressRefused if any one address is refused: a name that leads inside and outside is an attack, or a
    mistake that would strike at random. Raises ConnectFailed where there is none.
    """
    try:
        addresses = await resolve(host, port)
    except (OSError, UnicodeError) as error:  # UnicodeError: a label of the name is empty or too long.
        reason = getattr(error, "strerror", None) or str(error)
        raise ConnectFailed(f"The name {host!r} could not be resolved: {reason}", host=host, port=port) from error
    if not addresses:
        raise ConnectFailed(f"The name {host!r} has no address", host=host, port=port)
    for address in addresses:
        policy.check(host, port, address)
    return addresses


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections to addresses that the policy allows, and to nothing else."""

    def __init__(self, policy: AddressPolicy, resolve: Resolve) -> None:
        self._policy = policy
        self._resolve = resolve
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 the signature is httpcore2's; the client sets one deadline for all
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Resolve, check every address, connect to the first that answers.

        Raises AddressRefused if any one address is refused, and ConnectFailed.
        """
        addresses = await checked_addresses(self._policy, self._resolve, host, port)
        failures = []
        for left, address in zip(range(len(addresses) - 1, -1, -1), addresses, strict=True):
            patience = ATTEMPT_SECONDS_MAX if left else timeout
            try:
                stream = await self._inner.connect_tcp(str(address), port, patience, local_address, socket_options)
                return _TcpStream(stream)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failures.append(f"{address}: {_reason(error)}")
        raise ConnectFailed(f"No connection to {host}:{port} ({'; '.join(failures)})", host=host, port=port)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 the signature is httpcore2's
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Raise AddressRefused: a Unix socket belongs to this machine."""
        raise AddressRefused("Workflows may not reach Unix sockets", hint="Use an address of http:// or https://.")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _TcpStream(httpcore2.AsyncNetworkStream):
    """A connection that does not outlive a handshake cut short: httpcore2 closes it on errors, not on cancellation.

    It says itself whether something has come in, which the pool asks all idle connections, twice for each request:
    httpcore2's own answer makes two system calls more, and takes ten times as long.
    """

    def __init__(self, inner: httpcore2.AsyncNetworkStream) -> None:
        self._inner = inner
        self._socket = inner.get_extra_info("socket")
        self._incoming = select.poll()
        self._incoming.register(self._socket, select.POLLIN)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 the signature is httpcore2's
    ) -> httpcore2.AsyncNetworkStream:
        try:
            return _TcpStream(await self._inner.start_tls(ssl_context, server_hostname, timeout))
        except asyncio.CancelledError:
            await self._inner.aclose()
            raise

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 as above
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 as above
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        if info != "is_readable":
            return self._inner.get_extra_info(info)
        # One that was closed has no descriptor any more; its number may already be another connection's.
        return self._socket.fileno() < 0 or bool(self._incoming.poll(0))


class GuardedTransport(httpx2.AsyncBaseTransport):
    """httpx2's way into the pools, HTTP/1.1 only; what goes wrong comes out as the errors of this module."""

    def __init__(self, policy: AddressPolicy, resolve: Resolve, tls: ssl.SSLContext | None) -> None:
        tls = tls or httpx2.create_ssl_context(trust_env=False)
        backend = GuardedBackend(policy, resolve)
        self._pools = [
            _Pool(tls, backend, idle_max=OTHER_IDLE_MAX if number else FIRST_IDLE_MAX) for number in range(POOLS)
        ]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request, follow nothing. Raises the errors of this module and AddressRefused."""
        host = request.url.host
        outgoing = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        # The first with room, so that connections are used again; where none has any, the wait is shared out.
        pool = next((one for one in self._pools if one.requests < POOL_CONNECTIONS_MAX), None)
        pool = pool or min(self._pools, key=lambda one: one.requests)
        with _own_errors(host):
            response = await pool.send(outgoing)
        return httpx2.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_ResponseStream(response, pool, host),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in self._pools:
            await pool.connections.aclose()


class _Pool:
    """Some of the connections; `requests` of it are under way or wait for one of them."""

    def __init__(self, tls: ssl.SSLContext, backend: httpcore2.AsyncNetworkBackend, *, idle_max: int) -> None:
        self.requests = 0
        self.connections = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=POOL_CONNECTIONS_MAX,
            max_keepalive_connections=idle_max,
            keepalive_expiry=IDLE_SECONDS_MAX,
            http1=True,
            http2=False,
            network_backend=backend,
        )

    async def send(self, request: httpcore2.Request) -> httpcore2.Response:
        """Send a request, which is over when `release` is called for its response."""
        self.requests += 1
        try:
            return await self.connections.handle_async_request(request)
        except BaseException:
            self.requests -= 1
            raise

    async def release(self, response: httpcore2.Response) -> None:
        """Give the response's connection back."""
        self.requests -= 1
        await response.aclose()


class _ResponseStream(httpx2.AsyncByteStream):
    def __init__(self, response: httpcore2.Response, pool: _Pool, host: str) -> None:
        self._response = response
        self._pool: _Pool | None = pool
        self._host = host

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _own_errors(self._host):
            async with aclosing(self._response.aiter_stream()) as stream:
                async for part in stream:
                    yield part

    async def aclose(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.release(self._response)


@contextmanager
def _own_errors(host: str) -> Iterator[None]:
    """Translate httpcore2's exceptions. What connecting raises passes through: the backend has translated it."""
    try:
        yield
    except httpcore2.LocalProtocolError:
        # Without the cause: h11 quotes the value of a header, and a secret may be one.
        raise RequestInvalid(f"The request to {host} is not valid HTTP", host=host) from None
    except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:  # The handshake: the backend did the rest.
        # The pool cuts the chain of causes, so what happened is found in the arguments alone.
        if error.args and isinstance(error.args[0], ssl.SSLCertVerificationError):
            raise TlsFailed(f"The certificate of {host} was refused: {error.args[0].verify_message}") from error
        raise ConnectFailed(f"No TLS connection to {host}: {_reason(error)}", host=host) from error
    except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError) as error:
        raise ResponseBroken(f"No whole response came from {host}: {_reason(error)}", host=host) from error


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__

"""The proxy on a real Unix socket, in front of a real server on loopback."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from budflow.egress.policy import AddressPolicy, IpAddress, parse_allow
from budflow.egress.transport import checked_addresses
from budflow.sandbox.egress.proxy import Egress, EgressConnection, EgressLimits, EgressSocket
from tests.until import until

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
DEADLINE_SECONDS = 10
LIMITS = EgressLimits()


class Names:
    """A resolver whose answers for a name are these, one after the other; the last one stays."""

    def __init__(self, **answers: Sequence[str]) -> None:
        self.answers = {name.replace("_", "."): list(texts) for name, texts in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[IpAddress]:
        self.asked.append(host)
        found = self.answers.get(host)
        if found is None:
            try:
                return [ip_address(host)]
            except ValueError:
                raise OSError("no such name") from None
        return [ip_address(found.pop(0) if len(found) > 1 else found[0])]


class Upstream:
    """A server on loopback that keeps what each connection sent."""

    def __init__(self, handle: Handle | None) -> None:
        self.got: list[bytes] = []
        self.port = 0
        self._handle = handle

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._handle is not None:
                await self._handle(reader, writer)
            else:
                self.got.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def upstream(handle: Handle | None = None) -> AsyncIterator[Upstream]:
    made = Upstream(handle)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


class Proxy:
    """The proxy, and what it told of connections."""

    def __init__(self, directory: Path, names: Names, allow: Sequence[str], limits: EgressLimits) -> None:
        self.told: list[EgressConnection] = []
        self.names = names
        self.path = directory / "egress.sock"
        addresses = partial(checked_addresses, AddressPolicy(parse_allow(allow)), names)
        self.egress = Egress(addresses, limits, self.told.append)
        self.served: EgressSocket | None = None

    async def ask(self, text: str | bytes, *, then: bytes = b"") -> bytes:
        """All that comes back."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            reader, writer = await asyncio.open_unix_connection(self.path)
            try:
                writer.write((text.encode() if isinstance(text, str) else text) + then)
                return await reader.read()
            finally:
                writer.close()

    async def last(self, count: int = 1) -> EgressConnection:
        await until(lambda: len(self.told) >= count)
        return self.told[-1]


@pytest.fixture
async def open_proxy() -> AsyncIterator[Callable[..., Awaitable[Proxy]]]:
    directory = Path(tempfile.mkdtemp(prefix="budflow-"))
    opened: list[Proxy] = []

    async def make(*hosts: str, names: Names, allow: Sequence[str] = (), limits: EgressLimits = LIMITS) -> Proxy:
        proxy = Proxy(directory, names, allow, limits)
        proxy.served = await proxy.egress.serve(proxy.path, hosts, "a/task")
        opened.append(proxy)
        return proxy

    yield make
    for proxy in opened:
        assert proxy.served is not None
        await proxy.served.close()
    shutil.rmtree(directory)


OpenProxy = Callable[..., Awaitable[Proxy]]


async def test_a_named_host_is_reached_and_the_connection_is_told(open_proxy: OpenProxy) -> None:
    async with upstream() as server:
        proxy = await open_proxy(
            f"http://api.example:{server.port}", names=Names(api_example=["127.0.0.1"]), allow=["api.example"]
        )

        answer = await proxy.ask(f"GET http://api.example:{server.port}/x HTTP/1.1\r\nAccept: */*\r\n\r\n")

        assert answer == ANSWER
        assert server.got[0].startswith(f"GET /x HTTP/1.1\r\nHost: api.example:{server.port}\r\n".encode())
        told = await proxy.last()
        assert (told.name, told.host, told.port) == ("a/task", "api.example", server.port)
        assert (told.address, told.outcome, told.received_bytes) == ("127.0.0.1", "closed", len(ANSWER))


async def test_a_tunnel_carries_both_ways_until_both_are_at_their_end(open_proxy: OpenProxy) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        await writer.drain()

    async with upstream(echo) as server:
        proxy = await open_proxy(f"a.example:{server.port}", names=Names(a_example=["127.0.0.1"]), allow=["a.example"])
        reader, writer = await asyncio.open_unix_connection(proxy.path)
        writer.write(f"CONNECT a.example:{server.port} HTTP/1.1\r\n\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        writer.write(b"x" * 300_000)
        writer.write_eof()

        assert await reader.read() == b"X" * 300_000
        writer.close()
        told = await proxy.last()
        assert (told.outcome, told.sent_bytes, told.received_bytes) == ("closed", 300_000, 300_000)


@pytest.mark.parametrize("request_line", ["CONNECT other.example:443", "GET http://other.example/"])
async def test_another_host_is_refused_and_never_looked_up(open_proxy: OpenProxy, request_line: str) -> None:
    proxy = await open_proxy("api.example", names=Names(other_example=["127.0.0.1"]))

    answer = await proxy.ask(f"{request_line} HTTP/1.1\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"Add `other.example` to the node's `network`." in answer
    assert proxy.names.asked == []
    assert (await proxy.last()).outcome == "refused"


INSIDE = (
    *("127.0.0.1", "169.254.169.254", "10.0.0.1", "192.168.1.1", "100.100.100.200", "0.0.0.0", "224.0.0.1"),
    *("168.63.129.16", "::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"),
)


@pytest.mark.parametrize("address", INSIDE)
async def test_a_named_host_that_leads_inside_is_refused(open_proxy: OpenProxy, address: str) -> None:
    proxy = await open_proxy("api.example", names=Names(api_example=[address]))

    answer = await proxy.ask("CONNECT api.example:443 HTTP/1.1\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"not a public address" in answer
    assert (await proxy.last()).address == ""


@pytest.mark.parametrize("host", ["localhost", "169.254.169.254", "metadata.google.internal", "[::1]", "127.0.0.1"])
async def test_whoever_may_reach_every_host_still_reaches_none_inside(open_proxy: OpenProxy, host: str) -> None:
    inside = Names(localhost=["127.0.0.1"], metadata_google_internal=["169.254.169.254"])
    proxy = await open_proxy("*", names=inside)

    for request in (f"CONNECT {host}:80 HTTP/1.1\r\n\r\n", f"GET http://{host}/ HTTP/1.1\r\n\r\n"):
        assert (await proxy.ask(request)).startswith(b"HTTP/1.1 403 ")


async def test_a_name_is_looked_up_once_and_the_checked_address_is_the_one_connected_to(open_proxy: OpenProxy) -> None:
    """DNS rebinding: a public address when it is checked, an inner one a moment later."""
    async with upstream() as server:
        names = Names(rebinding_example=["93.184.216.34", "127.0.0.1"])
        limits = EgressLimits(connect_seconds=0.2)
        proxy = await open_proxy(f"rebinding.example:{server.port}", names=names, limits=limits)

        answer = await proxy.ask(f"CONNECT rebinding.example:{server.port} HTTP/1.1\r\n\r\n")

        assert answer.split()[1] in {b"502", b"504"}, "What was checked cannot be reached from here."
        assert (await proxy.last()).address == "93.184.216.34"
        assert names.asked == ["rebinding.example"]
        assert server.got == []
        again = await proxy.ask(f"CONNECT rebinding.example:{server.port} HTTP/1.1\r\n\r\n")
        assert again.startswith(b"HTTP/1.1 403 "), "The inner address is checked when it is what the name leads to."


async def test_a_name_that_leads_inside_and_outside_is_refused_whole(open_proxy: OpenProxy) -> None:
    async def both(host: str, port: int) -> Sequence[IpAddress]:
        return [IPv4Address("93.184.216.34"), IPv6Address("::1")]

    proxy = await open_proxy("api.example", names=both)

    assert (await proxy.ask("CONNECT api.example:443 HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 403 ")


async def test_a_name_that_there_is_not_is_told(open_proxy: OpenProxy) -> None:
    proxy = await open_proxy("nothing.example", names=Names())

    answer = await proxy.ask("CONNECT nothing.example:443 HTTP/1.1\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 502 ")
    assert (await proxy.last()).outcome == "failed"


async def test_only_one_request_passes_on_a_connection(open_proxy: OpenProxy) -> None:
    """What is behind the body could be a request that the proxy never saw."""
    seen = asyncio.Event()
    got = bytearray()

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.extend(await reader.readuntil(b"\r\n\r\n"))
        got.extend(await reader.readexactly(4))
        try:
            async with asyncio.timeout(0.1):
                got.extend(await reader.read())
        except TimeoutError:
            seen.set()
        writer.write(ANSWER)
        await writer.drain()

    async with upstream(keep) as server:
        host = f"a.example:{server.port}"
        proxy = await open_proxy(f"http://{host}", names=Names(a_example=["127.0.0.1"]), allow=["a.example"])
        smuggled = f"GET http://{host}/hidden HTTP/1.1\r\nHost: inner.example\r\n\r\n".encode()

        request = f"POST http://{host}/ HTTP/1.1\r\nContent-Length: 4\r\n\r\n"
        assert await proxy.ask(request, then=b"body" + smuggled) == ANSWER

        assert seen.is_set()
        assert bytes(got).endswith(b"\r\n\r\nbody")


async def test_a_head_that_never_ends_or_comes_too_slowly_is_ended(open_proxy: OpenProxy) -> None:
    limits = EgressLimits(head_seconds=0.05, head_bytes=1_000)
    proxy = await open_proxy("api.example", names=Names(), limits=limits)

    assert (await proxy.ask("GET http://api.example/ HTTP/1.1\r\nX: y\r\n")).startswith(b"HTTP/1.1 408 ")
    endless = "GET http://api.example/ HTTP/1.1\r\n" + "X: y\r\n" * 1_000
    assert (await proxy.ask(endless)).startswith(b"HTTP/1.1 431 ")


async def test_more_connections_than_it_may_have_are_refused_and_closed_ones_do_not_count(
    open_proxy: OpenProxy,
) -> None:
    proxy = await open_proxy("api.example", names=Names(), limits=EgressLimits(connections=2))
    held = [await asyncio.open_unix_connection(proxy.path) for _ in range(2)]

    assert (await proxy.ask("CONNECT x.example:443 HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 503 ")

    for _, writer in held:
        writer.close()
    await proxy.last(3)
    assert (await proxy.ask("CONNECT x.example:443 HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 403 ")


async def test_connections_without_end_are_no_longer_answered_until_the_next_task(open_proxy: OpenProxy) -> None:
    proxy = await open_proxy("api.example", names=Names(), limits=EgressLimits(total_connections=3))
    request = "CONNECT x.example:443 HTTP/1.1\r\n\r\n"

    for _ in range(3):
        assert (await proxy.ask(request)).startswith(b"HTTP/1.1 403 ")
    with contextlib.suppress(ConnectionError):
        assert await proxy.ask(request) == b""
    await proxy.last(3)

    assert len(proxy.told) == 3
    assert proxy.served is not None
    await proxy.served.allow(["api.example"], "another/task")
    assert (await proxy.ask(request)).startswith(b"HTTP/1.1 403 ")


async def test_a_connection_on_which_nothing_moves_is_ended(open_proxy: OpenProxy) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with upstream(silent) as server:
        limits = EgressLimits(idle_seconds=0.05)
        names = Names(a_example=["127.0.0.1"])
        proxy = await open_proxy(f"a.example:{server.port}", names=names, allow=["a.example"], limits=limits)

        await proxy.ask(f"CONNECT a.example:{server.port} HTTP/1.1\r\n\r\n")

        assert (await proxy.last()).outcome == "idle"


async def test_more_bytes_than_it_may_transfer_are_cut_off(open_proxy: OpenProxy) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * 10_000)
            await writer.drain()

    async with upstream(endless) as server:
        names = Names(a_example=["127.0.0.1"])
        limits = EgressLimits(total_bytes=1_000_000)
        proxy = await open_proxy(f"a.example:{server.port}", names=names, allow=["a.example"], limits=limits)
        request = f"CONNECT a.example:{server.port} HTTP/1.1\r\n\r\n"

        assert len(await proxy.ask(request)) <= 1_000_100
        assert (await proxy.last()).outcome == "cut"
        assert (await proxy.ask(request)).startswith(b"HTTP/1.1 403 ")


async def test_the_next_task_has_other_hosts_and_the_connections_of_the_last_one_are_cut(
    open_proxy: OpenProxy,
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with upstream(silent) as server:
        names = Names(a_example=["127.0.0.1"])
        proxy = await open_proxy(f"a.example:{server.port}", names=names, allow=["a.example"])
        reader, writer = await asyncio.open_unix_connection(proxy.path)
        writer.write(f"CONNECT a.example:{server.port} HTTP/1.1\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        assert proxy.served is not None

        await proxy.served.allow(["b.example"], "another/task")

        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await reader.read() == b""
        writer.close()
        assert (await proxy.last()).outcome == "cut"
        again = await proxy.ask(f"CONNECT a.example:{server.port} HTTP/1.1\r\n\r\n")
        assert again.startswith(b"HTTP/1.1 403 ")
        assert (await proxy.last(2)).name == "another/task"


async def test_a_closed_way_out_is_gone(open_proxy: OpenProxy) -> None:
    proxy = await open_proxy("api.example", names=Names())
    assert proxy.served is not None

    await proxy.served.close()
    await proxy.served.close()

    assert not proxy.path.exists()


async def test_garbage_ends_in_an_answer_or_a_close_and_nothing_else(open_proxy: OpenProxy) -> None:
    proxy = await open_proxy("api.example", names=Names())

    for garbage in (
        b"\0" * 100,
        b"\x16\x03\x01" + b"\xff" * 500 + b"\r\n\r\n",
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"\n\n\r\n\r\n",
    ):
        reader, writer = await asyncio.open_unix_connection(proxy.path)
        writer.write(garbage)
        writer.write_eof()
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert (await reader.read()).startswith((b"HTTP/1.1 400 ", b""))
        writer.close()
    assert (await proxy.ask("CONNECT x.example:443 HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 403 ")

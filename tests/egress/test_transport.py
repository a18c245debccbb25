"""The transport: every address a name leads to is checked, and the one checked is the one connected to."""

import asyncio
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from types import SimpleNamespace

import pytest
from httpcore2._async import http11

from budflow.egress.client import TimedOut
from budflow.egress.policy import AddressPolicy, AddressRefused, IpAddress, parse_allow
from budflow.egress.transport import ConnectFailed, GuardedBackend, TlsFailed, resolve_with_system
from tests.egress.conftest import MakeClient
from tests.egress.loopback import Asked, Loopback, redirect, reply, serving
from tests.egress.test_client import request


class FakeNames:
    """A resolver whose answers change from one question to the next, the last one staying."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[IpAddress]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return tuple(ip_address(text) for text in answer)


async def test_a_name_that_leads_inside_is_refused(make_client: MakeClient, server: Loopback) -> None:
    client = make_client(resolve=FakeNames(["127.0.0.1"]))
    with pytest.raises(AddressRefused) as refused:
        await client.send(request(f"http://harmless.example:{server.port}/"))
    assert refused.value.details["address"] == "127.0.0.1"
    assert server.connections == 0


async def test_a_name_that_leads_outside_and_inside_is_refused(make_client: MakeClient, server: Loopback) -> None:
    for answer in (["127.0.0.1", "93.184.215.14"], ["93.184.215.14", "127.0.0.1"], ["93.184.215.14", "::1"]):
        with pytest.raises(AddressRefused):
            await make_client(resolve=FakeNames(answer)).send(request(f"http://two-faced.example:{server.port}/"))
    assert server.connections == 0


async def test_a_name_rebound_between_redirects_is_refused(
    make_client: MakeClient, server: Loopback, other: Loopback
) -> None:
    """The name is allowed at one port only; asked for again at another it is judged again, by its new address."""
    names = FakeNames(["127.0.0.1"], ["127.0.0.2"])
    client = make_client(f"127.0.0.1:{server.port}", resolve=names)
    server.answers["/"] = redirect(302, f"http://rebinding.example:{other.port}/")

    with pytest.raises(AddressRefused):
        await client.send(request(f"http://rebinding.example:{server.port}/"))

    assert names.asked == ["rebinding.example", "rebinding.example"]
    assert other.connections == 0


async def test_a_name_is_resolved_once_a_connection(make_client: MakeClient, server: Loopback) -> None:
    """What was checked is what is dialled: a second look-up in between would be the hole that rebinding needs."""
    names = FakeNames(["127.0.0.1"], ["169.254.169.254"])
    server.answers["/"] = reply(200)

    await make_client("127.0.0.1", resolve=names).send(request(f"http://once.example:{server.port}/"))

    assert names.asked == ["once.example"]
    assert server.asked[0].header("Host") == f"once.example:{server.port}"


async def test_the_next_address_is_tried_when_one_does_not_answer(make_client: MakeClient, server: Loopback) -> None:
    server.answers["/"] = reply(200, b"second")
    client = make_client("127.0.0.0/8", resolve=FakeNames(["127.0.0.9", "127.0.0.1"]))
    assert (await client.send(request(f"http://two.example:{server.port}/"))).body == b"second"


async def test_what_failed_is_told(make_client: MakeClient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # Bound and not listening: nobody else takes the port, nobody answers.
        port = unused.getsockname()[1]
        with pytest.raises(ConnectFailed) as failed:
            await make_client("127.0.0.1").send(request(f"http://127.0.0.1:{port}/"))
    assert (failed.value.code, failed.value.retriable) == ("http.connect_failed", True)
    assert f"127.0.0.1:{port}" in failed.value.message


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 64 + ".example", "%31"])
async def test_a_name_that_cannot_be_resolved_fails_to_connect(make_client: MakeClient, host: str) -> None:
    with pytest.raises(ConnectFailed) as failed:
        await make_client().send(request(f"http://{host}/"))
    assert "resolved" in failed.value.message


async def test_a_name_without_addresses_fails_to_connect(make_client: MakeClient) -> None:
    with pytest.raises(ConnectFailed):
        await make_client(resolve=FakeNames([])).send(request("http://empty.example/"))


async def test_unix_sockets_are_refused(tmp_path: Path) -> None:
    backend = GuardedBackend(AddressPolicy(parse_allow(["0.0.0.0/0"])), resolve_with_system)
    with pytest.raises(AddressRefused):
        await backend.connect_unix_socket(str(tmp_path / "docker.sock"))


async def test_the_system_resolves_each_address_once() -> None:
    assert set(await resolve_with_system("localhost", 80)) <= {IPv4Address("127.0.0.1"), IPv6Address("::1")}
    assert list(await resolve_with_system("127.1", 80)) == [IPv4Address("127.0.0.1")]


async def test_tls_verifies_the_name_in_the_url_and_not_the_address(make_client: MakeClient, certificate: Path) -> None:
    serving_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving_tls.load_cert_chain(certificate)
    asked_for: list[str | None] = []
    serving_tls.sni_callback = lambda _socket, name, _context: asked_for.append(name)
    trusting = ssl.create_default_context(cafile=str(certificate))
    client = make_client("127.0.0.1", resolve=FakeNames(["127.0.0.1"]), tls=trusting)

    async with serving(serving_tls) as server:
        server.answers["/"] = reply(200, b"private")
        assert (await client.send(request(f"https://api.example:{server.port}/"))).body == b"private"
        with pytest.raises(TlsFailed) as failed:
            await client.send(request(f"https://other.example:{server.port}/"))
        assert (failed.value.code, failed.value.retriable) == ("http.tls_failed", False)
        with pytest.raises(TlsFailed):
            await make_client("127.0.0.1", resolve=FakeNames(["127.0.0.1"])).send(
                request(f"https://api.example:{server.port}/")
            )
    assert asked_for == ["api.example", "other.example", "api.example"]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_connection_is_used_again_unless_its_server_has_closed_it(
    make_client: MakeClient, certificate: Path, scheme: str
) -> None:
    async def close(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(200, b"the last"))
        await writer.drain()
        if scheme == "https":
            writer.transport.abort()  # A farewell of TLS would wait for an answer from the idle connection.
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    tls = None
    if scheme == "https":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    client = make_client("127.0.0.1", resolve=FakeNames(["127.0.0.1"]), tls=trusting)

    async with serving(tls) as server:
        server.answers |= {"/open": reply(200), "/close": close}
        origin = f"{scheme}://api.example:{server.port}"
        for path in ("/open", "/open", "/close"):
            await client.send(request(origin + path))
        assert server.connections == 1
        await server.all_closed()
        # A request that writes is not sent again: a connection that is gone must be known before.
        assert (await client.send(request(f"{origin}/open", method="POST"))).status == 200
        assert server.connections == 2


async def test_a_connection_is_not_used_again_when_its_server_may_be_about_to_close_it(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uvicorn, Node.js and Apache close what was idle for 5 s: a request that is on its way then is lost."""
    later = 0.0
    monkeypatch.setattr(http11, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + later))
    client = make_client("127.0.0.1", resolve=FakeNames(["127.0.0.1"]))

    async with serving() as server:
        server.answers |= {"/open": reply(200)}
        url = f"http://api.example:{server.port}/open"
        await client.send(request(url))
        later += 2
        await client.send(request(url))
        assert server.connections == 1
        later += 4.5
        await client.send(request(url))
        assert server.connections == 2


async def test_https_to_a_plain_server_fails_to_connect(make_client: MakeClient) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectFailed):
            await make_client("127.0.0.1").send(request(f"https://127.0.0.1:{port}/"))


async def test_a_handshake_that_never_ends_is_closed_at_the_deadline(make_client: MakeClient) -> None:
    closed = asyncio.Event()

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        closed.set()

    async with await asyncio.start_server(swallow, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TimedOut):
            await make_client("127.0.0.1").send(request(f"https://127.0.0.1:{port}/", timeout_seconds=0.1))
        await asyncio.wait_for(closed.wait(), 10)

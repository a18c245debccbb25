"""The guarded client against real servers on loopback: where it goes, what it sends, what it puts up with."""

import asyncio
import gzip
import zlib
from typing import Any

import pytest

from budflow.egress.client import (
    REDIRECTS_MAX,
    GuardedClient,
    ResponseTooLarge,
    TimedOut,
    TooManyRedirects,
)
from budflow.egress.outgoing import UrlInvalid
from budflow.egress.policy import AddressRefused
from budflow.egress.transport import ConnectFailed, RequestInvalid, ResponseBroken
from budflow.errors import BudflowError
from budflow.model.http import HttpRequest
from tests.egress.conftest import MakeClient
from tests.egress.loopback import Asked, Loopback, redirect, reply

MEBIBYTE = 1024 * 1024


def request(url: str, **changes: Any) -> HttpRequest:
    given: dict[str, Any] = {
        "method": "GET",
        "headers": (),
        "body": None,
        "timeout_seconds": 20.0,
        "follow_redirects": True,
        "response_bytes_max": MEBIBYTE,
    }
    return HttpRequest(url=url, **(given | changes))


async def test_a_request_goes_out_and_its_response_comes_back(client: GuardedClient, server: Loopback) -> None:
    server.answers["/orders"] = reply(201, b"made", "X-Id: 1", "X-Id: 2")

    sent = request(f"{server.origin}/orders?a=1&a=2", method="POST", headers=(("X-A", "1"), ("X-A", "2")), body=b"{}")
    response = await client.send(sent)

    assert (response.status, response.body, response.url) == (201, b"made", f"{server.origin}/orders?a=1&a=2")
    assert [value for name, value in response.headers if name.lower() == "x-id"] == ["1", "2"]
    [asked] = server.asked
    assert (asked.method, asked.target, asked.body) == ("POST", "/orders?a=1&a=2", b"{}")
    assert [value for name, value in asked.headers if name == "X-A"] == ["1", "2"]
    assert asked.header("Host") == f"127.0.0.1:{server.port}"
    assert asked.header("User-Agent") == "budflow"


async def test_an_error_status_is_a_response(client: GuardedClient, server: Loopback) -> None:
    server.answers["/"] = reply(500, b"oh")
    assert (await client.send(request(server.origin))).status == 500


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.1",
        "127。0。0。1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "0.0.0.0",
        "0",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "[64:ff9b::7f00:1]",
        "[fe80::1%25lo]",
        "0177.0.0.1",
        "%31%32%37.0.0.1",
        "①②⑦.0.0.1",
    ],
)
async def test_no_spelling_of_an_address_gets_inside(make_client: MakeClient, server: Loopback, host: str) -> None:
    client = make_client()
    with pytest.raises((AddressRefused, ConnectFailed, UrlInvalid)):
        await client.send(request(f"http://{host}:{server.port}/"))
    assert server.connections == 0


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "169.254.169.254", "[::ffff:7f00:1]"])
async def test_a_spelling_the_system_understands_is_judged_by_its_address(make_client: MakeClient, host: str) -> None:
    with pytest.raises(AddressRefused):
        await make_client().send(request(f"http://{host}/"))


async def test_a_rule_for_one_port_opens_no_other(client: GuardedClient, other: Loopback) -> None:
    with pytest.raises(AddressRefused) as refused:
        await client.send(request(other.origin))
    assert str(other.port) in refused.value.message
    assert other.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_a_refused_address_is_not_followed(
    client: GuardedClient, server: Loopback, other: Loopback, status: int
) -> None:
    server.answers["/"] = redirect(status, f"{other.origin}/secret")
    with pytest.raises(AddressRefused):
        await client.send(request(server.origin))
    assert other.connections == 0


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/latest/meta-data/", "//169.254.169.254/", "http://[::1]/"]
)
async def test_a_redirect_to_a_metadata_service_is_refused(
    client: GuardedClient, server: Loopback, location: str
) -> None:
    server.answers["/"] = redirect(302, location)
    with pytest.raises(AddressRefused):
        await client.send(request(server.origin))


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://example.com/", "gopher://127.0.0.1/", "http://[::g]/"]
)
async def test_a_redirect_to_anything_but_http_is_an_error(
    client: GuardedClient, server: Loopback, location: str
) -> None:
    server.answers["/"] = redirect(302, location)
    with pytest.raises(UrlInvalid):
        await client.send(request(server.origin))


async def test_a_redirect_is_an_ordinary_response_when_not_to_be_followed(
    client: GuardedClient, server: Loopback
) -> None:
    server.answers["/"] = redirect(302, "http://169.254.169.254/")
    response = await client.send(request(server.origin, follow_redirects=False))
    assert (response.status, response.body) == (302, b"moved")


async def test_redirects_are_followed_and_the_last_url_is_told(client: GuardedClient, server: Loopback) -> None:
    server.answers |= {"/a": redirect(307, "/b"), "/b": redirect(303, "/c"), "/c": reply(200, b"here")}

    response = await client.send(request(f"{server.origin}/a", method="POST", body=b"x"))

    assert (response.body, response.url) == (b"here", f"{server.origin}/c")
    assert [(asked.method, asked.body) for asked in server.asked] == [("POST", b"x"), ("POST", b"x"), ("GET", b"")]


async def test_redirects_without_end_are_an_error(client: GuardedClient, server: Loopback) -> None:
    server.answers["/"] = redirect(302, "/")
    with pytest.raises(TooManyRedirects):
        await client.send(request(server.origin))
    assert len(server.asked) == REDIRECTS_MAX + 1


async def test_the_endless_body_of_a_redirect_is_not_read(client: GuardedClient, server: Loopback) -> None:
    async def endless(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 X\r\nLocation: /end\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        await server.released.wait()

    server.answers |= {"/": endless, "/end": reply(200, b"end")}
    assert (await client.send(request(server.origin))).body == b"end"


SECRETS = (("Authorization", "Bearer s"), ("Cookie", "sid=s"), ("Proxy-Authorization", "Basic s"))


async def test_secrets_do_not_follow_to_another_origin(
    make_client: MakeClient, server: Loopback, other: Loopback
) -> None:
    client = make_client("127.0.0.1")
    server.answers["/"] = redirect(302, f"{other.origin}/there")
    other.answers["/there"] = reply(200)

    await client.send(request(server.origin, headers=(*SECRETS, ("X-Trace", "t"))))

    [asked] = other.asked
    assert [name for name, _ in SECRETS if asked.header(name)] == []
    assert asked.header("X-Trace") == "t"
    assert asked.header("Host") == f"127.0.0.1:{other.port}"


async def test_authorization_stays_within_its_origin(client: GuardedClient, server: Loopback) -> None:
    server.answers |= {"/": redirect(302, "/there"), "/there": reply(200)}
    await client.send(request(server.origin, headers=SECRETS))
    assert [asked.header("Authorization") for asked in server.asked] == ["Bearer s", "Bearer s"]


async def test_cookies_are_not_kept_from_one_request_to_the_next(client: GuardedClient, server: Loopback) -> None:
    server.answers |= {"/in": reply(200, b"", "Set-Cookie: sid=1; Path=/"), "/": reply(200)}
    await client.send(request(f"{server.origin}/in"))
    await client.send(request(server.origin))
    assert server.asked[1].header("Cookie") is None


async def test_user_and_password_in_the_url_become_a_header_and_nothing_else(
    client: GuardedClient, server: Loopback
) -> None:
    server.answers["/"] = reply(200)
    response = await client.send(request(f"http://me:p%40ss@127.0.0.1:{server.port}/"))
    assert server.asked[0].header("Authorization") == "Basic bWU6cEBzcw=="
    assert "p%40ss" not in response.url


@pytest.mark.parametrize(
    "url",
    [
        "http://me:hunter2@169.254.169.254/",
        "http://me:hunter2@127.0.0.1:1/",
        "http://me:hunter2@no-such-host.invalid/",
        "http://me:hunter2@127.0.0.1:99999/",
        "http://me:hunter2@[/",
        "http://me:hunter2\n@x/",
        "ftp://me:hunter2@x/",
        "me:hunter2@x",
    ],
)
async def test_no_error_repeats_a_password(make_client: MakeClient, url: str) -> None:
    with pytest.raises(BudflowError) as failed:
        await make_client("127.0.0.1").send(request(url))
    assert "hunter2" not in f"{failed.value.message} {failed.value.hint} {failed.value.details}"


@pytest.mark.parametrize(
    "url",
    ["", "/path", "example.com", "ftp://x/", "file:///etc/passwd", "ws://x/", "http://", "http:///x", "http://x:0/"],
)
async def test_a_url_that_is_not_http_is_invalid(client: GuardedClient, url: str) -> None:
    with pytest.raises(UrlInvalid) as invalid:
        await client.send(request(url))
    assert invalid.value.code == "http.url_invalid"


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": (("X-A", "1\r\nX-B: 2"),)},
        {"headers": (("X-A", "1\n"),)},
        {"headers": (("X-A", "1\x00"),)},
        {"headers": (("X-A", "\ud800"),)},
        {"headers": (("X-A: 1\r\nX-B", "2"),)},
        {"headers": (("", "2"),)},
        {"headers": (("X A", "2"),)},
        {"headers": (("Host", "a.example"), ("Host", "b.example"))},
        {"method": "GET / HTTP/1.1\r\nX: "},
        {"method": ""},
        {"method": "CONNECT"},
    ],
)
async def test_a_request_that_would_smuggle_is_invalid(
    client: GuardedClient, server: Loopback, changes: dict[str, Any]
) -> None:
    with pytest.raises(RequestInvalid) as invalid:
        await client.send(request(server.origin, **changes))
    assert invalid.value.code == "http.request_invalid"
    assert server.asked == []


@pytest.mark.parametrize(
    ("name", "value"), [("Content-Length", "1"), ("content-length", "99"), ("Transfer-Encoding", "chunked")]
)
async def test_the_length_sent_is_the_length_of_the_body(
    client: GuardedClient, server: Loopback, name: str, value: str
) -> None:
    server.answers["/"] = reply(200)
    await client.send(request(server.origin, method="POST", headers=((name, value),), body=b"four"))
    [asked] = server.asked
    assert [header for header in asked.headers if header[0].lower() == "content-length"] == [("Content-Length", "4")]
    assert (asked.header("Transfer-Encoding"), asked.body) == (None, b"four")


async def test_a_line_break_in_the_url_is_invalid(client: GuardedClient, server: Loopback) -> None:
    with pytest.raises(RequestInvalid):
        await client.send(request(f"{server.origin}/a HTTP/1.1\r\nX-B: 2"))
    assert server.connections == 0


async def test_a_body_up_to_the_limit_is_read_and_one_beyond_it_is_not(client: GuardedClient, server: Loopback) -> None:
    server.answers["/"] = reply(200, b"x" * 1000)
    assert len((await client.send(request(server.origin, response_bytes_max=1000))).body) == 1000
    with pytest.raises(ResponseTooLarge) as large:
        await client.send(request(server.origin, response_bytes_max=999))
    assert large.value.code == "http.response_too_large"
    assert not large.value.retriable


async def test_an_endless_body_is_cut_at_the_limit(client: GuardedClient, server: Loopback) -> None:
    async def endless(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    server.answers["/"] = endless
    with pytest.raises(ResponseTooLarge):
        await client.send(request(server.origin))
    await asyncio.wait_for(server.all_closed(), 10)


async def test_a_compressed_body_comes_back_plain(client: GuardedClient, server: Loopback) -> None:
    server.answers["/"] = reply(200, gzip.compress(b"hello"), "Content-Encoding: gzip")
    assert (await client.send(request(server.origin))).body == b"hello"


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("gzip, gzip", lambda data: gzip.compress(gzip.compress(data))),
    ],
)
async def test_a_decompression_bomb_is_cut_at_the_limit(
    client: GuardedClient, server: Loopback, encoding: str, compress: Any
) -> None:
    bomb = compress(b"\0" * (64 * MEBIBYTE))
    assert len(bomb) < MEBIBYTE // 8
    server.answers["/"] = reply(200, bomb, f"Content-Encoding: {encoding}")
    with pytest.raises(ResponseTooLarge):
        await client.send(request(server.origin))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 X\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhalf",
        reply(200, b"not gzip", "Content-Encoding: gzip"),
        reply(200, b"x", "Content-Encoding: gzip, gzip, gzip, gzip, gzip, gzip"),
        b"HTTP/1.1 200 X\r\nX-Endless: " + b"x" * 200_000,
    ],
    ids=["nothing", "ssh", "half", "not gzip", "many encodings", "endless header"],
)
async def test_a_broken_response_may_be_tried_again(client: GuardedClient, server: Loopback, answer: bytes) -> None:
    async def broken(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    server.answers["/"] = broken
    with pytest.raises(ResponseBroken) as failed:
        await client.send(request(server.origin))
    assert (failed.value.code, failed.value.retriable) == ("http.response_broken", True)


async def test_a_silent_server_times_out_and_the_connection_is_closed(client: GuardedClient, server: Loopback) -> None:
    server.answers["/"] = server.hang
    with pytest.raises(TimedOut) as late:
        await client.send(request(server.origin, timeout_seconds=0.1))
    assert (late.value.code, late.value.retriable) == ("http.timed_out", True)
    await asyncio.wait_for(server.all_closed(), 10)


async def test_the_deadline_counts_over_a_body_that_trickles(client: GuardedClient, server: Loopback) -> None:
    async def trickle(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x")
            await asyncio.sleep(0.02)  # The pace is the subject here: each byte comes in time, the whole does not.

    server.answers["/"] = trickle
    with pytest.raises(TimedOut):
        await client.send(request(server.origin, timeout_seconds=0.2))


async def test_a_cancelled_request_closes_its_connection_and_harms_no_other(
    client: GuardedClient, server: Loopback
) -> None:
    server.answers |= {"/slow": server.hang, "/": reply(200, b"fine")}
    sending = asyncio.ensure_future(client.send(request(f"{server.origin}/slow")))
    await server.arrived.wait()

    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending

    await asyncio.wait_for(server.all_closed(), 10)
    assert (await client.send(request(server.origin))).body == b"fine"


async def test_many_requests_run_at_the_same_time_over_few_connections(client: GuardedClient, server: Loopback) -> None:
    server.answers |= {f"/{number}": reply(200, str(number).encode()) for number in range(100)}
    responses = await asyncio.gather(*(client.send(request(f"{server.origin}/{number}")) for number in range(100)))
    assert [int(response.body) for response in responses] == list(range(100))

    opened = server.connections
    for number in range(10):
        await client.send(request(f"{server.origin}/{number}"))
    assert server.connections == opened


async def test_a_slow_request_holds_up_no_other(client: GuardedClient, server: Loopback) -> None:
    server.answers |= {"/slow": server.hang, "/": reply(200)}
    slow = asyncio.ensure_future(client.send(request(f"{server.origin}/slow")))
    await server.arrived.wait()
    await client.send(request(server.origin))
    assert not slow.done()
    server.released.set()
    with pytest.raises(ResponseBroken):
        await slow


async def test_closing_closes_the_idle_connections(client: GuardedClient, server: Loopback) -> None:
    server.answers["/"] = reply(200)
    await client.send(request(server.origin))
    assert server.open
    await client.aclose()
    await asyncio.wait_for(server.all_closed(), 10)


async def test_settings_of_the_environment_are_not_taken(
    client: GuardedClient, server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    server.answers["/"] = reply(200, b"direct")
    assert (await client.send(request(server.origin))).body == b"direct"

"""What the proxy reads of a request, and everything that it refuses to read."""

import contextlib
import re
import time
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, strategies as st

from budflow.sandbox.egress.request import ProxyRequest, RequestRefused, covers, parse_request


def head(*lines: str) -> bytes:
    return "\r\n".join(lines).encode()


def refusal(*lines: str) -> RequestRefused:
    with pytest.raises(RequestRefused) as refused:
        parse_request(head(*lines))
    return refused.value


def test_a_tunnel_leads_to_the_host_and_port_that_it_names() -> None:
    request = parse_request(head("CONNECT api.example:443 HTTP/1.1", "Host: api.example:443", "User-Agent: x"))

    assert request == ProxyRequest("api.example", 443)


def test_a_plain_request_becomes_one_for_its_host_alone() -> None:
    request = parse_request(
        head(
            "POST http://api.example:8080/path?query=1 HTTP/1.1",
            "Host: other.example",
            "Proxy-Authorization: Basic eDp5",
            "Proxy-Connection: keep-alive",
            "Connection: keep-alive, X-Private",
            "X-Private: 1",
            "Content-Length: 5",
            "Accept: */*",
        )
    )

    assert request == ProxyRequest(
        "api.example",
        8080,
        b"POST /path?query=1 HTTP/1.1\r\nHost: api.example:8080\r\nContent-Length: 5\r\nAccept: */*\r\n"
        b"Connection: close\r\n\r\n",
        5,
    )


@pytest.mark.parametrize(
    ("target", "path"),
    [("http://a.example", b"/"), ("http://a.example?x=1", b"/?x=1"), ("http://a.example/a//b?c", b"/a//b?c")],
)
def test_the_path_of_a_plain_request_is_kept(target: str, path: bytes) -> None:
    assert parse_request(head(f"GET {target} HTTP/1.1")).head.startswith(b"GET " + path + b" HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("API.Example", "api.example"),
        ("api.example.", "api.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[2001:DB8:0::1]", "[2001:db8::1]"),
        ("[::ffff:127.0.0.1]", "[::ffff:7f00:1]"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("under_score.example", "under_score.example"),
    ],
)
def test_a_host_has_one_spelling(written: str, read: str) -> None:
    assert parse_request(head(f"CONNECT {written}:443 HTTP/1.1")).host == read


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",  # 127.0.0.1 to the system's resolver, as all these are:
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "127.0.0.0x1",
        "017700000001",
        "1.2.3.4.5",
        "256.1.1.1",
        "example.1",
        "[::1%25eth0]",
        "[::1%eth0]",
        "[fe80::1%1]",
        "[127.0.0.1]",
        "[::1",
        "::1",
        "user@api.example",
        "api.example@127.0.0.1",
        "api.example#",
        "api.example\\",
        "api%2eexample",
        "api..example",
        ".api.example",
        "api.example..",
        "-api.example",
        "api-.example",
        "bücher.example",
        "\uff41pi.example",
        "api\u3002example",
        "unix:",
        "/var/run/docker.sock",
        "%2Fvar%2Frun%2Fdocker.sock",
        "a" * 64 + ".example",
        ".".join(["a" * 60] * 5),
        "",
        "*",
        "*.example",
        "api example",
        "api\texample",
        "api\0.example",
        "localhost\r\nX: y",
    ],
)
def test_odd_spellings_of_hosts_are_refused(host: str) -> None:
    with pytest.raises(RequestRefused):
        parse_request(f"CONNECT {host}:443 HTTP/1.1".encode())
    with pytest.raises(RequestRefused):
        parse_request(f"GET http://{host}/ HTTP/1.1".encode())


@pytest.mark.parametrize(
    "port", ["", "0", "00443", "-1", "+443", "65536", "99999999", "443a", "\uff14\uff14\uff13", " 443", "4_4"]
)
def test_odd_ports_are_refused(port: str) -> None:
    with pytest.raises(RequestRefused):
        parse_request(f"CONNECT api.example:{port} HTTP/1.1".encode())


@pytest.mark.parametrize(
    "line",
    [
        "GET / HTTP/1.1",
        "GET https://api.example/ HTTP/1.1",
        "GET ftp://api.example/ HTTP/1.1",
        "GET file:///etc/passwd HTTP/1.1",
        "GET http:///path HTTP/1.1",
        "GET http:/api.example/ HTTP/1.1",
        "GET //api.example/ HTTP/1.1",
        "GET http://api.example:80:80/ HTTP/1.1",
        "GET http://user:password@api.example/ HTTP/1.1",
        "GET http://api.example/a b HTTP/1.1",
        "GET  http://api.example/ HTTP/1.1",
        "GET http://api.example/ HTTP/2.0",
        "GET http://api.example/",
        "get http://api.example/ HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT http://api.example:443 HTTP/1.1",
        "CONNECT api.example HTTP/1.1",
        "CONNECT api.example:443/path HTTP/1.1",
        " CONNECT api.example:443 HTTP/1.1",
        "PRI * HTTP/2.0",
        "\x16\x03\x01\x02",
        "",
    ],
)
def test_what_is_no_request_to_a_proxy_is_refused(line: str) -> None:
    assert refusal(line).status == 400


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: 5", "content-length: 5"],
        ["Content-Length: 5, 5"],
        ["Content-Length: +5"],
        ["Content-Length: 0x5"],
        ["Content-Length: -1"],
        ["Content-Length: \uff15"],
        ["Content-Length:"],
        ["Content-Length: 9999999999999999999"],
        ["Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 5"],
        ["Transfer-Encoding: xchunked"],
        ["transfer-ENCODING: identity, chunked"],
        ["Transfer-Encoding : chunked"],
        ["Content-Length : 5"],
        ["X: a", " folded"],
        ["X: a\nTransfer-Encoding: chunked"],
        ["X: a\rTransfer-Encoding: chunked"],
        ["X: a\0"],
        ["no colon"],
        [": no name"],
        ["X y: z"],
        ["\tX: y"],
    ],
)
def test_requests_that_two_programs_could_read_differently_are_refused(headers: list[str]) -> None:
    assert refusal("POST http://api.example/ HTTP/1.1", *headers).status in {400, 411}


def test_a_tunnel_has_no_body() -> None:
    assert refusal("CONNECT api.example:443 HTTP/1.1", "Content-Length: 5").status == 400


@pytest.mark.parametrize(
    ("patterns", "host", "port", "covered"),
    [
        (["api.example"], "api.example", 443, True),
        (["api.example"], "api.example", 80, True),
        (["api.example"], "api.example", 8443, False),
        (["api.example:8443"], "api.example", 8443, True),
        (["api.example:8443"], "api.example", 443, False),
        (["API.example"], "api.example", 443, True),
        (["http://api.example"], "api.example", 80, True),
        (["http://api.example"], "api.example", 443, False),
        (["https://api.example"], "api.example", 443, True),
        (["https://api.example"], "api.example", 80, False),
        (["http://api.example:8080"], "api.example", 8080, True),
        (["*.example"], "api.example", 443, True),
        (["*.example"], "a.b.example", 443, True),
        (["*.example"], "example", 443, False),
        (["*.example"], "badexample", 443, False),
        (["api.example"], "api.example.evil.example", 443, False),
        (["api.example"], "evilapi.example", 443, False),
        (["127.0.0.1:8000"], "127.0.0.1", 8000, True),
        (["[::1]:8000"], "[::1]", 8000, True),
        ([], "api.example", 443, False),
        ([""], "api.example", 443, False),
    ],
)
def test_patterns_cover_the_usual_ports_or_the_one_they_name(
    patterns: list[str], host: str, port: int, covered: bool
) -> None:
    assert covers(patterns, host, port) is covered


_PIECES = st.sampled_from(
    (
        *("CONNECT", "GET", "http://", "https://", "HTTP/1.1", "HTTP/1.0", "api.example", "127.1", "0x7f.1", "[::1]"),
        *(":443", ":80", "/", "?", "#", "@", "%", "\\", "..", "1", "a", " ", "\t", "\r", "\n", "\r\n", "\0", "é", ":"),
        *("Host: x", "Content-Length: 5", "Transfer-Encoding: chunked"),
    )
)


@given(st.lists(_PIECES | st.text(max_size=3), max_size=12).map("".join))
def test_whatever_comes_is_a_request_for_a_plain_host_or_refused(text: str) -> None:
    try:
        request = parse_request(text.encode())
    except RequestRefused as refused:
        assert 400 <= refused.status < 500
        return
    assert re.fullmatch(r"[a-z0-9_.-]+|\[[0-9a-f:]+\]", request.host)
    assert not re.fullmatch(r"[0-9]+|0x[0-9a-f]*", request.host.rpartition(".")[2]) or IPv4Address(request.host)
    assert 0 < request.port < 65_536
    assert request.head.count(b"\r\n\r\n") <= 1
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", request.head)


@given(
    st.sampled_from(["CONNECT {}:443 HTTP/1.1", "GET http://{}/ HTTP/1.1", "GET http://api.example{} HTTP/1.1"]),
    st.text(max_size=20),
)
def test_no_text_in_the_place_of_a_host_leads_to_another_one(line: str, text: str) -> None:
    try:
        request = parse_request(line.format(text).encode())
    except RequestRefused:
        return
    if "api.example" in line:
        assert request.host.startswith("api.example")
    else:
        assert request.host.rstrip("]").lstrip("[") in str(text.lower()) or IPv6Address(text.partition("]")[0][1:])


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["a:" + " " * 16_000 + "\x01"], id="spaces before what no header may have"),
        pytest.param(["a: b" + "\t " * 8_000 + "c"], id="spaces in a value"),
        pytest.param(["a:"] * 5_000, id="headers"),
        pytest.param(["connection:" + "," * 14] * 600, id="headers named by others"),
    ],
)
def test_no_head_keeps_the_proxy_busy(lines: list[str]) -> None:
    began = time.process_time()
    with contextlib.suppress(RequestRefused):
        parse_request(head("GET http://api.example/ HTTP/1.1", *lines))

    assert time.process_time() - began < 0.2, "Every worker's code waits for it meanwhile."


def test_spaces_around_a_value_are_not_part_of_it() -> None:
    request = parse_request(head("GET http://api.example/ HTTP/1.1", "A: \t b c \t", "B:", "C: \t"))

    assert b"\r\nA: b c\r\nB: \r\nC: \r\n" in request.head

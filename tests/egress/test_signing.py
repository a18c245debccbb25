"""Signed requests against real servers on loopback: where a secret goes, where it never goes, what comes back."""

import asyncio
import gzip
import hashlib
import logging
import random
import re
import ssl
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

import pytest

from budflow.credentials.kinds.digest import Digest
from budflow.egress.client import GuardedClient, TooManyRedirects
from budflow.egress.outgoing import UrlInvalid
from budflow.egress.signing import AnswerUnmaskable, RedirectRefused, SignedTwice
from budflow.egress.transport import ConnectFailed, RequestInvalid, ResponseBroken, resolve_with_system
from budflow.errors import BudflowError
from budflow.model.credential import HostRefused
from budflow.model.credential_kind import CredentialKind, KindCannotSign, OpenCredential
from budflow.model.http import HttpRequest, HttpResponse
from budflow.model.secret import Secret, SecretText
from tests.egress.conftest import MakeClient
from tests.egress.loopback import Asked, Loopback, redirect, reply, serving
from tests.egress.test_client import request
from tests.egress.test_transport import FakeNames

SECRET = "s3cr3t/Kanari+Wert=="
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class HeaderKey(CredentialKind):
    """A key in a header of its own, with the time of the signature."""

    name: ClassVar[str] = "header_key"
    key: Annotated[Secret, SecretText()]

    def sign(self, request: HttpRequest, now: datetime) -> HttpRequest:
        return request.with_header("X-Api-Key", self.key.reveal()).with_header("X-Signed-At", now.isoformat())


class QueryKey(CredentialKind):
    """A key in the query."""

    name: ClassVar[str] = "query_key"
    key: Annotated[Secret, SecretText()]

    def sign(self, request: HttpRequest, now: datetime) -> HttpRequest:
        mark = "&" if "?" in request.url else "?"
        return replace(request, url=f"{request.url}{mark}api_key={quote(self.key.reveal(), safe='')}")


class Challenged(CredentialKind):
    """Proves itself only when asked to, by the nonce of the challenge."""

    name: ClassVar[str] = "challenged"
    key: Annotated[Secret, SecretText()]

    def sign(self, request: HttpRequest, now: datetime) -> HttpRequest:
        return request

    def answer(self, request: HttpRequest, response: HttpResponse) -> HttpRequest | None:
        asked = {name.lower(): value for name, value in response.headers}.get("www-authenticate", "")
        if not asked.startswith("Proof "):
            return None
        return request.with_header("Authorization", f"{asked} {request.method} {request.url} {self.key.reveal()}")


class Misled(CredentialKind):
    """A kind with a mistake: what it makes of the address leads elsewhere."""

    name: ClassVar[str] = "misled"
    key: Annotated[Secret, SecretText()]

    def sign(self, request: HttpRequest, now: datetime) -> HttpRequest:
        return replace(request, url=request.url.replace("127.0.0.1", "localhost"))


class Lockbox(CredentialKind):
    """Not for HTTP."""

    name: ClassVar[str] = "lockbox"
    key: Annotated[Secret, SecretText()]


def credential(kind: type[CredentialKind], *hosts: str, key: str = SECRET) -> OpenCredential:
    return OpenCredential("crd_1", "crm", kind.name, kind(key=key), hosts or ("http://*",))  # type: ignore[call-arg]  # the kinds of this file have it


async def test_a_request_goes_out_signed_and_the_unsigned_url_comes_back(
    make_client: MakeClient, server: Loopback
) -> None:
    client = make_client("127.0.0.1", now=lambda: NOW)
    server.answers["/"] = reply(200, b"fine")

    for kind in (HeaderKey, QueryKey):
        response = await client.send(request(f"{server.origin}/?a=1"), credential(kind))
        assert (response.body, response.url) == (b"fine", f"{server.origin}/?a=1")

    by_header, by_query = server.asked
    assert (by_header.header("X-Api-Key"), by_header.header("X-Signed-At")) == (SECRET, "2026-01-02T03:04:05+00:00")
    assert by_header.target == "/?a=1"
    assert by_query.target == f"/?a=1&api_key={quote(SECRET, safe='')}"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "https://127.0.0.1:{port}/",
        "https://crm.example.evil.example/",
        "https://crm.example:8443/",
        "https://notcrm.example/",
        "http://crm.example/",
        "https://evil.example#@crm.example/",
        "https://evil.example\\@crm.example/",
        "https://crm.example\\@evil.example/",
        "https://evil.example/?https://crm.example/",
        "https://evil.example%2f.crm.example/",
        "https://%63rm.example/",
    ],
)
async def test_to_another_host_nothing_is_sent_and_no_name_is_resolved(
    make_client: MakeClient, server: Loopback, url: str
) -> None:
    resolved: list[str] = []

    async def resolve(host: str, port: int) -> tuple[()]:
        resolved.append(host)
        return ()

    client = make_client("127.0.0.1", resolve=resolve)
    with pytest.raises((HostRefused, RequestInvalid)):  # The latter for those with a user name.
        await client.send(request(url.format(port=server.port)), credential(HeaderKey, "crm.example"))

    assert (resolved, server.connections) == ([], 0)


async def test_a_credential_for_a_host_does_not_lift_the_address_policy(
    make_client: MakeClient, server: Loopback
) -> None:
    with pytest.raises(BudflowError) as refused:
        await make_client().send(request(server.origin), credential(HeaderKey))
    assert (refused.value.code, server.connections) == ("http.address_refused", 0)


async def test_a_kind_that_cannot_sign_sends_nothing(client: GuardedClient, server: Loopback) -> None:
    with pytest.raises(KindCannotSign):
        await client.send(request(server.origin), credential(Lockbox))
    assert server.asked == []


async def test_signing_cannot_lead_a_request_elsewhere(make_client: MakeClient, server: Loopback) -> None:
    with pytest.raises(RequestInvalid):
        await make_client("127.0.0.1").send(request(server.origin), credential(Misled))
    assert server.connections == 0


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (HeaderKey, {"headers": (("x-api-key", "mine"),)}),
        (HeaderKey, {"headers": (("X-Signed-At", "yesterday"), ("X-Signed-At", "today"))}),
        (QueryKey, {"query": "?api_key=mine"}),
        (QueryKey, {"query": "?api%5Fkey=mine"}),
    ],
)
async def test_what_the_credential_sets_must_not_be_set_already(
    client: GuardedClient, server: Loopback, kind: type[CredentialKind], changes: dict[str, Any]
) -> None:
    url = f"{server.origin}/{changes.pop('query', '')}"
    with pytest.raises(SignedTwice) as refused:
        await client.send(request(url, **changes), credential(kind))
    assert (refused.value.code, server.asked) == ("http.signed_twice", [])
    assert SECRET not in refused.value.message


@pytest.mark.parametrize("changes", [{"headers": (("Host", "other.example"),)}, {"userinfo": "me:hunter2@"}])
async def test_a_second_identity_or_another_host_beside_the_credential_is_refused(
    client: GuardedClient, server: Loopback, changes: dict[str, Any]
) -> None:
    url = f"http://{changes.pop('userinfo', '')}127.0.0.1:{server.port}/"
    with pytest.raises(RequestInvalid) as refused:
        await client.send(request(url, **changes), credential(HeaderKey))
    assert server.connections == 0
    assert "hunter2" not in f"{refused.value.message} {refused.value.hint}"


@pytest.mark.parametrize("kind", [HeaderKey, QueryKey])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_another_origin_takes_nothing_along(
    make_client: MakeClient, server: Loopback, other: Loopback, kind: type[CredentialKind], status: int
) -> None:
    client = make_client("127.0.0.1")
    server.answers["/"] = redirect(status, f"{other.origin}/there?b=2")
    other.answers["/there"] = reply(200, b"there")

    response = await client.send(
        request(server.origin, method="POST", body=b"x", headers=(("X-Trace", "t"),)), credential(kind)
    )

    [asked] = other.asked
    assert (asked.target, asked.header("X-Trace"), response.url) == ("/there?b=2", "t", f"{other.origin}/there?b=2")
    assert (asked.header("X-Api-Key"), asked.header("X-Signed-At")) == (None, None)


async def test_other_names_of_the_same_address_are_another_origin(make_client: MakeClient, server: Loopback) -> None:
    client = make_client("127.0.0.1", "localhost")
    server.answers |= {"/": redirect(307, f"http://localhost:{server.port}/there"), "/there": reply(200)}
    await client.send(request(server.origin), credential(HeaderKey))
    assert [asked.header("X-Api-Key") for asked in server.asked] == [SECRET, None]


async def test_a_redirect_from_https_to_http_takes_nothing_along(
    make_client: MakeClient, server: Loopback, certificate: Path
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=certificate)
    client = make_client("127.0.0.1", resolve=FakeNames(["127.0.0.1"]), tls=trusting)
    async with serving(tls) as secure:
        secure.answers["/"] = redirect(302, f"http://api.example:{server.port}/")
        server.answers["/"] = reply(200, b"plain")
        allowed = credential(HeaderKey, f"api.example:{secure.port}", f"api.example:{server.port}")
        await client.send(request(f"https://api.example:{secure.port}/"), allowed)
    assert [asked.header("X-Api-Key") for asked in (*secure.asked, *server.asked)] == [SECRET, None]


@pytest.mark.parametrize("kind", [HeaderKey, QueryKey])
async def test_within_its_origin_every_hop_is_signed_anew(
    make_client: MakeClient, server: Loopback, kind: type[CredentialKind]
) -> None:
    times = iter([NOW, NOW.replace(year=2027)])
    client = make_client("127.0.0.1", now=lambda: next(times))
    key = quote(SECRET, safe="")
    # A server that repeats the query it was asked with, as many do.
    server.answers |= {"/": redirect(302, f"/there?api_key={key}&b=2"), "/there": reply(200)}

    response = await client.send(request(server.origin), credential(kind))

    last = server.asked[-1]
    if kind is HeaderKey:
        assert [value for name, value in last.headers if name == "X-Signed-At"] == ["2027-01-02T03:04:05+00:00"]
        assert [value for name, value in last.headers if name == "X-Api-Key"] == [SECRET]
    else:
        assert last.target == f"/there?b=2&api_key={key}"
        assert response.url == f"{server.origin}/there?b=2"


async def test_away_and_back_it_is_signed_only_at_home(
    make_client: MakeClient, server: Loopback, other: Loopback
) -> None:
    client = make_client("127.0.0.1")
    server.answers |= {"/": redirect(302, f"{other.origin}/"), "/back": reply(200)}
    other.answers["/"] = redirect(302, f"{server.origin}/back")
    await client.send(request(server.origin), credential(HeaderKey))
    assert [asked.header("X-Api-Key") for asked in (*server.asked, *other.asked)] == [SECRET, SECRET, None]


async def test_a_signed_query_that_the_server_repeats_does_not_leave(
    make_client: MakeClient, server: Loopback, other: Loopback
) -> None:
    client = make_client("127.0.0.1")
    server.answers["/"] = redirect(302, f"{other.origin}/?a=1&api_key={quote(SECRET, safe='')}")
    other.answers["/"] = reply(200)
    await client.send(request(f"{server.origin}/?a=1"), credential(QueryKey))
    assert [asked.target for asked in other.asked] == ["/?a=1"]


@pytest.mark.parametrize(
    "target", ["{origin}/{secret}", "{origin}/?q={secret}", "{origin}/#{secret}", "http://Kanarienvogel.example/"]
)
@pytest.mark.parametrize("kind", [HeaderKey, QueryKey])
async def test_a_secret_in_the_address_of_another_server_is_not_sent_there(
    make_client: MakeClient, server: Loopback, other: Loopback, kind: type[CredentialKind], target: str
) -> None:
    resolved: list[str] = []

    async def resolve(host: str, port: int) -> list[Any]:
        resolved.append(host)
        return list(await resolve_with_system(host, port))

    key = "Kanarienvogel" if "{secret}" not in target else SECRET
    client = make_client("127.0.0.1", resolve=resolve)
    server.answers["/"] = redirect(302, target.format(origin=other.origin, secret=quote(key, safe="")))
    with pytest.raises(RedirectRefused) as refused:
        await client.send(request(server.origin), credential(kind, key=key))
    assert (refused.value.code, other.connections, set(resolved)) == ("http.redirect_refused", 0, {"127.0.0.1"})
    assert key not in f"{refused.value.message} {refused.value.details}"


async def test_a_challenge_is_answered_once(make_client: MakeClient, server: Loopback) -> None:
    client = make_client("127.0.0.1")
    server.answers["/"] = reply(401, b"no", "WWW-Authenticate: Proof 7")

    response = await client.send(request(f"{server.origin}/?q=a b"), credential(Challenged))

    assert (response.status, response.body) == (401, b"no")
    url = f"{server.origin}/?q=a%20b"  # As it was sent: what is proved is what the server saw.
    assert [asked.header("Authorization") for asked in server.asked] == [None, f"Proof 7 GET {url} {SECRET}"]


async def test_a_refusal_that_is_no_challenge_is_the_response(client: GuardedClient, server: Loopback) -> None:
    server.answers["/"] = reply(401, b"who are you?")
    response = await client.send(request(server.origin), credential(Challenged))
    assert (response.status, response.body, len(server.asked)) == (401, b"who are you?", 1)


async def test_a_challenge_of_another_origin_is_not_answered(
    make_client: MakeClient, server: Loopback, other: Loopback
) -> None:
    server.answers["/"] = redirect(302, f"{other.origin}/")
    other.answers["/"] = reply(401, b"", "WWW-Authenticate: Proof 7")
    response = await make_client("127.0.0.1").send(request(server.origin), credential(Challenged))
    assert (response.status, [asked.header("Authorization") for asked in other.asked]) == (401, [None])


async def test_the_answer_to_a_challenge_may_be_a_redirect(make_client: MakeClient, server: Loopback) -> None:
    async def guarded(asked: Any, writer: Any) -> None:
        proved = asked.header("Authorization")
        writer.write(redirect(302, "/in") if proved else reply(401, b"", "WWW-Authenticate: Proof 7"))
        await writer.drain()

    server.answers |= {"/": guarded, "/in": reply(200, b"in")}
    response = await make_client("127.0.0.1").send(request(server.origin), credential(Challenged))
    assert (response.status, response.body, response.url) == (200, b"in", f"{server.origin}/in")
    assert server.asked[-1].header("Authorization") is None


async def test_secrets_that_the_server_repeats_come_back_masked(client: GuardedClient, server: Loopback) -> None:
    echo = (
        b'{"key": "' + SECRET.encode() + b'", "raw": "\xff\xfe", "quoted": "' + quote(SECRET, safe="").encode() + b'"}'
    )
    server.answers["/"] = reply(200, echo, f"X-Echo: {SECRET}", f"Location: /?api_key={quote(SECRET, safe='')}")

    response = await client.send(request(server.origin), credential(QueryKey))

    assert response.body == b'{"key": "***", "raw": "\xff\xfe", "quoted": "***"}'
    headers = {name.lower(): value for name, value in response.headers}
    assert (headers["x-echo"], headers["location"]) == ("***", "/?api_key=***")


@pytest.mark.parametrize("key", ["line\nbreak-secret", "nul\x00secret", "bell\x07secret"])
@pytest.mark.parametrize("kind", [HeaderKey, QueryKey, Challenged])
async def test_a_secret_that_is_no_header_value_is_quoted_by_no_error(
    client: GuardedClient, server: Loopback, kind: type[CredentialKind], key: str
) -> None:
    server.answers["/"] = reply(401, b"", "WWW-Authenticate: Proof 7")
    try:
        await client.send(request(server.origin), credential(kind, key=key))
    except BudflowError as error:
        told = f"{error.message} {error.hint} {error.details} {error.__cause__!r}"
        assert "secret" not in told.replace("The secret", "")
        assert isinstance(error, RequestInvalid | UrlInvalid)
    else:
        assert kind is QueryKey  # There it is percent-encoded.


async def test_no_log_line_holds_a_signed_query(
    client: GuardedClient, server: Loopback, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answers |= {"/": redirect(302, "/b"), "/b": reply(200)}
    await client.send(request(server.origin), credential(QueryKey))
    await client.send(request(server.origin), credential(HeaderKey))
    with pytest.raises(ConnectFailed):
        await client.send(request("http://no-such-host.invalid/"), credential(QueryKey))
    assert [record for record in caplog.records if "Kanari" in record.getMessage()] == []


def secretly(url: str, **changes: Any) -> HttpRequest:
    """A request whose author placed the credential's secret himself, in a header and in the query."""
    secret = Secret(SECRET)
    return request(url, secret_headers=(("X-Own", secret),), secret_query=(("own", secret),), **changes)


async def test_placed_secrets_are_all_that_is_sent_of_the_credential(client: GuardedClient, server: Loopback) -> None:
    server.answers["/"] = reply(200, SECRET.encode())

    response = await client.send(secretly(f"{server.origin}/?a=1"), credential(HeaderKey))

    [asked] = server.asked
    assert (asked.header("X-Own"), asked.header("X-Api-Key")) == (SECRET, None)
    assert asked.target == f"/?a=1&own={quote(SECRET, safe='')}"
    assert (response.body, response.url) == (b"***", f"{server.origin}/?a=1")


async def test_placed_secrets_go_only_where_their_credential_may(
    make_client: MakeClient, server: Loopback, other: Loopback
) -> None:
    client = make_client("127.0.0.1")
    with pytest.raises(HostRefused):
        await client.send(secretly(server.origin), credential(HeaderKey, "crm.example"))
    with pytest.raises(RequestInvalid):
        await client.send(secretly(server.origin))
    assert server.connections == 0

    server.answers |= {"/": redirect(307, f"{other.origin}/?own={quote(SECRET, safe='')}&b=2")}
    other.answers["/"] = redirect(307, f"{server.origin}/back?own=old")
    server.answers["/back"] = reply(200)
    await client.send(secretly(server.origin), credential(HeaderKey))

    assert [(asked.target, asked.header("X-Own")) for asked in other.asked] == [("/?b=2", None)]
    assert server.asked[-1].target == f"/back?own={quote(SECRET, safe='')}"
    assert server.asked[-1].header("X-Own") == SECRET


async def test_a_placed_secret_beside_a_header_of_the_same_name_is_refused(
    client: GuardedClient, server: Loopback
) -> None:
    with pytest.raises(SignedTwice):
        await client.send(secretly(server.origin, headers=(("x-own", "mine"),)), credential(HeaderKey))
    assert server.asked == []


async def test_a_secret_that_cannot_be_a_header_is_quoted_by_no_error(client: GuardedClient, server: Loopback) -> None:
    placed = request(server.origin, secret_headers=(("X-Own", Secret("canary\r\nX: 1")),))
    with pytest.raises(RequestInvalid) as invalid:
        await client.send(placed, credential(HeaderKey))
    assert "canary" not in f"{invalid.value.message} {invalid.value.__cause__!r}"


async def test_an_error_that_quotes_the_server_quotes_no_secret_that_it_repeated(
    client: GuardedClient, server: Loopback
) -> None:
    async def malformed(_asked: Any, writer: Any) -> None:
        writer.write(f"HTTP/1.1 200 X\r\nX Echo {SECRET}\r\n\r\n".encode())
        await writer.drain()

    server.answers["/"] = malformed
    with pytest.raises(ResponseBroken) as broken:
        await client.send(request(server.origin), credential(HeaderKey))
    assert "Kanari" not in f"{broken.value.message} {broken.value} {broken.value.__cause__!r}"


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", [HeaderKey, QueryKey])
async def test_whatever_way_servers_send_it_a_secret_reaches_its_own_origin_alone(
    make_client: MakeClient, kind: type[CredentialKind], seed: int
) -> None:
    chance = random.Random(seed)
    client = make_client("127.0.0.1", "localhost")
    written = quote(SECRET, safe="")
    repeated = ["", "?a=1", f"?api_key={written}", f"?b={written}", f"/{written}", f"?api%5Fkey={written}&c=2", "#x"]
    async with serving() as home, serving() as near, serving() as far:
        origins = [home.origin, near.origin, far.origin, f"http://localhost:{home.port}"]
        for one in (home, near, far):
            for path in ("/", "/0", "/1", "/2", f"/{written}"):
                to = f"{chance.choice(origins)}/{chance.randrange(3)}" if chance.random() < 0.7 else "/1"
                status = chance.choice([301, 302, 303, 307, 308])
                one.answers[path] = redirect(status, f"{to}{chance.choice(repeated)}")
            one.answers["/2"] = reply(200)
        with suppress(RedirectRefused, TooManyRedirects):
            await client.send(request(f"{home.origin}/", method="POST", body=b"x"), credential(kind))

        at_home = [asked for asked in home.asked if asked.header("Host") == f"127.0.0.1:{home.port}"]
        elsewhere = [asked for one in (home, near, far) for asked in one.asked if asked not in at_home]
        assert "Kanari" in f"{at_home[0]}"
        assert [asked for asked in elsewhere if "Kanari" in f"{asked}"] == []


async def test_a_digest_is_proved_for_every_hop_with_the_address_that_was_sent(
    make_client: MakeClient, server: Loopback
) -> None:
    """RFC 7616: the server checks the proof by what it saw itself."""

    async def guarded(asked: Asked, writer: asyncio.StreamWriter) -> None:
        proof = asked.header("Authorization")
        if proof is None:
            challenge = 'Digest realm="r", nonce="n1", qop="auth", algorithm=SHA-256'
            writer.write(reply(401, b"", f"WWW-Authenticate: {challenge}"))
        else:
            writer.write(reply(200, b"in") if _is_proved(proof, asked) else reply(403))
        await writer.drain()

    server.answers |= {"/a": redirect(307, "/a%20b?q=%C3%BC&r=1+2"), "/a%20b": guarded}
    digest = OpenCredential(
        "crd_1", "crm", "digest", Digest.model_validate({"user": "ada", "password": SECRET}), ("http://*",)
    )

    response = await make_client("127.0.0.1").send(request(f"{server.origin}/a", method="PUT", body=b"x"), digest)

    assert (response.status, response.body) == (200, b"in")


def _is_proved(proof: str, asked: Asked) -> bool:
    said = {name: value.strip('"') for name, value in re.findall(r'(\w+)=("[^"]*"|[^,\s]+)', proof)}

    def hashed(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    who, what = hashed(f"ada:r:{SECRET}"), hashed(f"{asked.method}:{asked.target}")
    expected = hashed(f"{who}:n1:{said['nc']}:{said['cnonce']}:auth:{what}")
    return said["uri"] == asked.target and said["response"] == expected


@pytest.mark.parametrize("coding", ["br", "zstd", "x-gzip", "gzip, compress"])
async def test_an_answer_in_which_nothing_could_be_masked_is_given_to_nobody(
    client: GuardedClient, server: Loopback, coding: str
) -> None:
    body = gzip.compress(SECRET.encode())
    server.answers["/"] = reply(200, body, f"Content-Encoding: {coding}")

    with pytest.raises(AnswerUnmaskable):
        await client.send(request(server.origin), credential(HeaderKey))

    server.answers["/"] = reply(200, body, "Content-Encoding: gzip")
    response = await client.send(request(server.origin), credential(HeaderKey))
    assert (response.body, response.headers) == (b"***", (("Content-Encoding", "gzip"),))


async def test_nobody_learns_how_well_a_secret_is_compressed(client: GuardedClient, server: Loopback) -> None:
    """A guess that the server repeats beside the secret makes the answer shorter, the better it is (BREACH)."""
    server.answers["/"] = reply(200, gzip.compress(SECRET.encode()), "Content-Encoding: gzip")
    server.answers["/plain"] = reply(200, b"fine")

    signed = await client.send(request(server.origin), credential(HeaderKey))
    plain = await client.send(request(f"{server.origin}/plain"), credential(HeaderKey))
    unsigned = await client.send(request(server.origin))

    told = [[name for name, _ in one.headers] for one in (signed, plain, unsigned)]
    assert told == [["Content-Encoding"], ["Content-Length"], ["Content-Length", "Content-Encoding"]]


async def test_a_secret_in_the_name_of_a_header_is_masked_before_the_name_is_lowered(
    client: GuardedClient, server: Loopback
) -> None:
    server.answers["/"] = reply(200, b"", "X-Got-AbCdEf123: x")

    response = await client.send(request(server.origin), credential(HeaderKey, key="AbCdEf123"))

    assert ("X-Got-***", "x") in response.headers

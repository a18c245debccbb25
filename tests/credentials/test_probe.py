"""A credential is tried by a real call, and what is told is what the other side said."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from budflow.credentials.kinds.aws import Aws
from budflow.credentials.kinds.bearer import Bearer
from budflow.credentials.kinds.database_url import DatabaseUrl
from budflow.credentials.kinds.ssh_key import SshKey
from budflow.credentials.probe import PROBE_SECONDS_MAX, CredentialProber
from budflow.egress.client import GuardedClient
from budflow.egress.policy import AddressPolicy, AddressRefused, parse_allow
from budflow.model.credential import HostRefused
from budflow.model.credential_kind import CredentialKind, OpenCredential, Probed
from budflow.model.http import HttpRequest
from tests.egress.loopback import Asked, Loopback, redirect, reply, serving
from tests.egress.test_client import request

TOKEN = "canary-2f7c1d-probe"


@pytest.fixture
async def server() -> AsyncIterator[Loopback]:
    async with serving() as loopback:
        yield loopback


class Pinged:
    """A database that says what it is told to, and remembers who asked."""

    def __init__(self, answer: Probed | None = None) -> None:
        self.answer = answer or Probed(True, "fine")
        self.asked: list[tuple[str, float]] = []

    async def __call__(self, url: str, seconds: float) -> Probed:
        self.asked.append((url, seconds))
        return self.answer


@pytest.fixture
async def client(server: Loopback) -> AsyncIterator[GuardedClient]:
    client = GuardedClient(AddressPolicy(parse_allow(("127.0.0.1",))))
    yield client
    await client.aclose()


@pytest.fixture
def prober(client: GuardedClient) -> CredentialProber:
    return CredentialProber(client, Pinged())


def opened(values: CredentialKind, *hosts: str) -> OpenCredential:
    return OpenCredential("crd_1", "crm", values.name, values, hosts or ("http://*",))


def bearer(*hosts: str) -> OpenCredential:
    return opened(Bearer.model_validate({"token": TOKEN}), *hosts)


@pytest.mark.parametrize(
    ("status", "works"),
    [(200, True), (204, True), (304, True), (401, False), (403, False), (404, None), (429, None), (500, None)],
)
async def test_the_answer_to_the_named_request_is_told(
    prober: CredentialProber, server: Loopback, status: int, works: bool | None
) -> None:
    server.answers["/me"] = reply(status, TOKEN.encode())

    probed = await prober.probe(bearer(), request(f"{server.origin}/me?as={TOKEN}"))

    assert server.asked[0].header("Authorization") == f"Bearer {TOKEN}"
    assert probed.works is works
    assert f"GET {server.origin}/me was answered with {status}" in probed.answer
    assert TOKEN not in probed.answer


async def test_a_redirect_within_the_server_counts_and_one_to_another_tells_nothing(
    prober: CredentialProber, server: Loopback
) -> None:
    async with serving() as other:
        other.answers["/"] = reply(200)
        server.answers |= {"/": redirect(302, "/me"), "/me": reply(200), "/away": redirect(302, other.origin)}

        assert (await prober.probe(bearer(), request(server.origin))).works is True
        away = await prober.probe(bearer(), request(f"{server.origin}/away"))

    assert (away.works, other.asked[0].header("Authorization")) == (None, None)
    assert "redirected" in away.answer


async def test_a_login_page_behind_an_unfollowed_redirect_is_an_answer(
    prober: CredentialProber, server: Loopback
) -> None:
    server.answers["/"] = redirect(302, "/login")
    assert (await prober.probe(bearer(), request(server.origin, follow_redirects=False))).works is True


async def test_a_server_that_is_not_there_raises_nothing(prober: CredentialProber) -> None:
    probed = await prober.probe(bearer(), request("http://127.0.0.1:1/"))
    assert probed.works is None
    assert "No connection" in probed.answer


async def test_a_server_that_answers_nonsense_raises_nothing(prober: CredentialProber, server: Loopback) -> None:
    async def nonsense(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await writer.drain()

    server.answers["/"] = nonsense
    assert (await prober.probe(bearer(), request(server.origin))).works is None


async def test_a_request_to_a_host_that_is_not_allowed_is_not_sent(prober: CredentialProber, server: Loopback) -> None:
    with pytest.raises(HostRefused):
        await prober.probe(bearer("crm.example"), request(server.origin))
    assert server.connections == 0


async def test_a_request_to_an_address_inside_is_not_sent(server: Loopback) -> None:
    client = GuardedClient(AddressPolicy())
    with pytest.raises(AddressRefused):
        await CredentialProber(client, Pinged()).probe(bearer(), request(server.origin))
    await client.aclose()
    assert server.connections == 0


class Recorded:
    """An HTTP way out that keeps what it is given."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []

    async def send(self, request: HttpRequest, credential: OpenCredential | None = None) -> Any:
        self.requests.append(request)
        raise HostRefused


async def test_nobody_waits_longer_for_it_than_ten_seconds() -> None:
    http = Recorded()
    for seconds in (3.0, 600.0):
        with pytest.raises(HostRefused):
            await CredentialProber(http, Pinged()).probe(bearer(), request("http://a.example", timeout_seconds=seconds))
    assert [sent.timeout_seconds for sent in http.requests] == [3.0, PROBE_SECONDS_MAX]


async def test_without_a_request_the_kind_does_what_it_knows() -> None:
    http = Recorded()
    values = {"access_key_id": "AKIA", "secret_access_key": TOKEN, "region": "eu-central-1", "service": "s3"}
    with pytest.raises(HostRefused):
        await CredentialProber(http, Pinged()).probe(opened(Aws.model_validate(values)), None)
    assert [sent.url for sent in http.requests] == ["https://sts.eu-central-1.amazonaws.com/"]


async def test_without_any_request_nothing_is_sent_and_that_is_said(prober: CredentialProber, server: Loopback) -> None:
    probed = await prober.probe(bearer(), None)
    assert (probed.works, server.connections) == (None, 0)
    assert "No server was called" in probed.answer


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg", "PostgreSQL"])
async def test_a_database_is_connected_to_whatever_request_is_named(client: GuardedClient, scheme: str) -> None:
    url = f"{scheme}://ada:{TOKEN}@db.example/sales"
    ping = Pinged(Probed(False, f"no entry for {TOKEN}"))

    probed = await CredentialProber(client, ping).probe(
        opened(DatabaseUrl.model_validate({"url": url})), request("http://a.example")
    )

    assert ping.asked == [(url, PROBE_SECONDS_MAX)]
    assert probed == Probed(False, "no entry for ***")


async def test_a_database_that_nothing_here_speaks_to_is_said_to_be_that(prober: CredentialProber) -> None:
    values = DatabaseUrl.model_validate({"url": f"mysql://ada:{TOKEN}@db.example/sales"})
    probed = await prober.probe(opened(values), None)
    assert probed == Probed(None, "No server was called: nothing here speaks mysql.")


async def test_of_a_private_key_the_fingerprint_is_told_and_that_no_server_was_called(prober: CredentialProber) -> None:
    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    values = SshKey.model_validate({"user": "deploy", "private_key": key.decode()})

    probed = await prober.probe(opened(values), None)

    assert probed.works is None
    assert values.fingerprint() in probed.answer
    assert "No server was called" in probed.answer

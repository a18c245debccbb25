"""What is signed is what arrives: every kind through the guarded client, checked by a server as its vendor would."""

import base64
import hashlib
import hmac
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes

import pytest

from budflow.credentials.find_kinds import find_kinds
from budflow.egress.client import GuardedClient
from budflow.egress.policy import AddressPolicy, parse_allow
from budflow.model.credential_kind import OpenCredential
from budflow.model.secret import Secret
from tests.credentials.kinds.requests import NOW, request
from tests.egress.loopback import Asked, Loopback, reply, serving

KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
AWS = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": KEY, "region": "eu-central-1"}


@pytest.fixture
async def server() -> AsyncIterator[Loopback]:
    async with serving() as loopback:
        yield loopback


@pytest.fixture
async def client(server: Loopback) -> AsyncIterator[GuardedClient]:
    client = GuardedClient(AddressPolicy(parse_allow([f"127.0.0.1:{server.port}"])), now=lambda: NOW)
    yield client
    await client.aclose()


def credential(kind: str, **values: Any) -> OpenCredential:
    return OpenCredential("crd_1", "crm", kind, find_kinds()[kind].model_validate(values), ("http://*",))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def aws_signature(asked: Asked, service: str) -> str:
    """Signature Version 4 by the words of its description, from what arrived."""
    authorization = asked.header("Authorization") or ""
    names = re.findall(r"SignedHeaders=([^,]*)", authorization)[0].split(";")
    path, _, query = asked.target.partition("?")
    twice = (lambda text: text) if service == "s3" else (lambda text: quote(text, safe="/-_.~"))
    pairs = sorted(
        (quote(unquote_to_bytes(name), safe="-_.~"), quote(unquote_to_bytes(value), safe="-_.~"))
        for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)
    )
    canonical = [asked.method, twice(path), "&".join(f"{name}={value}" for name, value in pairs)]
    canonical += [f"{name}:{(asked.header(name) or '').strip()}" for name in names]
    canonical += ["", ";".join(names), sha256(asked.body)]
    date = f"{NOW:%Y%m%d}"
    key = f"AWS4{KEY}".encode()
    for part in (date, "eu-central-1", service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    scope = f"{date}/eu-central-1/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", f"{NOW:%Y%m%dT%H%M%SZ}", scope, sha256("\n".join(canonical).encode())])
    return hmac.digest(key, text.encode(), "sha256").hex()


@pytest.mark.parametrize("service", ["s3", "sqs"])
@pytest.mark.parametrize(
    "target", ["/", "", "/a$b(1) c/%7e+x", "/ü?q=a/b c+d&z=&a=1=2&acl", "/x?b=2&a=2&a=1&ä=%2f", "/k%2Fey?"]
)
@pytest.mark.parametrize("body", [None, b'{"x": 1}'])
async def test_aws_finds_the_signature_of_what_arrives(
    client: GuardedClient, server: Loopback, service: str, target: str, body: bytes | None
) -> None:
    headers = [("Content-Type", "application/json")] if body else []
    sent = request(f"{server.origin}{target}", method="POST" if body else "GET", headers=headers, body=body)

    await client.send(sent, credential("aws", **AWS, service=service))

    [asked] = server.asked
    assert aws_signature(asked, service) in (asked.header("Authorization") or "")


async def test_digest_is_answered_by_what_arrives(client: GuardedClient, server: Loopback) -> None:
    server.answers["/x"] = reply(401, b"", 'WWW-Authenticate: Digest realm="r", nonce="n", algorithm=SHA-256')
    kind = credential("digest", user="Mufasa", password="Circle of Life")

    await client.send(request(f"{server.origin}/x?a=ü b"), kind)

    first, second = server.asked
    assert first.header("Authorization") is None
    said = dict(re.findall(r'(\w+)="([^"]*)"', second.header("Authorization") or ""))
    assert said["uri"] == second.target
    asked = sha256(f"GET:{second.target}".encode())
    assert said["response"] == sha256(f"{sha256(b'Mufasa:r:Circle of Life')}:n:{asked}".encode())


async def test_the_others_arrive_as_they_are(client: GuardedClient, server: Loopback) -> None:
    for kind, values in {
        "bearer": {"token": "mF_9.B5f-4.1JqM"},
        "basic": {"user": "test", "password": "123£"},
        "api_key_header": {"key": "schlüssel"},
        "api_key_query": {"key": "a b/ü&c=d+e"},
        "custom_headers": {"headers": {"X-One": "1", "X-Two": "2"}},
        "hmac": {"secret": "Jefe", "timestamp_header": "X-Time"},
    }.items():
        await client.send(request(f"{server.origin}/", method="POST", body=b"hello"), credential(kind, **values))

    bearer, basic, in_header, in_query, headers, signed = server.asked
    assert bearer.header("Authorization") == "Bearer mF_9.B5f-4.1JqM"
    assert basic.header("Authorization") == f"Basic {base64.b64encode('test:123£'.encode()).decode()}"
    assert in_header.header("X-API-Key") == "schlüssel"
    assert parse_qsl(in_query.target.partition("?")[2]) == [("api_key", "a b/ü&c=d+e")]
    assert (headers.header("X-One"), headers.header("X-Two")) == ("1", "2")
    text = f"{int(NOW.timestamp())}.hello".encode()
    assert signed.header("X-Signature") == hmac.digest(b"Jefe", text, "sha256").hex()


@pytest.mark.parametrize(
    ("kind", "values", "told"),
    [
        ("aws", {**AWS, "service": "s3", "session_token": KEY}, {"access_key_id", "region", "service"}),
        ("digest", {"user": "camera", "password": KEY}, {"user"}),
        (
            "hmac",
            {"secret": KEY},
            {"header", "algorithm", "encoding", "prefix", "timestamp_header"},
        ),
    ],
)
def test_what_only_proves_a_secret_gives_it_to_no_expression(kind: str, values: dict[str, Any], told: set[str]) -> None:
    assert credential(kind, **values).fields().keys() == told


def test_a_key_that_stands_as_the_user_is_opaque_to_expressions() -> None:
    fields = credential("basic", user=KEY).fields()

    assert KEY not in str(fields)
    assert fields["user"] == Secret(KEY)
    assert credential("basic", user="crm", password=KEY).fields()["user"] == "crm"

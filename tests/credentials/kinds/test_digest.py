"""digest: a user and a password that prove themselves without being sent."""

import hashlib
import re
from typing import Any

import pytest

from budflow.credentials.kinds.digest import Digest
from tests.credentials.kinds.requests import NOW, challenge, header, request

REALM = 'realm="http-auth@example.org", qop="auth, auth-int"'
NONCE = 'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
MD5 = f"Digest {REALM}, algorithm=MD5, {NONCE}"
SHA256 = f"Digest {REALM}, algorithm=SHA-256, {NONCE}"
#: RFC 7616, 3.9.1.
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
MUFASA = Digest.model_validate({"user": "Mufasa", "password": "Circle of Life"})
ASKED = request("http://www.example.org/dir/index.html")

PART = re.compile(r'(\w+\*?)=(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))')


def parts(value: str) -> dict[str, str]:
    """The parameters of a header Authorization."""
    assert value.startswith("Digest ")
    return {name: quoted or bare for name, quoted, bare in PART.findall(value)}


def answered(*challenges: str, kind: Digest = MUFASA, **asked: Any) -> dict[str, str]:
    sent = request("http://www.example.org/dir/index.html", **asked)
    return parts(header(kind.answer(sent, challenge(*challenges)), "Authorization"))


@pytest.fixture
def rfc_cnonce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("budflow.credentials.kinds.digest.new_cnonce", lambda: CNONCE)


def test_the_first_request_goes_out_as_it_is() -> None:
    assert MUFASA.sign(ASKED, NOW) is ASKED


@pytest.mark.parametrize(
    ("challenged", "algorithm", "response"),
    [
        (MD5, "MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        (SHA256, "SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_answer_is_the_one_of_the_rfc(rfc_cnonce: None, challenged: str, algorithm: str, response: str) -> None:
    assert answered(challenged) == {
        "username": "Mufasa",
        "realm": "http-auth@example.org",
        "uri": "/dir/index.html",
        "algorithm": algorithm,
        "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "nc": "00000001",
        "cnonce": CNONCE,
        "qop": "auth",
        "response": response,
        "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
    }


def test_the_first_challenge_that_can_be_answered_is() -> None:
    assert answered("Negotiate", SHA256, MD5)["algorithm"] == "SHA-256"
    assert answered(SHA256.replace("SHA-256", "SHA3-999"), MD5)["algorithm"] == "MD5"
    assert answered(SHA256.replace("auth, auth-int", "auth-new"), MD5)["algorithm"] == "MD5"


def test_several_challenges_in_one_header_are_told_apart() -> None:
    found = answered(f'Negotiate abc==, Basic realm="simple, with a comma", {SHA256}, Bearer realm="x"')

    assert found["realm"] == "http-auth@example.org"


def test_session_keys_and_hashed_users(rfc_cnonce: None) -> None:
    def sha(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    found = answered('Digest realm="r", nonce="n", algorithm=SHA-256-sess, qop=auth, userhash=true')

    first = sha(f"{sha('Mufasa:r:Circle of Life')}:n:{CNONCE}")
    assert found["username"] == sha("Mufasa:r")
    assert found["userhash"] == "true"
    assert found["response"] == sha(f"{first}:n:00000001:{CNONCE}:auth:{sha('GET:/dir/index.html')}")


def test_the_body_is_part_of_the_proof_where_the_server_wants_that(rfc_cnonce: None) -> None:
    def md5(data: str) -> str:
        return hashlib.md5(data.encode()).hexdigest()

    found = answered('Digest realm="r", nonce="n", qop="auth-int"', method="POST", body=b"{}")

    asked = md5(f"POST:/dir/index.html:{md5('{}')}")
    assert found["qop"] == "auth-int"
    assert found["response"] == md5(f"{md5('Mufasa:r:Circle of Life')}:n:00000001:{CNONCE}:auth-int:{asked}")


def test_servers_from_before_qop_are_answered() -> None:
    found = answered('Digest realm="r", nonce="n"')

    def md5(data: str) -> str:
        return hashlib.md5(data.encode()).hexdigest()

    assert found["response"] == md5(f"{md5('Mufasa:r:Circle of Life')}:n:{md5('GET:/dir/index.html')}")
    assert "cnonce" not in found


def test_sha_512_256_is_the_one_of_fips_180_4() -> None:
    def sha(data: str) -> str:
        return hashlib.new("sha512_256", data.encode()).hexdigest()

    found = answered('Digest realm="r", nonce="n", algorithm=SHA-512-256')

    assert found["response"] == sha(f"{sha('Mufasa:r:Circle of Life')}:n:{sha('GET:/dir/index.html')}")


def test_the_query_is_part_of_the_address_and_a_missing_path_is_the_root() -> None:
    for url, uri in (
        ("https://a.example/x?a=1&b", "/x?a=1&b"),
        ("https://a.example", "/"),
        ("https://a.example?q", "/?q"),
        ("https://a.example/x?", "/x?"),
        ("https://a.example/x?a#b", "/x?a"),
    ):
        signed = MUFASA.answer(request(url), challenge(MD5))
        assert parts(header(signed, "Authorization"))["uri"] == uri


def test_each_answer_has_a_nonce_of_its_own() -> None:
    assert answered(MD5)["cnonce"] != answered(MD5)["cnonce"]


def test_quotes_and_foreign_letters_in_names_stay_what_they_are() -> None:
    quoting = Digest.model_validate({"user": 'a"b\\c', "password": "p"})
    foreign = Digest.model_validate({"user": "Jäsøn Doe", "password": "p"})

    assert answered('Digest realm="say \\"x\\"", nonce="n"', kind=quoting)["username"] == 'a\\"b\\\\c'
    assert answered('Digest realm="say \\"x\\"", nonce="n"', kind=quoting)["realm"] == 'say \\"x\\"'
    assert answered(MD5, kind=foreign)["username*"] == "UTF-8''J%C3%A4s%C3%B8n%20Doe"  # RFC 7616, 3.9.2.


@pytest.mark.parametrize(
    "response",
    [
        challenge(MD5, status=200),
        challenge(MD5, status=403),
        challenge(),
        challenge('Basic realm="x"'),
        challenge("Digest"),
        challenge("Digest ,,,=,"),
        challenge('Digest realm="r"'),
        challenge('Digest nonce="n"'),
        challenge('Digest realm="r", nonce="n", algorithm=ROT13'),
        challenge('Digest realm="r", nonce="n", qop="magic"'),
        challenge('realm="r", nonce="n"'),
        challenge(""),
    ],
)
def test_what_is_no_challenge_is_not_answered(response: Any) -> None:
    assert MUFASA.answer(ASKED, response) is None


def test_a_challenge_cannot_break_the_header() -> None:
    value = header(MUFASA.answer(ASKED, challenge('Digest realm="a\r\nX-Evil: 1", nonce="n\x00"')), "Authorization")

    assert not re.search(r"[\x00-\x1f\x7f]", value)


def test_the_password_is_never_sent() -> None:
    signed = MUFASA.answer(ASKED, challenge(MD5))

    assert "Circle" not in str(signed)

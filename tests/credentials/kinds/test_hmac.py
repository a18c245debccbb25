"""hmac: a shared secret that signs the body in a header, and checks what comes in."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from budflow.credentials.kinds.hmac import Hmac
from tests.credentials.kinds.requests import NOW, header, request

#: RFC 4231, 4.3, and RFC 2202, 3: "Jefe".
BODY = b"what do ya want for nothing?"
SHA1 = "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
SHA256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
SHA512 = (
    "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b6"
    "36e070a38bce737"
)


def hmac(**values: Any) -> Hmac:
    return Hmac.model_validate({"secret": "Jefe", **values})


@pytest.mark.parametrize(("algorithm", "expected"), [("sha1", SHA1), ("sha256", SHA256), ("sha512", SHA512)])
def test_the_body_is_signed_as_the_rfc_shows(algorithm: str, expected: str) -> None:
    kind = hmac(algorithm=algorithm)

    assert header(kind.sign(request(body=BODY), NOW), "X-Signature") == expected
    assert kind.verify(expected, BODY)


def test_a_secret_of_any_characters_is_used_as_utf_8() -> None:
    # RFC 4231, 4.2.
    assert hmac(secret="\x0b" * 20).verify(
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", b"Hi There"
    )


def test_a_request_without_a_body_is_signed_as_one_with_an_empty_one() -> None:
    kind = hmac()

    assert kind.verify(header(kind.sign(request(), NOW), "X-Signature"), b"")


def test_header_prefix_and_encoding_are_the_systems_own() -> None:
    kind = hmac(header="X-Hub-Signature-256", prefix="sha256=", encoding="base64")
    written = "sha256=W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="

    assert header(kind.sign(request(body=BODY), NOW), "x-hub-signature-256") == written
    assert kind.verify(written, BODY)
    assert not kind.verify(written.removeprefix("sha256="), BODY)


@pytest.mark.parametrize(
    "given", [None, "", "zz", SHA256[:-1], SHA256[:-2], SHA256 + "00", SHA1, "é", SHA256[:-1] + "4"]
)
def test_another_signature_is_refused(given: str | None) -> None:
    assert not hmac().verify(given, BODY)


def test_another_body_and_another_secret_are_refused() -> None:
    assert not hmac().verify(SHA256, BODY + b" ")
    assert not hmac(secret="Jefe2").verify(SHA256, BODY)


def test_the_time_is_signed_with_the_body() -> None:
    kind = hmac(timestamp_header="X-Timestamp")

    signed = kind.sign(request(body=BODY), NOW)

    time = header(signed, "X-Timestamp")
    assert time == str(int(NOW.timestamp()))
    assert hmac().verify(header(signed, "X-Signature"), f"{time}.".encode() + BODY)
    assert kind.verify(header(signed, "X-Signature"), BODY, timestamp=time, now=NOW)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_an_old_signature_is_refused(minutes: int) -> None:
    kind = hmac(timestamp_header="X-Timestamp")
    signed = kind.sign(request(body=BODY), NOW)

    assert not kind.verify(
        header(signed, "X-Signature"),
        BODY,
        timestamp=header(signed, "X-Timestamp"),
        now=NOW + timedelta(minutes=minutes),
    )


@pytest.mark.parametrize("timestamp", [None, "", "1", "now", "-5", "\uff11\uff12", "9" * 400])
def test_a_signature_without_its_time_is_refused(timestamp: str | None) -> None:
    kind = hmac(timestamp_header="X-Timestamp")
    value = header(kind.sign(request(body=BODY), NOW), "X-Signature")

    assert not kind.verify(value, BODY, timestamp=timestamp, now=NOW)


@pytest.mark.parametrize(
    "values", [{"algorithm": "md5"}, {"encoding": "base32"}, {"prefix": "a\nb"}, {"header": "X Y"}, {"secret": ""}]
)
def test_what_cannot_be_used_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        hmac(**values)

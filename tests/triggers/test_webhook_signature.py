"""A signed webhook takes only requests with a valid HMAC, however senders write it."""

import base64
import hashlib
import hmac
import logging

import pytest

from budflow.nodes.trigger.webhook import Signature
from budflow.triggers.webhook_signature import SecretMissing, SignatureRefused, check_signature

BODY = b'{"ref": "main"}'
ENVIRONMENT = {"BUDFLOW_SECRET_HOOK": "It's a Secret to Everybody"}
SECRET = ENVIRONMENT["BUDFLOW_SECRET_HOOK"].encode()


def test_the_example_of_githubs_documentation_is_valid() -> None:
    digest = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

    check_signature(Signature(secret="HOOK"), f"sha256={digest}", b"Hello, World!", ENVIRONMENT)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_other_hashes_and_encodings_are_understood(algorithm: str) -> None:
    signature = Signature.model_validate(
        {"secret": "HOOK", "algorithm": algorithm, "encoding": "base64", "prefix": "", "header": "X-Signed"}
    )
    written = base64.b64encode(hmac.new(SECRET, BODY, algorithm).digest()).decode()

    check_signature(signature, written, BODY, ENVIRONMENT)


def test_hex_digits_may_be_upper_case() -> None:
    written = hmac.new(SECRET, BODY, hashlib.sha256).hexdigest().upper()

    check_signature(Signature(secret="HOOK"), f"sha256={written}", BODY, ENVIRONMENT)


@pytest.mark.parametrize("header", [None, "", "sha256=", "sha256=zz", "sha256=00", "sha1=" + "0" * 40, "ü"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_what_is_missing_malformed_or_wrong_is_refused(header: str | None, encoding: str) -> None:
    signature = Signature.model_validate({"secret": "HOOK", "encoding": encoding})

    with pytest.raises(SignatureRefused):
        check_signature(signature, header, BODY, ENVIRONMENT)


def test_a_signature_of_another_body_is_refused() -> None:
    written = hmac.new(SECRET, BODY, hashlib.sha256).hexdigest()

    with pytest.raises(SignatureRefused):
        check_signature(Signature(secret="HOOK"), f"sha256={written}", BODY + b" ", ENVIRONMENT)


@pytest.mark.parametrize("environment", [{}, {"BUDFLOW_SECRET_HOOK": ""}])
def test_without_its_secret_a_server_refuses_all_and_names_the_variable_only_in_its_log(
    environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    empty_key = hmac.new(b"", BODY, hashlib.sha256).hexdigest()

    with caplog.at_level(logging.ERROR), pytest.raises(SecretMissing) as missing:
        check_signature(Signature(secret="HOOK"), f"sha256={empty_key}", BODY, environment)

    assert "BUDFLOW_SECRET_HOOK" not in f"{missing.value} {missing.value.hint} {missing.value.details}"
    assert caplog.records[0].fields == {"variable": "BUDFLOW_SECRET_HOOK"}  # type: ignore[attr-defined] # Log sets it

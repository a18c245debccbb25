"""A signed webhook takes only requests with a valid HMAC, however senders write it."""

import base64
import hashlib
import hmac
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from budflow.credentials.kinds.hmac import Hmac
from budflow.errors import BudflowError
from budflow.execution.ports import CredentialUser
from budflow.model.credential import CredentialNotFound, CredentialRefused, CredentialUnfit, CredentialUnreadable
from budflow.model.credential_kind import OpenCredential
from budflow.nodes.trigger.webhook import Signature
from budflow.services.credential_ports import EncryptionKeyMissing
from budflow.storage.errors import StorageUnavailable
from budflow.triggers.webhook import WebhookRequest
from budflow.triggers.webhook_signature import (
    SecretMissing,
    SignatureRefused,
    check_signature,
    check_signed,
    open_signature,
)

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


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
USER = CredentialUser("default", "wf_1", "ada")


def shared(**fields: Any) -> OpenCredential:
    kind = Hmac.model_validate({"secret": SECRET.decode(), **fields})
    return OpenCredential("crd_1", "github", "hmac", kind, ("*",))


def request(headers: dict[str, str], body: bytes = BODY) -> WebhookRequest:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return WebhookRequest("POST", "hook", b"", raw, body)


def test_a_credential_says_where_the_signature_stands_and_how() -> None:
    written = base64.b64encode(hmac.new(SECRET, BODY, "sha512").digest()).decode()
    credential = shared(header="X-Signed", algorithm="sha512", encoding="base64", prefix="v1=")

    check_signed(credential, request({"X-Signed": f"v1={written}"}), NOW)


@pytest.mark.parametrize(
    "headers", [{}, {"X-Signature": ""}, {"X-Signature": "00"}, {"X-Signature": "zz"}, {"X-Signature": "\xfc"}]
)
def test_what_the_credential_did_not_sign_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(SignatureRefused):
        check_signed(shared(), request(headers), NOW)


def test_the_signature_holds_for_the_raw_body_only() -> None:
    signed = {"X-Signature": hmac.new(SECRET, BODY, "sha256").hexdigest()}

    check_signed(shared(), request(signed), NOW)
    with pytest.raises(SignatureRefused):
        check_signed(shared(), request(signed, BODY + b" "), NOW)


def test_a_signed_time_lets_a_request_pass_once_only_for_a_while() -> None:
    time = str(int(NOW.timestamp()))
    written = hmac.new(SECRET, f"{time}.".encode() + BODY, "sha256").hexdigest()
    signed = {"X-Signature": written, "X-Timestamp": time}
    credential = shared(timestamp_header="X-Timestamp")

    check_signed(credential, request(signed), NOW)
    for headers, now in ((signed, NOW + timedelta(hours=1)), ({"X-Signature": written}, NOW)):
        with pytest.raises(SignatureRefused):
            check_signed(credential, request(headers), now)


@dataclass
class Source:
    """Opens one credential, or fails."""

    answer: OpenCredential | BudflowError
    asked: tuple[object, ...] = ()

    async def open(self, user: CredentialUser, reference: str, kinds: tuple[str, ...]) -> OpenCredential:
        self.asked = (user, reference, kinds)
        if isinstance(self.answer, BudflowError):
            raise self.answer
        return self.answer


async def test_the_credential_is_opened_on_behalf_of_the_workflow_and_must_be_of_the_right_kind() -> None:
    source = Source(shared())

    assert await open_signature(source, USER, "github") is source.answer
    assert source.asked == (USER, "github", ("hmac",))


@pytest.mark.parametrize(
    "error", [CredentialNotFound, CredentialRefused, CredentialUnfit, CredentialUnreadable, EncryptionKeyMissing]
)
async def test_without_its_credential_all_are_refused_and_only_the_log_says_why(
    error: type[BudflowError], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(SecretMissing) as missing:
        await open_signature(Source(error("There is no credential `github`.")), USER, "github")

    assert "github" not in f"{missing.value} {missing.value.hint} {missing.value.details}"
    fields = caplog.records[0].fields  # type: ignore[attr-defined] # Log sets it
    assert (fields["workflow_id"], fields["credential"], fields["code"]) == ("wf_1", "github", error.code)


async def test_a_store_that_cannot_be_read_is_no_fault_of_the_credential() -> None:
    with pytest.raises(StorageUnavailable):
        await open_signature(Source(StorageUnavailable()), USER, "github")

"""ssh_key: a user and the private key that lets him into a server."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from pydantic import ValidationError

from budflow.credentials.kinds.ssh_key import SshKey
from budflow.model.credential_kind import STORED
from budflow.model.redaction import Redaction

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OPENSSH = KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
LOCKED = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame")).decode()


def ssh_key(private_key: str, passphrase: str | None = None, **context: Any) -> SshKey:
    values = {"user": "deploy", "private_key": private_key, "passphrase": passphrase}
    return SshKey.model_validate(values, **context)


@pytest.mark.parametrize(
    "text",
    [
        OPENSSH,
        OPENSSH.strip(),
        OPENSSH.replace("\n", "\r\n"),
        f"\n  {OPENSSH}",
        KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        generate_ec_key(SECP256R1())
        .private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        .decode(),
    ],
    ids=["openssh", "no line end", "windows", "indented", "pkcs8", "sec1"],
)
def test_keys_are_taken_as_the_tools_write_them(text: str) -> None:
    assert ssh_key(text).fingerprint().startswith("SHA256:")


def test_the_fingerprint_is_the_one_that_openssh_shows() -> None:
    # What `ssh-keygen -lf FILE` says of it.
    assert ssh_key(OPENSSH).fingerprint() == "SHA256:lbmsoA0yIEcEiVDRnMWuzm+nV+3ZEEpVIURqFoeSspg"


@pytest.mark.parametrize("layout", [PrivateFormat.OpenSSH, PrivateFormat.PKCS8])
def test_a_key_with_a_passphrase_is_opened(layout: PrivateFormat) -> None:
    locked = KEY.private_bytes(Encoding.PEM, layout, BestAvailableEncryption(b"open sesame")).decode()

    assert ssh_key(locked, "open sesame").fingerprint() == ssh_key(OPENSSH).fingerprint()


@pytest.mark.parametrize(
    ("text", "passphrase", "message"),
    [
        (LOCKED, None, "The private key has a passphrase: give it too."),
        (LOCKED, "canary", "The private key cannot be read, or its passphrase is wrong."),
        (OPENSSH, "canary", "The private key has no passphrase: leave it out."),
        (OPENSSH.replace("AAAA", "AABB", 1), None, "The private key cannot be read."),
        (
            Ed448PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            None,
            "The private key is of a kind that SSH does not know; make an Ed25519 key.",
        ),
        ("ssh-ed25519 AAAAcanary", None, "It must be the whole file of a private key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\ncanary", None, "It must be the whole file of a private key"),
        (
            "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----",
            None,
            "The private key cannot be read.",
        ),
    ],
    ids=["locked", "another passphrase", "not locked", "damaged", "of another kind", "public", "cut off", "empty"],
)
def test_a_key_that_does_not_open_is_refused_when_it_is_entered(
    text: str, passphrase: str | None, message: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        ssh_key(text, passphrase)

    assert message in str(refused.value)
    assert "canary" not in str(refused.value)
    assert text.splitlines()[-2 if "\n" in text else 0] not in str(refused.value)


def test_a_stored_key_is_not_tried_again() -> None:
    assert ssh_key(LOCKED, "another", context=STORED).user == "deploy"


@pytest.mark.parametrize("user", ["", "-oProxyCommand=x", "a b", "a@b", "a\nb", "a:b"])
def test_a_user_that_could_be_an_option_or_a_host_is_refused(user: str) -> None:
    with pytest.raises(ValidationError):
        SshKey.model_validate({"user": user, "private_key": OPENSSH}, context=STORED)


def test_it_signs_no_requests() -> None:
    assert not SshKey.signs()


@pytest.mark.parametrize("ending", ["\n", "\r\n", ""])
def test_the_key_and_its_passphrase_are_masked_whatever_the_lines_end_with(ending: str) -> None:
    redaction = Redaction(ssh_key(LOCKED, "open sesame").secrets())
    shown = ending.join(LOCKED.splitlines())

    assert not any(line in redaction.text(f"got {shown} there") for line in LOCKED.splitlines()[1:-1])
    assert redaction.text("with open sesame") == "with ***"

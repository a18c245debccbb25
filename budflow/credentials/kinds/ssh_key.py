"""ssh_key: a user and the private key that lets him into a server (RFC 4252, 7)."""

import asyncio
import base64
import hashlib
from collections.abc import Iterator
from typing import Annotated, ClassVar, Self

from pydantic import Field, ValidationInfo, model_validator

from budflow.credentials.key_cost import KeyTooCostly, check_cost
from budflow.model.credential_kind import STORED, CredentialKind, PingPostgres, Probed
from budflow.model.secret import Secret, SecretText

PEM = r"^\s*-----BEGIN [A-Z ]*PRIVATE KEY-----[\t\n\r\x20-\x7e]+-----END [A-Z ]*PRIVATE KEY-----\s*$"
OPENSSH_BEGIN = "-----BEGIN OPENSSH PRIVATE KEY-----"


class SshKey(CredentialKind):
    """A user and a private key for SSH and SFTP: RSA, ECDSA or Ed25519, with or without a passphrase."""

    name: ClassVar[str] = "ssh_key"

    user: str = Field(
        min_length=1,
        max_length=255,
        pattern=r"^[^\x00-\x20\x7f@:/-][^\x00-\x20\x7f@:/]*$",
        description="User on the server.",
        examples=["deploy"],
    )
    private_key: Annotated[
        Secret,
        SecretText(
            max_length=32_768,
            pattern=PEM,
            meaning="It must be the whole file of a private key, with its lines -----BEGIN …----- and -----END …-----.",
        ),
    ] = Field(
        description="The whole file of the private key, in the format of OpenSSH or in PEM (PKCS #1, PKCS #8, SEC 1).",
        examples=["-----BEGIN OPENSSH PRIVATE KEY-----\n…\n-----END OPENSSH PRIVATE KEY-----\n"],
    )
    passphrase: Annotated[Secret, SecretText(max_length=1_024)] | None = Field(
        default=None, description="Passphrase of the key, where it has one.", examples=["correct horse battery staple"]
    )

    @model_validator(mode="after")
    def _can_be_opened(self, info: ValidationInfo) -> Self:
        if info.context is not STORED:  # Trying a passphrase is slow by design.
            self.fingerprint()
        return self

    def fingerprint(self) -> str:
        """The fingerprint of the public key as OpenSSH shows it: `SHA256:…`. Takes up to a second with a passphrase.

        Raises ValueError when the key cannot be opened, or is none for SSH.
        """
        # Takes 10 ms to import, and most servers have no such credential.
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - see above
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - see above

        text = self.private_key.reveal().strip()
        is_openssh = text.startswith(OPENSSH_BEGIN)
        load = serialization.load_ssh_private_key if is_openssh else serialization.load_pem_private_key
        passphrase = None if self.passphrase is None else self.passphrase.reveal().encode()
        try:
            check_cost(text)
            # Whether the primes of RSA are prime takes up to minutes, in which nothing else runs here. It is for who
            # signs with the key to ask.
            public = load(f"{text}\n".encode(), passphrase, unsafe_skip_rsa_key_validation=True).public_key()
        except KeyTooCostly as error:
            raise ValueError(f"The private key would take too long to open: {error}.") from None
        except TypeError:
            told = "has no passphrase: leave it out" if passphrase else "has a passphrase: give it too"
            raise ValueError(f"The private key {told}.") from None
        except UnsupportedAlgorithm:
            raise ValueError("The private key is encrypted in a way that is not known here.") from None
        except ValueError:
            told = "cannot be read, or its passphrase is wrong" if passphrase else "cannot be read"
            raise ValueError(f"The private key {told}.") from None
        try:
            line = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        except (UnsupportedAlgorithm, ValueError):
            raise ValueError("The private key is of a kind that SSH does not know; make an Ed25519 key.") from None
        digest = hashlib.sha256(base64.b64decode(line.split(b" ")[1])).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    async def check(self, ping_postgres: PingPostgres) -> Probed:
        """Whether the key can be read. No server is named that it could be tried at."""
        try:
            fingerprint = await asyncio.to_thread(self.fingerprint)  # A passphrase is slow to try, by design.
        except ValueError as error:
            return Probed(False, str(error))
        return Probed(None, f"The key can be read: its fingerprint is {fingerprint}. No server was called.")

    def secrets(self) -> Iterator[str]:
        """The key as it was given and in one line, and the passphrase."""
        lines = self.private_key.reveal().strip().splitlines()
        yield from {"\n".join(lines), "\r\n".join(lines), "".join(lines[1:-1])}
        if self.passphrase is not None:
            yield self.passphrase.reveal()

"""Bytes that are sealed for one process and opened there once, with HPKE: how every secret passes between processes.

Hybrid Public Key Encryption (RFC 9180), mode base: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, as one message
`enc (32 bytes) | ciphertext`. The receiver makes a key pair for each hand-over and forgets it at the first `open`, so
that what somebody recorded opens for nobody later. Both sides name the purpose, `info`, to which the message is bound.
The mode does not prove who sealed: that key and answer travel between the right two processes is the caller's part.
"""

from typing import TYPE_CHECKING, NoReturn

from budflow.model.secret import SecretUnserializable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.hpke import Suite


class BoxRefused(Exception):
    """What came was not sealed for this receiver and this purpose, or a key is none."""


class OpenedBefore(BoxRefused):
    """The receiver has opened something, or tried to."""


class OnceReceiver:
    """Whom one message can be sealed for. It is used in the process that made it, and once."""

    def __init__(self, info: bytes) -> None:
        """`info` names the purpose, and the kind of what is handed over."""
        from cryptography.hazmat.primitives.asymmetric import x25519  # noqa: PLC0415 - as `_suite`

        self._info = info
        private = x25519.X25519PrivateKey.generate()
        self._private: x25519.X25519PrivateKey | None = private
        self.public_key = private.public_key().public_bytes_raw()

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise SecretUnserializable  # Nor does a copy open what was opened before.

    def open(self, sealed: bytes) -> bytes:
        """What was sealed. Raises BoxRefused, and OpenedBefore every time but the first."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - as `_suite`

        private, self._private = self._private, None
        if private is None:
            raise OpenedBefore
        try:
            return _suite().decrypt(sealed, private, self._info)
        except (InvalidTag, ValueError):
            raise BoxRefused from None


def seal(content: bytes, public_key: bytes, info: bytes) -> bytes:
    """Encrypt for the receiver with this public key. Raises BoxRefused where it is none."""
    from cryptography.hazmat.primitives.asymmetric import x25519  # noqa: PLC0415 - as `_suite`

    try:
        return _suite().encrypt(content, x25519.X25519PublicKey.from_public_bytes(public_key), info)
    except ValueError:  # Not 32 bytes, or a point of small order (RFC 9180, 7.1.4).
        raise BoxRefused from None


def _suite() -> "Suite":
    from cryptography.hazmat.primitives import hpke  # noqa: PLC0415 - 25 ms that a server without credentials saves

    return hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)

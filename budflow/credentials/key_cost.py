"""What opening a private key costs, read from its file before it is done: a made-up one could take a server for hours.

The passphrase of a key is made hard to guess by repeating a hash, as often as the file says. So the file is read as far
as that: of OpenSSH's format (PROTOCOL.key) the rounds of bcrypt, of encrypted PKCS #8 (RFC 5958, RFC 8018, RFC 7914)
the iterations of PBKDF2 and of PKCS #12, and the parameters of scrypt.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from math import prod

#: What ssh-keygen does unasked is 24; each takes some 7 ms.
BCRYPT_ROUNDS_MAX = 256
#: What OpenSSL does unasked is 2,048. Each takes up to 0.5 us, in which no other thread runs.
ITERATIONS_MAX = 1_000_000
#: N·r·p, of which OpenSSL takes 2^17 unasked and at most 2^18; N·r is the memory in units of 128 bytes.
SCRYPT_MAX = 2**19

_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----(.*)-----END \1-----", re.DOTALL)
_OPENSSH_MAGIC = b"openssh-key-v1\x00"
_SCRYPT = bytes.fromhex("06092b06010401da47040b")  # The object identifier 1.3.6.1.4.1.11591.4.11 (RFC 7914, 7).
_INTEGER, _SEQUENCE = 0x02, 0x30
_DEPTH_MAX = 6


class KeyUnclear(ValueError):
    """The file is not laid out as keys are, so that nobody can tell what opening it costs."""


class KeyTooCostly(ValueError):
    """Opening the key would take too long; the message says of what there is too much."""


def check_cost(text: str) -> None:
    """Raise KeyTooCostly for a key that takes more than some seconds to open, and KeyUnclear for what is none."""
    block = _BLOCK.fullmatch(text)
    if block is None or text.count("-----BEGIN") > 1:
        raise KeyUnclear
    if block[1] == "OPENSSH PRIVATE KEY":
        rounds = _bcrypt_rounds(_decoded(block[2]))
        if rounds > BCRYPT_ROUNDS_MAX:
            raise KeyTooCostly(f"{rounds} rounds of bcrypt; at most {BCRYPT_ROUNDS_MAX} are taken")
    elif block[1] == "ENCRYPTED PRIVATE KEY":
        _check_pkcs8(_decoded(block[2]))
    # Of the others those that are encrypted at all hash the passphrase once.


def _decoded(body: str) -> bytes:
    # Strictly: what one reader skips and another reads could hide from this one what the other will find.
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except binascii.Error:
        raise KeyUnclear from None


def _bcrypt_rounds(data: bytes) -> int:
    """Magic | cipher | name of the KDF | its options: salt | rounds; each text with its length in 4 bytes before it."""
    if not data.startswith(_OPENSSH_MAGIC):
        raise KeyUnclear
    _, rest = _text(data[len(_OPENSSH_MAGIC) :])
    name, rest = _text(rest)
    options, _ = _text(rest)
    if name == b"none":
        return 0
    _, rounds = _text(options)
    if len(rounds) != 4:
        raise KeyUnclear
    return int.from_bytes(rounds, "big")


def _text(data: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(data[:4], "big")
    if len(data) < 4 + size:
        raise KeyUnclear
    return data[4 : 4 + size], data[4 + size :]


def _check_pkcs8(data: bytes) -> None:
    """EncryptedPrivateKeyInfo is a sequence of the algorithm, with all its parameters, and of what is encrypted."""
    outer = list(_elements(data))
    inner = list(_elements(outer[0][1])) if outer and outer[0][0] == _SEQUENCE else []
    if not inner or inner[0][0] != _SEQUENCE:
        raise KeyUnclear
    algorithm = inner[0][1]
    for numbers in _numbers(algorithm, _DEPTH_MAX):
        if _SCRYPT in algorithm:
            if prod(numbers[:3]) > SCRYPT_MAX:  # N, r and p; the length of the key may follow.
                raise KeyTooCostly("scrypt with more work than OpenSSL takes")
        elif max(numbers) > ITERATIONS_MAX:
            raise KeyTooCostly(f"{max(numbers)} iterations; at most {ITERATIONS_MAX} are taken")


def _numbers(data: bytes, depth: int) -> Iterator[list[int]]:
    """The integers of each sequence in it that has any."""
    if depth == 0:
        raise KeyUnclear
    elements = list(_elements(data))
    numbers = [int.from_bytes(content, "big") for tag, content in elements if tag == _INTEGER]
    if numbers:
        yield numbers
    for tag, content in elements:
        if tag == _SEQUENCE:
            yield from _numbers(content, depth - 1)


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each (X.690, DER)."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at + 1 : at + 2], "big")
        start = at + 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(data[at + 2 : start], "big")
        if start + size > len(data):
            raise KeyUnclear
        yield data[at], data[start : start + size]
        at = start + size

"""Text: digests and signatures of its UTF-8 bytes."""

import base64
import hashlib
import hmac as hmac_of
import zlib
from collections.abc import Mapping
from types import MappingProxyType

from budflow.expressions.arguments import one_of, text as as_text
from budflow.expressions.budget import Budget, Fault
from budflow.expressions.declare import method

# RIPEMD-160, which n8n also has, is not in every OpenSSL.
ALGORITHMS: Mapping[str, str] = MappingProxyType(
    {
        **{name: name for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "blake2b", "blake2s")},
        "sha3": "sha3_512",
        "sha3_224": "sha3_224",
        "sha3_256": "sha3_256",
        "sha3_384": "sha3_384",
        "sha3_512": "sha3_512",
    }
)
ENCODINGS = ("hex", "base64", "base64url")


@method(
    str,
    name="hash",
    examples=[
        ("'hello'.hash('md5')", "5d41402abc4b2a76b9719d911017c592"),
        ("'hello'.hash('sha1', 'base64')", "qvTGHdzF6KLavt4PO0gs2a6pQ00="),
    ],
)
def hash_method(budget: Budget, text: str, algorithm: str = "sha256", encoding: str = "hex") -> str:
    """The digest by the algorithm (md5, sha1, sha256, sha512, sha3_256, blake2b …), as hex, base64 or base64url."""
    data = _bytes(budget, text)
    name = ALGORITHMS[one_of(algorithm, ALGORITHMS, "hash algorithm")]
    return _written(hashlib.new(name, data, usedforsecurity=False).digest(), encoding)


@method(
    str,
    name="hmac",
    examples=[
        ("'hello'.hmac('key')", "9307b3b915efb5171ff14d8cb55fbcc798c6c0ef1456d66ded1a6aa723a58b7b"),
        ("'hello'.hmac('key', 'sha1', 'base64')", "s0zqxFFv8joUPmHXnQ+npPvl8mY="),
    ],
)
def hmac(budget: Budget, text: str, key: str, algorithm: str = "sha256", encoding: str = "hex") -> str:
    """The signature (HMAC, RFC 2104) of the text by a key, as hex, base64 or base64url."""
    data, secret = _bytes(budget, text), _bytes(budget, as_text(key, "key"))
    name = ALGORITHMS[one_of(algorithm, ALGORITHMS, "hash algorithm")]
    return _written(hmac_of.digest(secret, data, name), encoding)


@method(str, name="md5", examples=[("'a'.md5()", "0cc175b9c0f1b6a831c399e269772661")])
def md5(budget: Budget, text: str) -> str:
    """The MD5 digest in hexadecimal: a check sum, no protection."""
    return hashlib.md5(_bytes(budget, text), usedforsecurity=False).hexdigest()


@method(str, name="sha1", examples=[("'a'.sha1()", "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8")])
def sha1(budget: Budget, text: str) -> str:
    """The SHA-1 digest in hexadecimal: a check sum, no protection."""
    return hashlib.sha1(_bytes(budget, text), usedforsecurity=False).hexdigest()


@method(
    str,
    name="sha256",
    examples=[("'a'.sha256()", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb")],
)
def sha256(budget: Budget, text: str) -> str:
    """The SHA-256 digest in hexadecimal."""
    return hashlib.sha256(_bytes(budget, text)).hexdigest()


@method(str, name="sha512", examples=[("'a'.sha512()[:16]", "1f40fc92da241694")])
def sha512(budget: Budget, text: str) -> str:
    """The SHA-512 digest in hexadecimal."""
    return hashlib.sha512(_bytes(budget, text)).hexdigest()


@method(str, name="crc32", examples=[("'hello'.crc32()", "3610a686")])
def crc32(budget: Budget, text: str) -> str:
    """The CRC-32 check sum in hexadecimal."""
    return f"{zlib.crc32(_bytes(budget, text)):08x}"


def _bytes(budget: Budget, text: str) -> bytes:
    budget.text(len(text))
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Fault("the text holds half a character, which UTF-8 cannot") from None


def _written(digest: bytes, encoding: str) -> str:
    kind = one_of(encoding, ENCODINGS, "encoding")
    if kind == "hex":
        return digest.hex()
    if kind == "base64":
        return base64.b64encode(digest).decode()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")

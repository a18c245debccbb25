"""What opening a private key costs, read from its file."""

import base64
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from budflow.credentials.key_cost import BCRYPT_ROUNDS_MAX, ITERATIONS_MAX, KeyTooCostly, KeyUnclear, check_cost
from budflow.credentials.kinds.ssh_key import SshKey

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PBES2, PBKDF2 = bytes.fromhex("06092a864886f70d01050d"), bytes.fromhex("06092a864886f70d01050c")
SCRYPT, PKCS12 = bytes.fromhex("06092b06010401da47040b"), bytes.fromhex("060a2a864886f70d010c0103")
AES = bytes.fromhex("301d060960864801650304012a0410") + bytes(16)
SALT = bytes.fromhex("0408") + bytes(8)


def der(*parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes([0x30, 0x82]) + len(content).to_bytes(2, "big") + content


def number(value: int) -> bytes:
    size = value.bit_length() // 8 + 1
    head = bytes([0x02, size]) if size < 128 else bytes([0x02, 0x82]) + size.to_bytes(2, "big")
    return head + value.to_bytes(size, "big")


def pem(data: bytes, label: str = "ENCRYPTED PRIVATE KEY") -> str:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(data).decode()}-----END {label}-----"


def encrypted(algorithm: bytes) -> str:
    return pem(der(algorithm, bytes([0x04, 16]) + bytes(16)))


def pbkdf2(iterations: int) -> str:
    return encrypted(der(PBES2, der(der(PBKDF2, der(SALT, number(iterations))), AES)))


def scrypt(n: int, r: int, p: int) -> str:
    return encrypted(der(PBES2, der(der(SCRYPT, der(SALT, number(n), number(r), number(p), number(32))), AES)))


def pkcs12(iterations: int) -> str:
    return encrypted(der(PKCS12, der(SALT, number(iterations))))


def bcrypt(rounds: int) -> str:
    options = _text(bytes(16)) + rounds.to_bytes(4, "big")
    data = b"openssh-key-v1\x00" + _text(b"aes256-ctr") + _text(b"bcrypt") + _text(options)
    return pem(data + bytes(64), "OPENSSH PRIVATE KEY")


def _text(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


@pytest.mark.parametrize(
    "costly",
    [
        bcrypt(BCRYPT_ROUNDS_MAX + 1),
        bcrypt(2**32 - 1),
        pbkdf2(ITERATIONS_MAX + 1),
        pbkdf2(2**31),
        pkcs12(2**31),
        scrypt(2**20, 8, 1),
        scrypt(2, 2**26, 1),
        scrypt(2**14, 8, 2**20),
    ],
)
def test_a_key_made_to_take_hours_is_refused_before_it_is_opened(costly: str) -> None:
    with pytest.raises(KeyTooCostly):
        check_cost(costly)

    values = {"user": "deploy", "private_key": costly, "passphrase": "open sesame"}
    with pytest.raises(ValidationError, match="would take too long to open"):
        SshKey.model_validate(values)


@pytest.mark.parametrize("cheap", [bcrypt(100), pbkdf2(600_000), pkcs12(2_048), scrypt(2**14, 8, 1)])
def test_what_the_tools_ask_for_is_not_too_much(cheap: str) -> None:
    check_cost(cheap)


@pytest.mark.parametrize("layout", [PrivateFormat.OpenSSH, PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("locked", [False, True])
def test_keys_as_the_tools_write_them_pass(layout: PrivateFormat, *, locked: bool) -> None:
    if layout is PrivateFormat.TraditionalOpenSSL:
        key = generate_private_key(SECP256R1())
        text = key.private_bytes(Encoding.PEM, layout, BestAvailableEncryption(b"x") if locked else NoEncryption())
    else:
        text = KEY.private_bytes(Encoding.PEM, layout, BestAvailableEncryption(b"x") if locked else NoEncryption())

    check_cost(text.decode().strip())


@pytest.mark.parametrize(
    "unclear",
    [
        "",
        pem(b"", "OPENSSH PRIVATE KEY"),
        pem(b"openssh-key-v1\x00\x00\x00\x00\x04no", "OPENSSH PRIVATE KEY"),
        pem(b""),
        pem(der()),
        pem(der(der(PBES2))[:-3]),
        f"{bcrypt(16)}\n{bcrypt(2**31)}",
        bcrypt(16).replace("\n", "\nAAAA:\n", 1),
        bcrypt(2**31).replace("END OPENSSH", "END RSA"),
    ],
)
def test_what_two_readers_could_read_in_two_ways_is_no_key(unclear: str) -> None:
    with pytest.raises(KeyUnclear):
        check_cost(unclear)


def test_a_key_of_huge_primes_takes_no_time() -> None:
    p, q, e = 2**9689 - 1, 2**9941 - 1, 65_537  # Mersenne primes: to check them takes OpenSSL a minute or more.
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = (0, p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    begun = time.monotonic()

    SshKey.model_validate({"user": "deploy", "private_key": pem(der(*map(number, numbers)), "RSA PRIVATE KEY")})

    assert time.monotonic() - begun < 5

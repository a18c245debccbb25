"""digest: a user and a password that prove themselves without being sent (RFC 7616)."""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar
from urllib.parse import quote
from urllib.request import parse_http_list

from pydantic import Field

from budflow.model.credential_kind import CredentialKind
from budflow.model.http import HttpRequest, HttpResponse
from budflow.model.secret import Secret, SecretText

#: The names of RFC 7616, 6.1, as hashlib knows them. SHA-512-256 is the one of FIPS 180-4, as servers and curl have it.
HASHES: Mapping[str, str] = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}

#: Every answer is to a nonce of its own, so it is always the first.
NONCE_COUNT = "00000001"

_ITEM = re.compile(
    r"(?:(?P<scheme>[\w!#$%&'*+.^`|~-]+)\s+)?(?P<name>[\w!#$%&'*+.^`|~-]+)\s*=\s*(?P<value>.*)",
    re.DOTALL | re.ASCII,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Hash = Callable[[str | bytes], str]


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a server asks (RFC 7616, 3.3). `protection` is the `qop` to answer with: "" as before there were any (RFC
    2069), None where none is known.
    """

    realm: str
    nonce: str
    algorithm: str
    protection: str | None
    opaque: str | None
    userhash: bool


class Digest(CredentialKind):
    """A user and a password for HTTP's Digest authentication, which proves the password without sending it.

    Each request is sent twice: once to be asked, and once with the answer.
    """

    name: ClassVar[str] = "digest"
    sends_secrets: ClassVar[bool] = False

    user: str = Field(
        min_length=1, max_length=1_024, pattern=r"^[^\x00-\x1f\x7f:]+$", description="User.", examples=["camera"]
    )
    password: Annotated[
        Secret,
        SecretText(max_length=4_096, pattern=r"^[^\x00-\x1f\x7f]+$", meaning="It must not hold control characters."),
    ] = Field(description="Password.", examples=["correct horse battery staple"])

    def sign(self, request: HttpRequest, now: datetime) -> HttpRequest:
        """As it is: there is nothing to answer before the server asks."""
        return request

    def answer(self, request: HttpRequest, response: HttpResponse) -> HttpRequest | None:
        """The request with the answer to the first challenge of a 401 that can be answered."""
        if response.status != 401:
            return None
        for challenge in _challenges(response):
            if (known := _hash_of(challenge.algorithm)) and challenge.protection is not None:
                value = self._authorization(request, challenge, known, new_cnonce())
                return request.with_header("Authorization", value)
        return None

    def _authorization(self, request: HttpRequest, challenge: Challenge, hashed: Hash, cnonce: str) -> str:
        """The value of the header (RFC 7616, 3.4)."""
        uri = _target(request.url)
        qop = challenge.protection
        secret = hashed(f"{self.user}:{challenge.realm}:{self.password.reveal()}")
        if challenge.algorithm.upper().endswith("-SESS"):
            secret = hashed(f"{secret}:{challenge.nonce}:{cnonce}")
        asked = f"{request.method}:{uri}"
        if qop == "auth-int":
            asked += f":{hashed(request.body or b'')}"
        proof = f"{challenge.nonce}:{NONCE_COUNT}:{cnonce}:{qop}" if qop else challenge.nonce
        fields = [
            self._user(challenge, hashed),
            f"realm={_quoted(challenge.realm)}",
            f"nonce={_quoted(challenge.nonce)}",
            f"uri={_quoted(uri)}",
            f'response="{hashed(f"{secret}:{proof}:{hashed(asked)}")}"',
            f"algorithm={challenge.algorithm}",
        ]
        if qop:
            fields += [f"qop={qop}", f"nc={NONCE_COUNT}", f'cnonce="{cnonce}"']
        if challenge.opaque is not None:
            fields.append(f"opaque={_quoted(challenge.opaque)}")
        if challenge.userhash:
            fields.append("userhash=true")
        return "Digest " + ", ".join(fields)

    def _user(self, challenge: Challenge, hashed: Hash) -> str:
        if challenge.userhash:
            return f'username="{hashed(f"{self.user}:{challenge.realm}")}"'
        if self.user.isascii():
            return f"username={_quoted(self.user)}"
        return f"username*=UTF-8''{quote(self.user, safe='!#$&+-.^_`|~')}"  # RFC 8187, 3.2.


def _target(url: str) -> str:
    """What the request line names (RFC 9112, 3.2.1): path and query, an empty one too."""
    target = re.sub(r"^[^:/?#]+://[^/?#]*", "", url.partition("#")[0])
    return target if target.startswith("/") else f"/{target}"


def new_cnonce() -> str:
    """The client's part of a proof, of which no two are alike."""
    return secrets.token_hex(16)


def _challenges(response: HttpResponse) -> Iterator[Challenge]:
    """Those of the scheme Digest in the order of the server's preference; faulty ones are left out."""
    for name, value in response.headers:
        if name.lower() == "www-authenticate":
            for scheme, found in _schemes(value):
                if scheme == "digest" and "realm" in found and "nonce" in found:
                    yield _challenge(found)


def _schemes(value: str) -> list[tuple[str, dict[str, str]]]:
    """The challenges of one header field: scheme and parameters (RFC 9110, 11.6.1)."""
    found: list[tuple[str, dict[str, str]]] = []
    for item in parse_http_list(value):
        matched = _ITEM.fullmatch(item)
        if matched is None:
            found.append((item.strip().lower(), {}))
            continue
        if matched["scheme"]:
            found.append((matched["scheme"].lower(), {}))
        if found:
            found[-1][1].setdefault(matched["name"].lower(), _unquoted(matched["value"].strip()))
    return found


def _challenge(found: Mapping[str, str]) -> Challenge:
    offered = {token.strip().lower() for token in found.get("qop", "").split(",")} - {""}
    protection = next((known for known in ("auth", "auth-int") if known in offered), None if offered else "")
    return Challenge(
        realm=found["realm"],
        nonce=found["nonce"],
        algorithm=found.get("algorithm", "MD5"),
        protection=protection,
        opaque=found.get("opaque"),
        userhash=found.get("userhash", "").lower() == "true",
    )


def _hash_of(algorithm: str) -> Hash | None:
    name = HASHES.get(algorithm.upper().removesuffix("-SESS"))
    if name is None or name not in hashlib.algorithms_available:
        return None

    def hashed(data: str | bytes) -> str:
        raw = data.encode() if isinstance(data, str) else data
        return hashlib.new(name, raw, usedforsecurity=False).hexdigest()  # What the server asks for, be it MD5.

    return hashed


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquoted(text: str) -> str:
    """A quoted string's text (RFC 9110, 5.6.4), without what could break a header that repeats it."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    return _CONTROL.sub("", text)

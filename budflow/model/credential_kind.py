"""How a kind of credential is declared: one pydantic model with its fields, and how it signs an HTTP request.

A kind stands in budflow/credentials/kinds, in a file of its name. From its declaration follow the schema for the API,
for agents and for forms, the check of what is entered, and what is masked.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from budflow.errors import BudflowError
from budflow.model.credential import HostRefused
from budflow.model.host_pattern import allows
from budflow.model.http import HttpRequest, HttpResponse
from budflow.model.redaction import Redaction
from budflow.model.secret import Secret

#: `kind.model_validate_json(values, context=STORED)`: what was checked when it was entered is not checked again where
#: that takes long.
STORED: Mapping[str, bool] = MappingProxyType({"stored": True})
HOST_SHOWN_CHARS_MAX = 260
#: How many addresses one credential remembers that it may be sent to.
COVERED_MAX = 100


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of trying a credential. `works` None: it could not be found out; `answer` says what was seen."""

    works: bool | None
    answer: str


#: Tries to be let into the PostgreSQL database at an address.
PingPostgres = Callable[[str], Awaitable[Probed]]


class KindCannotSign(BudflowError):
    """A credential of this kind cannot sign an HTTP request."""

    code = "credential.cannot_sign"
    http_status = 422
    hint = "Use one of a kind that signs requests, such as `bearer` or `api_key_header`."


class CredentialKind(BaseModel):
    """The values of a credential. The docstring's first line says what the kind is; every field has a description.

    Secret fields are `Annotated[Secret, SecretText(…)]`. A kind that overrides `sign` can be used by `http.request`.
    Nothing here may put a secret into an error.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    #: The kind's name, which is that of its module.
    name: ClassVar[str]
    #: Whether the secrets themselves are sent. Where they only prove something no server needs to see them: expressions
    #: do not get them, by which an author could have a server store what nobody but this one may know.
    sends_secrets: ClassVar[bool] = True

    @classmethod
    def signs(cls) -> bool:
        """Whether it can sign HTTP requests."""
        return cls.sign is not CredentialKind.sign

    @classmethod
    def fits(cls, kinds: tuple[str, ...]) -> bool:
        """Whether a slot that names these kinds takes it; one that names none takes every kind that signs."""
        return cls.name in kinds if kinds else cls.signs()

    def sign(self, request: HttpRequest, now: datetime) -> HttpRequest:
        """The request with what proves who sends it. Called for every attempt and each hop to the same origin.

        `request` is what is going to be sent: its address is encoded and names neither user nor password.
        """
        raise KindCannotSign

    def answer(self, request: HttpRequest, response: HttpResponse) -> HttpRequest | None:
        """The signed request to send instead, where the response is a challenge (RFC 9110, 11); None: it is no such.

        `request` is unsigned.
        """
        return None

    def probe(self) -> HttpRequest | None:
        """The harmless request that shows whether the credential works, where the kind itself knows one."""
        return None

    async def check(self, ping_postgres: PingPostgres) -> Probed | None:
        """What shows without a signed request whether the credential works; None: only such a request can."""
        return None

    def secrets(self) -> Iterator[str]:
        """Every secret text in it, for masking."""
        return _secrets(self)


class OpenCredential:
    """A credential decrypted for one call of a node. It shows its name and nothing else."""

    __slots__ = ("_covered", "hosts", "id", "kind", "name", "redaction", "values")

    def __init__(
        self, credential_id: str, name: str, kind: str, values: CredentialKind, hosts: tuple[str, ...]
    ) -> None:
        self.id, self.name, self.kind, self.values, self.hosts = credential_id, name, kind, values, hosts
        self.redaction = Redaction(values.secrets())
        self._covered: set[str] = set()

    def __repr__(self) -> str:
        return f"<credential {self.name}>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Secret("").__reduce_ex__(protocol)  # Refuses, as every secret does.

    def require_host(self, url: str) -> None:
        """Raise HostRefused unless the credential may be sent to this address."""
        if url in self._covered:
            return
        if not allows(self.hosts, url):
            # The address itself may hold a secret in its query.
            raise HostRefused(f"The credential `{self.name}` may not be sent to {_origin(url)}.", credential=self.name)
        if len(self._covered) == COVERED_MAX:
            self._covered.clear()
        self._covered.add(url)

    def fields(self) -> Mapping[str, Any]:
        """Its fields for expressions: the secret ones opaque, or left out where the kind never sends them."""
        kind, secrets = type(self.values), frozenset(self.values.secrets())
        fields = {name: getattr(self.values, name) for name in kind.model_fields}
        if not kind.sends_secrets:
            return {name: value for name, value in fields.items() if not any(True for _ in _secrets(value))}
        # A kind may say of a plain text that it is secret at times: the user, where there is no password.
        return {
            name: Secret(value) if isinstance(value, str) and value in secrets else value
            for name, value in fields.items()
        }


@dataclass(frozen=True, slots=True)
class CredentialSlot:
    """A role that a node type gives a credential, such as `auth`.

    `kinds` are the kinds it takes; empty: every kind that signs HTTP requests. With `at_door` the trigger's door uses
    it and the node itself never sees it. `instead_of` names the parameter that says the same without a credential: of
    the two only one may be given.
    """

    description: str
    kinds: tuple[str, ...] = ()
    required: bool = False
    at_door: bool = False
    instead_of: str | None = None


def redaction_of(credentials: Mapping[str, OpenCredential]) -> Redaction | None:
    """What masks the secrets of all of them; None where there are none."""
    if not credentials:
        return None
    if len(credentials) == 1:
        [credential] = credentials.values()
        return credential.redaction
    # One for all: a secret that is part of another's would leave the rest of that one standing.
    return Redaction(secret for credential in credentials.values() for secret in credential.values.secrets())


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, Secret):
        yield value.reveal()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _secrets(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets(inner)


def _origin(url: str) -> str:
    """Scheme, host and port, without what may be secret: user, password, path and query."""
    scheme, separator, rest = url.partition("://")
    host = re.split(r"[/?#\\]", rest, maxsplit=1)[0].rpartition("@")[2]
    if not separator or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,20}", scheme) or not host.isprintable():
        return "this address"
    return f"{scheme}://{host[:HOST_SHOWN_CHARS_MAX]}"

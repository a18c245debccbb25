"""A credential of every kind there is, with canaries for its secrets: a new kind takes part as soon as it is found."""

from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from budflow.credentials.find_kinds import find_kinds
from budflow.model.credential_kind import CredentialKind, CredentialSlot, OpenCredential
from budflow.services.kind_fields import fields_of
from tests.canaries.canary import forms_of, new_canary
from tests.credentials.kinds.requests import NOW, request

#: The oddest first: each kind gets what it takes.
ODDS = ('/"%\\', "/=+", "~")


@dataclass
class Kept:
    """A credential's kind, its values, and the canaries in them."""

    kind: type[CredentialKind]
    values: dict[str, Any]
    canaries: list[str]

    def opened(self) -> OpenCredential:
        """As a node gets it."""
        return OpenCredential(
            f"crd_{self.name}", self.name, self.kind.name, self.kind.model_validate(self.values), ("*",)
        )

    @property
    def name(self) -> str:
        """By which workflows refer to it."""
        return name_of(self.kind)

    @property
    def is_sent(self) -> bool:
        """Whether a canary itself is sent, and not only what was computed with it."""
        if not self.kind.signs():
            return False
        signed = self.kind.model_validate(self.values).sign(request(), NOW)
        said = "\n".join([signed.url, *(value for _, value in signed.headers)]).encode()
        return any(form in said for canary in self.canaries for form in forms_of(canary).values())


def name_of(kind: type[CredentialKind]) -> str:
    """What the one of this kind is called."""
    return kind.name.replace("_", "-")


def one_of_every_kind() -> list[Kept]:
    """In the order of their names."""
    return [one_of(kind) for kind in find_kinds().values()]


def one_of(kind: type[CredentialKind]) -> Kept:
    """By the kind's schema, but for those of which the secrets have a form of their own."""
    own = {"basic": _basic, "database_url": _database_url, "ssh_key": _ssh_key}
    return own.get(kind.name, _of_any)(kind)


def first_that_fits(slot: CredentialSlot) -> type[CredentialKind]:
    """The first kind that a slot takes."""
    return next(kind for kind in find_kinds().values() if kind.fits(slot.kinds))


def _of_any(kind: type[CredentialKind]) -> Kept:
    """By its schema: canaries for the secrets that it needs, examples for what else."""
    for odd in ODDS:
        kept = _filled(kind, odd)
        try:
            kind.model_validate(kept.values)
        except ValidationError:
            continue
        return kept
    raise AssertionError(f"The secrets of the kind {kind.name} have a form of their own: write down here which.")


def _filled(kind: type[CredentialKind], odd: str) -> Kept:
    schema = kind.model_json_schema()
    kept = Kept(kind, {}, [])
    for field in fields_of(schema):
        if not field.required:
            continue
        if field.secret:
            canary = new_canary(field.name, odd)
            kept.canaries.append(canary)
            kept.values[field.name] = {"X-Odd": canary} if field.shape == "pairs" else canary
        else:
            kept.values[field.name] = schema["properties"][field.name]["examples"][0]
    return kept


def _basic(kind: type[CredentialKind]) -> Kept:
    password = new_canary("pass:ä ", ODDS[0])  # Beyond ASCII only here: it is sent as base64.
    return Kept(kind, {"user": "ada", "password": password}, [password])


def _ssh_key(kind: type[CredentialKind]) -> Kept:
    phrase = new_canary("phrase", ODDS[0])
    private = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.BestAvailableEncryption(phrase.encode()),
    )
    values = {"user": "ada", "private_key": private.decode(), "passphrase": phrase}
    return Kept(kind, values, [phrase, private.decode().splitlines()[2]])


def _database_url(kind: type[CredentialKind]) -> Kept:
    password = new_canary("db")
    return Kept(kind, {"url": f"postgresql://ada:{password}@127.0.0.1:1/db"}, [password])

"""Handing an opened credential to another process: sealed for that process alone and opened there once."""

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import orjson
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from budflow.credentials.once_box import BoxRefused, OnceReceiver, OpenedBefore, seal
from budflow.errors import BudflowError
from budflow.model.credential_kind import STORED, OpenCredential
from budflow.model.secret import Secret, SecretUnserializable
from budflow.services.credential_ports import Kinds

_INFO_DOMAIN = b"budflow credential hand-over\x01"


class HandOverFailed(BudflowError):
    """The credential that was handed over cannot be opened."""

    code = "credential.hand_over_failed"
    http_status = 500
    hint = "Run the node again: each hand-over is opened once, by the process that asked for it."


class HpkeHandOver:
    """Seals opened credentials for other processes and receives them from there; see HandOver."""

    def __init__(self, find_kinds: Callable[[], Kinds]) -> None:
        """The kinds that can be received are found with the first credential: most processes never get one."""
        self._find_kinds = find_kinds

    def receiver(self, info: bytes) -> "Receiver":
        """Whom one credential can be sealed for, for the purpose `info`."""
        return Receiver(self._find_kinds, info)

    def seal(self, credential: OpenCredential, public_key: bytes, info: bytes) -> bytes:
        """Encrypt a credential for the receiver with this public key. Raises HandOverFailed where it is none."""
        try:
            return seal(_packed(credential), public_key, _INFO_DOMAIN + info)
        except BoxRefused:
            pass
        raise HandOverFailed(
            f"The credential `{credential.name}` cannot be handed over: what was given is no public key of a receiver."
        )


class Receiver:
    """The receiving end of one hand-over. It is used in the process that made it, and once."""

    def __init__(self, find_kinds: Callable[[], Kinds], info: bytes) -> None:
        self._find_kinds, self._box = find_kinds, OnceReceiver(_INFO_DOMAIN + info)
        self.public_key = self._box.public_key

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise SecretUnserializable  # Nor does a copy open what was opened before.

    def open(self, sealed: bytes) -> OpenCredential:
        """The credential. Raises HandOverFailed for what was sealed for another receiver or purpose, and every time
        but the first.
        """
        try:
            return self._rebuilt(orjson.loads(self._box.open(sealed)))
        except OpenedBefore:
            raise HandOverFailed("This hand-over was opened before, and each is opened once.") from None
        except (BoxRefused, ValueError, LookupError, TypeError):
            pass
        # Raised out here, so that no error that has seen the values hangs on to this one.
        raise HandOverFailed

    def _rebuilt(self, shape: Mapping[str, Any]) -> OpenCredential:
        kind = self._find_kinds()[shape["kind"]]
        values = kind.model_validate(shape["values"], context=STORED)
        return OpenCredential(shape["id"], shape["name"], shape["kind"], values, tuple(shape["hosts"]))


def _packed(credential: OpenCredential) -> bytes:
    values = _revealed(credential.values)
    shape = {"id": credential.id, "name": credential.name, "kind": credential.kind, "hosts": credential.hosts}
    return orjson.dumps({**shape, "values": values})


def _revealed(value: Any) -> Any:
    """A kind's values as they were entered, secrets included: what its model makes the same values of."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {field.validation_alias or name: _revealed(getattr(value, name)) for name, field in fields.items()}
    if isinstance(value, Mapping):
        return {key: _revealed(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_revealed(inner) for inner in value]
    return to_jsonable_python(value)

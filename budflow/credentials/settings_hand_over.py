"""Handing a server's settings, passwords and keys among them, to another process: sealed for it alone, opened once.

All settings are sealed and not only the secret ones, so that nothing has to know which of them are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import orjson
from pydantic import BaseModel, SecretStr

from budflow.credentials.once_box import BoxRefused, OnceReceiver, seal
from budflow.errors import BudflowError
from budflow.model.secret import SecretUnserializable
from budflow.settings import Settings

_INFO_DOMAIN = b"budflow settings hand-over\x01"


class SettingsNotHandedOver(BudflowError):
    """The settings that were handed over cannot be opened."""

    code = "settings.not_handed_over"
    http_status = 500
    hint = "They are handed over anew by itself. Where that fails too, look whether both processes have one release."


@dataclass(frozen=True, slots=True)
class Given:
    """What a process is to run with: `variables` are those of its environment that libraries read by themselves."""

    settings: Settings = field(repr=False)  # The URL of a database holds its password.
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)


def seal_settings(given: Given, public_key: bytes, info: bytes) -> bytes:
    """Encrypt settings for the receiver with this public key and purpose. Raises SettingsNotHandedOver."""
    try:
        return seal(_packed(given), public_key, _INFO_DOMAIN + info)
    except BoxRefused:
        pass
    raise SettingsNotHandedOver("What was given is no public key of a receiver.")


class SettingsReceiver:
    """The receiving end of one hand-over. It is used in the process that made it, and once."""

    def __init__(self, info: bytes) -> None:
        self._box = OnceReceiver(_INFO_DOMAIN + info)
        self.public_key = self._box.public_key

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise SecretUnserializable

    def open(self, sealed: bytes) -> Given:
        """What was sealed; of this process no variable and no file counts. Raises SettingsNotHandedOver for what was
        sealed for another receiver or purpose, and every time but the first.
        """
        try:
            return _rebuilt(self._box.open(sealed))
        except (
            BoxRefused,
            ValueError,
            LookupError,
            TypeError,
        ):  # The settings of another release are a ValueError too.
            pass
        # Raised out here, so that no error that has seen the values hangs on to this one.
        raise SettingsNotHandedOver


def _packed(given: Given) -> bytes:
    settings = {name: _plain(getattr(given.settings, name)) for name in Settings.model_fields}
    return orjson.dumps({"settings": settings, "variables": given.variables})


def _rebuilt(content: bytes) -> Given:
    shape = orjson.loads(content)
    return Given(Settings(**shape["settings"]), shape["variables"])


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return str(value) if isinstance(value, Path) else value

"""Secret text: what a program may pass on and use, and what no log, answer, journal or pickle can hold."""

import hmac
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from budflow.errors import BudflowError

MASK = "***"
#: Says of a property in a JSON Schema that its value is written and never read.
SECRET_KEYWORD = "x-secret"  # noqa: S105 - a keyword of schemas


class SecretUnserializable(BudflowError):
    """A secret cannot be written anywhere."""

    code = "secret.unserializable"
    http_status = 500
    hint = "Pass it to what needs it in the same process; across processes it is handed over sealed."


class Opaque:
    """A value that an expression may pass on whole but never look into."""

    __slots__ = ()


class Secret(Opaque):
    """A text that prints as `***`. A parameter of this type takes no plain text, which would stand in a document."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one call that needs it. Raise no error that quotes it."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        """In a time that does not depend on where they differ."""
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    __hash__ = None  # type: ignore[assignment] # a hash would tell something of the text

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, _memo: object) -> "Secret":
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise SecretUnserializable

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.is_instance_schema(cls, serialization=_refused)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", SECRET_KEYWORD: True}


@dataclass(frozen=True, slots=True)
class SecretText:
    """`token: Annotated[Secret, SecretText(max_length=…)]`: a field of a credential's kind, given as a text.

    `meaning` says in words what `pattern` asks for: the message where a text does not match.
    """

    min_length: int = 1
    max_length: int = 16_384
    pattern: str | None = None
    meaning: str | None = None

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        text: CoreSchema = core_schema.str_schema(min_length=self.min_length, max_length=self.max_length, strict=True)
        if self.pattern is not None:
            text = core_schema.chain_schema([text, _matching(self.pattern, self.meaning)])
        made = core_schema.no_info_after_validator_function(Secret, text)
        return core_schema.no_info_before_validator_function(_text_of, made, serialization=_refused)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "string", "maxLength": self.max_length, SECRET_KEYWORD: True}
        if self.min_length:
            schema["minLength"] = self.min_length
        return schema if self.pattern is None else {**schema, "pattern": self.pattern}


def _matching(pattern: str, meaning: str | None) -> CoreSchema:
    text = core_schema.str_schema(pattern=pattern)
    if meaning is None:
        return text
    return core_schema.custom_error_schema(text, custom_error_type="text_unfit", custom_error_message=meaning)


def _text_of(value: object) -> object:
    return value.reveal() if isinstance(value, Secret) else value


def _refuse(_value: object) -> NoReturn:
    raise SecretUnserializable


_refused = core_schema.plain_serializer_function_ser_schema(_refuse)

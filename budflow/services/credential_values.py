"""What is entered as the values of a credential: checked by the kind's model, told without ever quoting a value."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from budflow.graph.suggest import hint
from budflow.model.credential_kind import STORED, CredentialKind
from budflow.model.problem import Problem, ProblemsFound, pointer
from budflow.model.redaction import Redaction
from budflow.model.secret import Secret

VALUES_BYTES_MAX = 64 * 1024
PROBLEMS_MAX = 50
#: A key that is longer or looks otherwise may be a value that somebody put into the wrong place.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_PATH = "/values"


class CredentialInvalid(ProblemsFound):
    """What was entered is no such credential."""

    code = "credential.invalid"
    http_status = 422
    hint = (
        "Mend what `problems` lists, each at its `path`; `GET /api/v1/credential-kinds` and `budflow credential kinds` "
        "tell what each kind asks for."
    )


def values_problems(kind: type[CredentialKind], values: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the values of a new credential of this kind, without what stands in them."""
    try:
        size = len(orjson.dumps(values))
    except TypeError:  # orjson's error would quote what it cannot write.
        message = "The values hold what JSON and UTF-8 cannot, or nest too deep."
        yield Problem("credential.values_unwritable", _PATH, message, "Write texts, numbers, true, false and objects.")
        return
    if size > VALUES_BYTES_MAX:
        message = f"The values have {size} bytes; at most {VALUES_BYTES_MAX} are taken."
        yield Problem("credential.values_too_large", _PATH, message, "A credential holds keys, not data.")
        return
    try:
        kind.model_validate(values)
    except ValidationError as error:
        masked = Redaction(_texts(values))
        for detail in error.errors(include_url=False, include_input=False, include_context=False)[:PROBLEMS_MAX]:
            yield _problem(detail, kind, masked)


def secret_names(kind: type[CredentialKind], values: Mapping[str, Any]) -> frozenset[str]:
    """The fields of stored values that hold a secret; all of them where they no longer fit the kind."""
    try:
        opened = kind.model_validate(values, context=STORED)
    except ValidationError:
        return frozenset(values)
    masked = frozenset(opened.secrets())  # A plain text may be secret as well: the user, where there is no password.
    fields = {name: getattr(opened, name) for name in type(opened).model_fields}
    return frozenset(
        name for name, value in fields.items() if _is_secret(value) or (isinstance(value, str) and value in masked)
    )


def _is_secret(value: Any) -> bool:
    if isinstance(value, BaseModel):
        return any(_is_secret(getattr(value, name)) for name in type(value).model_fields)
    if isinstance(value, Mapping):
        return any(map(_is_secret, value.values()))
    return any(map(_is_secret, value)) if isinstance(value, list | tuple) else isinstance(value, Secret)


def _problem(detail: Mapping[str, Any], kind: type[CredentialKind], masked: Redaction) -> Problem:
    names = [field.alias or name for name, field in kind.model_fields.items()]
    place = [part if isinstance(part, int) or _NAME.fullmatch(part) else "…" for part in detail["loc"]]
    path, name = pointer("values", *place), str(place[-1]) if place else ""
    if detail["type"] == "extra_forbidden":
        message = f"A credential of the kind `{kind.name}` has no `{name}`."
        return Problem("credential.unknown_field", path, message, hint(name, names, "field"))
    if detail["type"] == "missing":
        return Problem("credential.missing_field", path, f"`{name}` is missing.", f"Add it. {_about(kind, place)}")
    said = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ").rstrip(".")
    message = masked.text(f"`{name}`: {said}." if name else f"{said}.")
    return Problem("credential.invalid_value", path, message, _about(kind, place) or f"Its fields: {', '.join(names)}.")


def _about(kind: type[CredentialKind], place: list[Any]) -> str:
    field = kind.model_fields.get(str(place[0])) if place else None
    return (field.description or "") if field is not None else ""


def _texts(value: Any) -> Iterator[str]:
    """Every text in it, and every number as it would be written."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, int | float):
        yield json.dumps(value)

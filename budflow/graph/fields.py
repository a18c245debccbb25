"""Which fields and models of pydantic stand at a place inside raw data: for hints and for marks on the fields."""

from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def fields_on(model: type[BaseModel], place: Sequence[str | int]) -> list[FieldInfo]:
    """The fields on the way from `model` to `place`, the outermost first."""
    return _walk(model, place)[0]


def names_at(model: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """The names that a JSON object at `place` may have, as they are written in JSON."""
    found = [inner for inner in _walk(model, place)[1] if _is_model(inner)]
    return [field.alias or name for inner in found for name, field in inner.model_fields.items()]


def takes(model: type[BaseModel], place: Sequence[str | int], kind: type) -> bool:
    """Whether a value of this type may stand at `place`."""
    return kind in _walk(model, place)[1]


def _walk(model: type[BaseModel], place: Sequence[str | int]) -> tuple[list[FieldInfo], list[Any]]:
    """The fields passed, and the alternatives for the type of what stands at the end."""
    passed: list[FieldInfo] = []
    here: list[Any] = [model]
    for part in place:
        steps = [step for alternative in here for step in _inside(alternative, part)]
        passed.extend(field for field, _ in steps if field is not None)
        here = [alternative for _, inner in steps for alternative in _alternatives(inner)]
    return passed, here


def _inside(annotation: Any, part: str | int) -> Iterator[tuple[FieldInfo | None, Any]]:
    if _is_model(annotation):
        for name, field in annotation.model_fields.items():
            if part == (field.alias or name):
                yield field, field.annotation
        return
    origin, args = get_origin(annotation), get_args(annotation)
    if not (isinstance(origin, type) and args):
        return
    if issubclass(origin, Mapping) and isinstance(part, str):
        yield None, args[-1]
    elif issubclass(origin, Sequence) and isinstance(part, int):
        yield None, args[0]


def _alternatives(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for inner in get_args(annotation):
            yield from _alternatives(inner)
    else:
        yield annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)

"""Mode `function`: code that defines a function, called with the values of each item as its arguments."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from budflow.sandbox.worker.troubles import FILENAME, FunctionMissing

ENTRY = "main"
_KINDS: tuple[type, ...] = (str, int, float, bool, dict, list, type(None))


class ArgumentsInvalid(Exception):
    """The function cannot be called with these values."""


class Function:
    """The author's function and what it takes. Annotations of simple kinds are checked, others are not."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._signature = inspect.signature(function)
        try:
            hints = typing.get_type_hints(function)
        except Exception:  # noqa: BLE001 -- an annotation is the author's code; one that cannot be read is not checked.
            hints = {}
        self._kinds = {name: kinds for name, hint in hints.items() if (kinds := _kinds_of(hint))}

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """Raises ArgumentsInvalid, and whatever the function raises."""
        try:
            bound = self._signature.bind(**arguments)
        except TypeError as error:
            raise ArgumentsInvalid(f"{self._function.__name__}(): {error}") from None
        for name, value in bound.arguments.items():
            kinds = self._kinds.get(name)
            if kinds and not _is_one_of(value, kinds):
                wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
                raise ArgumentsInvalid(
                    f"{self._function.__name__}(): argument {name!r} is {value!r:.60}, and should be {wanted}"
                )
        return self._function(**arguments)


def entry(defined: Mapping[str, Any]) -> Function:
    """`main`, or the only function with a name that does not begin with an underscore. Raises FunctionMissing."""
    functions = {
        name: value
        for name, value in defined.items()
        if isinstance(value, types.FunctionType) and value.__code__.co_filename == FILENAME and not name.startswith("_")
    }
    if ENTRY in functions:
        return Function(functions[ENTRY])
    if len(functions) == 1:
        return Function(next(iter(functions.values())))
    if not functions:
        raise FunctionMissing(f"The code defines no function; write def {ENTRY}(…): …")
    raise FunctionMissing(f"The code defines {', '.join(functions)}: name the one to call {ENTRY}, or others _{ENTRY}")


def _kinds_of(hint: Any) -> tuple[type, ...]:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [_kinds_of(each) for each in typing.get_args(hint)]
        return tuple(kind for several in kinds for kind in several) if all(kinds) else ()
    kind = origin or hint
    return (kind,) if kind in _KINDS else ()


def _is_one_of(value: Any, kinds: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in kinds
    return isinstance(value, kinds) or (float in kinds and isinstance(value, int))

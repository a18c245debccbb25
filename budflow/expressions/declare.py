"""How a function of the language is declared: by a decorator, in a file of `functions/`."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TypeAlias

#: What `$now` is in every example, and what its random values derive from.
EXAMPLE_NOW = datetime(2026, 1, 31, 13, 5, 9, tzinfo=UTC)
EXAMPLE_SEED = "example"


@dataclass(frozen=True, slots=True)
class Example:
    """An expression, without its braces, and the value it has when `$json` is as given."""

    expression: str
    value: object
    given: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Function:
    """One callable of the language; `call` takes the budget, then the receiver (if any), then the arguments."""

    name: str
    receivers: tuple[type, ...]  # Empty for a global function.
    call: Callable[..., object]
    examples: tuple[Example, ...]

    @property
    def doc(self) -> str:
        """One line on what it does."""
        return (self.call.__doc__ or "").strip().splitlines()[0]

    @property
    def usage(self) -> str:
        """How it is called, such as `.replace(old, new)`."""
        parameters = list(inspect.signature(self.call).parameters.values())[2 if self.receivers else 1 :]
        shown = (
            f"{'*' if p.kind is p.VAR_POSITIONAL else '**' if p.kind is p.VAR_KEYWORD else ''}{p.name}"
            + ("" if p.default is p.empty else f"={p.default!r}")
            for p in parameters
        )
        return f"{'.' if self.receivers else ''}{self.name}({', '.join(shown)})"


#: `(expression, value)`, or `(expression, value, $json)`.
Shown: TypeAlias = tuple[str, object] | tuple[str, object, Mapping[str, object]]


def method(*receivers: type, name: str, examples: Sequence[Shown]) -> Callable[[Callable[..., object]], Function]:
    """Declare `x.name(…)` for values of these exact types; `dict` stands for every mapping."""
    return lambda call: Function(name, receivers, call, _examples(examples))


def function(name: str, *, examples: Sequence[Shown]) -> Callable[[Callable[..., object]], Function]:
    """Declare the global `name(…)`."""
    return lambda call: Function(name, (), call, _examples(examples))


def _examples(shown: Sequence[Shown]) -> tuple[Example, ...]:
    if not shown:
        raise ValueError("A function is declared with at least one example.")
    return tuple(Example(one[0], one[1], MappingProxyType(dict(one[2]) if len(one) == 3 else {})) for one in shown)

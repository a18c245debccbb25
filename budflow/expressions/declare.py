"""How a function of the language is declared: by a decorator, in a file of `functions/`."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Function:
    """One callable of the language; `call` takes the budget, then the receiver (if any), then the arguments."""

    name: str
    receivers: tuple[type, ...]  # Empty for a global function.
    call: Callable[..., object]

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


def method(*receivers: type, name: str) -> Callable[[Callable[..., object]], Function]:
    """Declare `x.name(…)` for values of these exact types; `dict` stands for every mapping."""
    return lambda call: Function(name, receivers, call)


def function(name: str) -> Callable[[Callable[..., object]], Function]:
    """Declare the global `name(…)`."""
    return lambda call: Function(name, (), call)

"""The call table: what may be called in an expression, by the type of its receiver and its name.

A family is one file under `functions/`; every function there is declared with `@method` or `@function` and found by
walking the package. `x.name(…)` and `name(…)` are looked up here and nowhere else.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from budflow.expressions import functions
from budflow.expressions.declare import Function


@dataclass(frozen=True, slots=True)
class Table:
    """Everything callable; built once, read-only."""

    methods: Mapping[type, Mapping[str, Function]]
    functions: Mapping[str, Function]
    method_names: frozenset[str]
    families: Mapping[str, tuple[Function, ...]]  # By file name, for the docs.
    about: Mapping[str, str]  # What each family is about.


@cache
def table() -> Table:
    """The call table of every family in `functions/`."""
    families: dict[str, tuple[Function, ...]] = {}
    about: dict[str, str] = {}
    for found in pkgutil.iter_modules(functions.__path__):
        module = importlib.import_module(f"{functions.__name__}.{found.name}")
        about[found.name] = (module.__doc__ or "").strip().splitlines()[0]
        declared_there = (value for value in vars(module).values() if isinstance(value, Function))
        families[found.name] = tuple(one for one in declared_there if one.call.__module__ == module.__name__)
    methods: dict[type, dict[str, Function]] = {}
    globals_: dict[str, Function] = {}
    for declared in (function for family in families.values() for function in family):
        homes = [methods.setdefault(receiver, {}) for receiver in declared.receivers] or [globals_]
        for home in homes:
            if declared.name in home:
                raise RuntimeError(f"{declared.usage} is declared twice.")
            home[declared.name] = declared
    return Table(
        methods=MappingProxyType({kind: MappingProxyType(named) for kind, named in methods.items()}),
        functions=MappingProxyType(globals_),
        method_names=frozenset(name for named in methods.values() for name in named),
        families=MappingProxyType(families),
        about=MappingProxyType(about),
    )

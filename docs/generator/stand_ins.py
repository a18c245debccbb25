"""Empty stand-ins for libraries that take seconds to import, so that what is declared beside their use can be read.

Not a subject of its own.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

HEAVY = frozenset({"ray", "mcp", "mcp_types"})


class _Kind(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn


class StandIn(metaclass=_Kind):
    """Whatever is taken from such a library: a class to inherit from, a decorator, a function."""

    def __init__(self, *_: object, **__: object) -> None:
        """Take anything."""

    def __init_subclass__(cls, **_: object) -> None:
        """Take anything."""

    def __class_getitem__(cls, _: object) -> type:
        return cls

    def __call__(self, decorated: Any = None, *_: object, **__: object) -> Any:
        """As a decorator: what is decorated."""
        return decorated


class _Absent(ModuleType):
    __path__: Sequence[str] = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn


class _Finder(MetaPathFinder, Loader):
    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] in HEAVY else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Absent(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to execute."""


def install() -> None:
    """From here on the heavy libraries are not imported any more, unless they already are."""
    sys.meta_path.insert(0, _Finder())

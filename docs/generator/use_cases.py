"""The use cases behind every door, found by walking budflow.services; not a subject of its own."""

import importlib
import pkgutil
from typing import Any

import budflow.services
from budflow.services.use_case import UseCase


def use_cases() -> list[UseCase[Any, Any]]:
    """Every use case, by name."""
    found: dict[str, UseCase[Any, Any]] = {}
    for module in pkgutil.iter_modules(budflow.services.__path__, f"{budflow.services.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, UseCase):
                found[value.name] = value
    return [found[name] for name in sorted(found)]

"""The tools there are: found by walking `mcp_server.tools`, in the order of their names, then read-only."""

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType

import mcp_server.tools
from mcp_server.tool import Tool


def build() -> Mapping[str, Tool]:
    """Every tool by its name. The order is always the same, so that clients may cache the list."""
    names = sorted(module.name for module in pkgutil.iter_modules(mcp_server.tools.__path__))
    found = (importlib.import_module(f"{mcp_server.tools.__name__}.{name}").TOOL for name in names)
    return MappingProxyType({tool.name: tool for tool in found})

"""Workflow documents for the tests of the MCP door."""

import copy
from typing import Any

from mcp_server.guide import EXAMPLE


def greeting() -> dict[str, Any]:
    """The document that every agent is shown."""
    return copy.deepcopy(EXAMPLE)


def misspelt() -> dict[str, Any]:
    """The same with a wrong type, a wrong port and a wrong parameter."""
    document = greeting()
    document["nodes"]["greet"]["type"] = "data.sett"
    document["nodes"]["adults"]["params"] = {"conditon": "{{ $json.age >= 18 }}"}
    document["edges"][1]["from"] = "adults.keep"
    return document


def hook() -> dict[str, Any]:
    """A workflow that a webhook starts."""
    return {
        "format": 1,
        "name": "Hook",
        "nodes": {"order": {"type": "trigger.webhook", "params": {"path": "orders"}}},
        "edges": [],
    }


def failing() -> dict[str, Any]:
    """A workflow that fails by itself."""
    document = greeting()
    document["nodes"]["greet"] = {"type": "flow.stop_and_error", "params": {"message": "No adults today"}}
    return document

"""Pinning: at save each node gets the version of its type, so that a newer release leaves it as it is."""

from collections.abc import Mapping
from typing import Any

from budflow.nodes.registry import Registry


def pin_types(document: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    """A copy of a document that may be saved, with `type_version` set on every node that names none; bodies included.

    A type that is not known stays without: it gets its version when the document is saved again.
    """
    return {**document, "nodes": {key: _pinned(node, registry) for key, node in document["nodes"].items()}}


def _pinned(node: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    pinned = dict(node)
    spec = registry.get(node["type"])
    if pinned.get("type_version") is None and spec is not None:
        pinned["type_version"] = spec.version
    if node.get("bodies"):
        pinned["bodies"] = {name: pin_types(body, registry) for name, body in node["bodies"].items()}
    return pinned

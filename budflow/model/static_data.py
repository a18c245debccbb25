"""Static data: small JSON that a workflow, and each of its nodes, keeps from one execution to the next."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

from budflow.model.item import Json

#: What the workflow's own data is known by; a node's is known by its key.
WORKFLOW = ""


@dataclass(frozen=True, slots=True)
class StaticData:
    """What a node may read and change: its own data and the workflow's.

    A change is committed with the event that ends the node, and only if it ends well; in a test run (with pinned data,
    or up to a node) only its later nodes see it. Of two executions that change the
    same data at the same time the later one wins: set `max_concurrency` to 1 where that matters.
    """

    node: Json = field(default_factory=dict)
    workflow: Json = field(default_factory=dict)

    @staticmethod
    def of(stored: Mapping[str, Any], key: str) -> "StaticData":
        """A copy of what is stored, for the node with this key."""
        return StaticData(copy.deepcopy(stored.get(key) or {}), copy.deepcopy(stored.get(WORKFLOW) or {}))

    def changes(self, stored: Mapping[str, Any], key: str) -> dict[str, Any] | None:
        """What differs from what is stored, by key; None where nothing does."""
        mine = {key: self.node, WORKFLOW: self.workflow}
        changed = {name: value for name, value in mine.items() if value != (stored.get(name) or {})}
        return changed or None


#: What a type gets that has not declared `static`: nothing to read, and nothing that can be changed.
NO_STATIC = StaticData(cast("Json", MappingProxyType({})), cast("Json", MappingProxyType({})))

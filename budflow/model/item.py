"""Items: what travels on an edge. A list of items carries its lineage as a column beside it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

Json = dict[str, Any]
NO_BINARY: Mapping[str, "BlobRef"] = MappingProxyType({})


class BlobRef(NamedTuple):
    """Immutable bytes known by their SHA-256 (hex), within a project."""

    sha256: str
    size_bytes: int
    media_type: str = "application/octet-stream"
    name: str | None = None


class ItemError(NamedTuple):
    """Why this item failed; set on items that pass on under `on_error` `continue` or leave by the port `error`."""

    code: str
    message: str
    hint: str = ""
    node: str = ""

    def to_json(self) -> Json:
        """What `$error` reads; `node` is the key of the node that failed."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "node": self.node}


class Item(NamedTuple):
    """One item. `json` is shared between nodes and must be copied before it is changed."""

    json: Json
    binary: Mapping[str, BlobRef] = NO_BINARY
    error: ItemError | None = None


@dataclass(frozen=True, slots=True)
class ItemList:
    """Items on one port, in order.

    `lineage[i]` is the ordinal, in the node's concatenated inputs (ports in declared order), of the item that item
    `i` was made from; -1 where it was made from none or from several.
    """

    items: Sequence[Item] = ()
    lineage: Sequence[int] = ()

    def __post_init__(self) -> None:
        if len(self.items) != len(self.lineage):
            raise ValueError(f"{len(self.items)} items with a lineage of {len(self.lineage)}")

    def __len__(self) -> int:
        return len(self.items)

    @staticmethod
    def of(values: Iterable[Json]) -> "ItemList":
        """Items without a past, from plain JSON objects."""
        items = [Item(value) for value in values]
        return ItemList(items, [-1] * len(items))

    def to_json(self) -> list[Json]:
        """Just the `json` of each item."""
        return [item.json for item in self.items]


EMPTY = ItemList()

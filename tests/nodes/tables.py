"""Tables for nodes that work on them, in blobs in memory."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import pyarrow as pa

from budflow.execution.stored_blobs import StoredBlobs
from budflow.model.item import Item, Json
from budflow.model.node import Example
from budflow.nodes.table.arrow import read_table, with_table
from tests.execution.simulated_blobs import SimulatedBlobs
from tests.nodes.harness import Ran, run


class Tables:
    """The blobs of one project, and what is in them."""

    def __init__(self) -> None:
        self.blobs = StoredBlobs(SimulatedBlobs(Random(0)), "default")

    def item(self, table: pa.Table | Sequence[Json], json: Json | None = None) -> Item:
        """An item that carries a table, which may be given as its rows."""
        if not isinstance(table, pa.Table):
            table = pa.table({name: [row[name] for row in table] for name in (table[0] if table else {})})
        return asyncio.run(with_table(self.blobs, table, Item(json or {})))

    def table(self, item: Item) -> pa.Table:
        """The table that an item carries."""
        return asyncio.run(read_table(self.blobs, item))

    def rows(self, item: Item) -> list[Json]:
        """The rows of that table."""
        rows: list[Json] = self.table(item).to_pylist()
        return rows

    def carried_by(self, example: Example) -> Any:
        """What an example is given, with its tables."""
        if not example.tables:
            return example.given
        assert isinstance(example.given, Sequence)
        pairs = zip(example.given, example.tables, strict=True)
        return [Item(json, self.item(rows).binary) for json, rows in pairs]

    def run(self, name: str, given: Any, /, **params: Any) -> Ran:
        """Run a type over items."""
        return run(name, params, given, blobs=self.blobs)

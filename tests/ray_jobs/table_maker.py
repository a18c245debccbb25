"""An extension with a node type that makes large tables, which processes find by an entry point."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import Field

from budflow.model.item import Item
from budflow.model.node import Call, Example, Params, node
from budflow.nodes.table.arrow import arrow, with_table

ROW_BYTES = 24
ROOT = Path(__file__).parents[2]
NO_EXAMPLES: list[Example] = []


class MakeTableParams(Params):
    rows: int = Field(description="How many rows it has, of 24 bytes each.")


@node("test.make_table", kind="item", params=MakeTableParams, examples=NO_EXAMPLES, heavy=True)
async def make_table(call: Call[MakeTableParams]) -> Item:
    """Make a table: the numbers from 0, their remainder by 4, and their half."""
    pa = arrow()
    n = pa.arange(0, call.params.rows)
    columns = {"n": n, "rest": pa.compute.bit_wise_and(n, 3), "half": pa.compute.multiply(n.cast(pa.float64()), 0.5)}
    return await with_table(call.blobs, pa.table(columns), Item({}))


@contextmanager
def installed(directory: Path) -> Iterator[None]:
    """Processes that are started meanwhile have the extension; `directory` is for its metadata."""
    info = directory / "table_maker-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: table-maker\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[budflow.nodes]\ntable_maker = {__name__}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(directory), str(ROOT)]))
        yield

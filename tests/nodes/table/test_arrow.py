"""Tables in blobs"""

import asyncio
import sys

import pyarrow as pa
import pytest

from budflow.execution.blobs import BlobMissing
from budflow.model.item import BlobRef, Item
from budflow.nodes.table.arrow import (
    FILE_NAME,
    MEDIA_TYPE,
    ExtraMissing,
    TableMissing,
    TableUnreadable,
    read_table,
    with_table,
)
from tests.nodes.tables import Tables

GROUP = {"operations": [{"operation": "count"}]}


def test_a_table_is_a_file_of_arrow_that_tells_what_it_is() -> None:
    tables = Tables()

    item = tables.item([{"n": 1}, {"n": 2}], {"about": "numbers"})

    assert item.json == {"about": "numbers", "rows": 2, "columns": ["n"]}
    assert item.binary["table"][2:] == (MEDIA_TYPE, FILE_NAME)
    assert tables.rows(item) == [{"n": 1}, {"n": 2}]


async def test_reading_a_table_copies_none_of_it() -> None:
    tables = Tables()
    item = await with_table(tables.blobs, pa.table({"n": range(100_000)}), Item({}))
    before = pa.total_allocated_bytes()

    table = await read_table(tables.blobs, item)

    assert table.nbytes == 800_000
    assert pa.total_allocated_bytes() <= before


def test_an_item_without_a_table_fails() -> None:
    assert isinstance(Tables().run("table.group", [{}], **GROUP).failed[0], TableMissing)


def test_a_blob_that_is_no_table_fails_the_item() -> None:
    tables = Tables()
    ref = asyncio.run(tables.blobs.put(b"no table at all"))

    assert isinstance(tables.run("table.group", [Item({}, {"table": ref})], **GROUP).failed[0], TableUnreadable)


def test_a_blob_that_is_gone_fails_the_item() -> None:
    gone = Item({}, {"table": BlobRef("ab" * 32, 7)})

    assert isinstance(Tables().run("table.group", [gone], **GROUP).failed[0], BlobMissing)


def test_without_the_extra_the_node_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = Tables()
    item = tables.item([{"n": 1}])
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    failed = tables.run("table.group", [item], **GROUP).failed[0]

    assert isinstance(failed, ExtraMissing)
    assert "pip install 'budflow[tables]'" in failed.hint

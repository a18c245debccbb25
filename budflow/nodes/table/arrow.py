"""Tables between nodes: in a blob, which an item carries as `table`, in the file format of Apache Arrow.

Reading one copies nothing: its columns are the bytes of the blob. pyarrow is an extra, imported where it is needed.
Format: https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format
"""

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import StringConstraints

from budflow.model.blobs import BlobsCapability
from budflow.model.failure import NodeError
from budflow.model.item import Item

#: Under this name an item carries a table, as one of its `binary`.
TABLE = "table"
MEDIA_TYPE = "application/vnd.apache.arrow.file"
FILE_NAME = "table.arrow"
COLUMNS_SHOWN = 20

ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class ExtraMissing(NodeError):
    """A package that this node needs is not installed."""

    code = "node.extra_missing"
    hint = "`pip install 'budflow[tables]'` wherever nodes run, on every Ray node too, and restart what runs there."


class TableMissing(NodeError):
    """The item carries no table."""

    code = "table.missing"
    hint = "Make one before with `table.from_items`."


class TableUnreadable(NodeError):
    """What the item carries is no table in the file format of Apache Arrow."""

    code = "table.unreadable"
    hint = "Only the `table` nodes make such tables; what is read from elsewhere has to be converted."


class ColumnUnknown(NodeError):
    """The table has no such column."""

    code = "table.column_unknown"
    hint = "Each item that carries a table has the names of its columns in `columns`."


class TypeMismatch(NodeError):
    """The types of the table's columns do not allow this."""

    code = "table.type_mismatch"
    hint = "Look at what the column holds, or change it where the table is made."


def arrow() -> Any:
    """The package pyarrow, with its functions as `compute`. Raises ExtraMissing."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and importing it takes 0.2 s
        import pyarrow.compute  # noqa: PLC0415 - as said above
    except ImportError as error:
        raise ExtraMissing("Tables need the package pyarrow, which is not installed here.") from error
    return pa


async def read_table(blobs: BlobsCapability, item: Item) -> Any:
    """The table that the item carries.

    Raises TableMissing, TableUnreadable, ExtraMissing, and what reading a blob raises.
    """
    pa = arrow()
    ref = item.binary.get(TABLE)
    if ref is None:
        raise TableMissing
    content = await blobs.read(ref)
    try:
        return pa.ipc.open_file(pa.py_buffer(content)).read_all()
    except pa.ArrowInvalid as error:
        raise TableUnreadable from error


async def with_table(blobs: BlobsCapability, table: Any, item: Item) -> Item:
    """The item with another table, which is durable then; its json says how many `rows` and which `columns` it has."""
    ref = await blobs.put(_packed(table), media_type=MEDIA_TYPE, name=FILE_NAME)
    json = {**item.json, "rows": table.num_rows, "columns": table.column_names}
    return Item(json, {**item.binary, TABLE: ref}, item.error)


def column(table: Any, name: str) -> Any:
    """A column by its name. Raises ColumnUnknown."""
    names = table.column_names
    if name in names:
        return table.column(name)
    close = get_close_matches(name, names, n=1)
    shown = ", ".join(names[:COLUMNS_SHOWN]) + (" …" if len(names) > COLUMNS_SHOWN else "")
    meant = f"did you mean `{close[0]}`? It has" if close else "it has"
    raise ColumnUnknown(f"The table has no column `{name}`; {meant} {shown or 'none at all'}.")


@contextmanager
def told_as(what: str) -> Iterator[None]:
    """What Arrow refuses because of the types of columns or values becomes a TypeMismatch that names `what`."""
    pa = arrow()
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise TypeMismatch(f"{what}: {str(error).splitlines()[0].rstrip('.')}.") from error


def _packed(table: Any) -> memoryview:
    """The table in the file format, in memory once: its size is known before it is written."""
    pa = arrow()
    counting = pa.MockOutputStream()
    _write(table, counting)
    buffer = pa.allocate_buffer(counting.size())
    _write(table, pa.FixedSizeBufferWriter(buffer))
    return memoryview(buffer)


def _write(table: Any, sink: Any) -> None:
    with arrow().ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)

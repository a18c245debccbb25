"""The codec of lists of items: by columns as JSON, or as a reference where the items stand in blobs."""

from collections.abc import Mapping, Sequence
from typing import Any

from budflow.model.item import BlobRef, Item, ItemError, ItemList, Json
from budflow.model.spilled import ListRef, Part, Same, Spilled, SpilledLineage


def encode_items(items: ItemList) -> Json:
    """A list of items by columns; columns that say nothing are left out."""
    if isinstance(items.items, Spilled):
        return _encode_spilled(items.items, items.lineage)
    shape: Json = {"json": [item.json for item in items.items]}
    binary = {i: {k: list(ref) for k, ref in item.binary.items()} for i, item in enumerate(items.items) if item.binary}
    if binary:
        shape["binary"] = binary
    errors = {i: list(item.error) for i, item in enumerate(items.items) if item.error}
    if errors:
        shape["errors"] = errors
    lineage = list(items.lineage)
    if lineage and lineage != list(range(len(lineage))):
        shape["from"] = lineage
    return shape


def decode_items(shape: Json) -> ItemList:
    """The reverse of `encode_items`. A list in blobs comes back unopened.

    Raises one of the errors that `journal.decode` takes for a malformed payload.
    """
    if "parts" in shape:
        return _decode_spilled(shape)
    values = shape["json"]
    binary = {int(i): {k: BlobRef(*ref) for k, ref in refs.items()} for i, refs in shape.get("binary", {}).items()}
    errors = {int(i): ItemError(*error) for i, error in shape.get("errors", {}).items()}
    if binary or errors:
        items = [Item(v, binary.get(i, {}), errors.get(i)) for i, v in enumerate(values)]
    else:
        items = [Item(value) for value in values]
    return ItemList(items, shape.get("from") or list(range(len(values))))


def encode_lineage(lineage: Sequence[int]) -> Json | list[int]:
    """A column of ordinals: as `{"start": …}` or `{"same": …}` where it is that regular."""
    if isinstance(lineage, Same):
        return {"same": lineage.value}
    if isinstance(lineage, range) and lineage.step == 1:
        return {"start": lineage.start}
    column = list(lineage)
    if not column:
        return column
    first, size = column[0], len(column)
    if column == [first] * size:
        return {"same": first}
    return {"start": first} if column == list(range(first, first + size)) else column


def decode_lineage(shape: Json | list[int], size: int) -> Sequence[int]:
    """The reverse of `encode_lineage`."""
    if isinstance(shape, list):
        return shape
    return Same(shape["same"], size) if "same" in shape else range(shape["start"], shape["start"] + size)


def to_plain(value: object) -> Any:
    """What orjson shall write for a value that it does not know. Raises TypeError where that is no JSON either."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _encode_spilled(items: Spilled, lineage: Sequence[int]) -> Json:
    shape: Json = {"count": len(items), "parts": [_encode_part(part) for part in items.parts]}
    if not (isinstance(lineage, SpilledLineage) and lineage.belongs_to(items)):
        shape["lineage"] = encode_lineage(lineage)
    return shape


def _encode_part(part: Part) -> Json:
    if part.ref is None:
        lineage = range(len(part)) if part.lineage is None else part.lineage
        return {"items": encode_items(ItemList(part.read(part.start, part.stop), lineage))}
    blob = part.ref._asdict()
    if not part.ref.binary:
        del blob["binary"]
    shape: Json = {"blob": blob, "start": part.start, "stop": part.stop}
    if part.error is not None:
        shape["error"] = list(part.error)
    if part.lineage is not None:
        shape["lineage"] = encode_lineage(part.lineage)
    return shape


def _decode_spilled(shape: Json) -> ItemList:
    items = Spilled([_decode_part(part) for part in shape["parts"]])
    if len(items) != shape["count"]:
        raise ValueError(f"the parts of a list of {shape['count']} items have {len(items)}")
    lineage = shape.get("lineage")
    return ItemList(items, SpilledLineage(items) if lineage is None else decode_lineage(lineage, len(items)))


def _decode_ref(*, binary: Sequence[tuple[str, int]] = (), **shape: Any) -> ListRef:
    return ListRef(**shape, binary=tuple((sha256, size) for sha256, size in binary))


def _decode_part(shape: Json) -> Part:
    if "items" in shape:
        found = decode_items(shape["items"])
        return Part(0, len(found), items=found.items, lineage=found.lineage)
    start, stop, error, lineage = shape["start"], shape["stop"], shape.get("error"), shape.get("lineage")
    return Part(
        start,
        stop,
        _decode_ref(**shape["blob"]),
        error=None if error is None else ItemError(*error),
        lineage=None if lineage is None else decode_lineage(lineage, stop - start),
    )

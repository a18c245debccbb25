"""An author's code on its way to a sandbox relay and what comes back: JSON bytes, items in parts of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, overload

import orjson

from budflow.errors import BudflowError
from budflow.model.failure import NodeError
from budflow.model.item import Item, ItemList, Json
from budflow.model.item_codec import decode_items, encode_items, to_plain
from budflow.model.sandbox import (
    CodeFailed,
    CodeInvalid,
    CodePart,
    CodePlace,
    CodeResultMalformed,
    CodeTask,
    CodeTimedOut,
)
from ray_jobs.blobs import Content

#: So many items stand in each part of the input but the last one.
PART_ITEMS = 1_000

#: What can fail for one item alone; whatever else there is comes as CodeFailed.
_OF_ITEMS: Mapping[str, type[NodeError]] = {kind.code: kind for kind in (CodeFailed, CodeResultMalformed, CodeTimedOut)}


def pack_task(task: CodeTask) -> tuple[bytes, list[bytes]]:
    """All of a task but its items, and these in parts. Raises CodeInvalid."""
    head = {
        "mode": task.mode,
        "code": task.code,
        "now": task.now.isoformat(),
        "seed": task.seed,
        "name": task.name,
        "params": task.params,
        "requirements": task.requirements,
        "network": task.network,
        "timeout_seconds": task.timeout_seconds,
        "memory_mb": task.memory_mb,
        "item_count": len(task.items),
    }
    starts = range(0, len(task.items), PART_ITEMS)
    return _json(head), [_pack_items(task.items[start : start + PART_ITEMS]) for start in starts]


def unpack_task(head: bytes, parts: Sequence[bytes | Content]) -> CodeTask:
    """The reverse of `pack_task`. A part is read when the code touches one of its items."""
    shape = orjson.loads(head)
    return CodeTask(
        mode=shape["mode"],
        code=shape["code"],
        items=PartedItems(parts, shape["item_count"]),
        now=datetime.fromisoformat(shape["now"]),
        seed=shape["seed"],
        name=shape["name"],
        params=shape["params"],
        requirements=tuple(shape["requirements"]),
        network=tuple(shape["network"]),
        timeout_seconds=shape["timeout_seconds"],
        memory_mb=shape["memory_mb"],
    )


class PartedItems(Sequence[Item]):
    """The items of packed parts, one of which is decoded at a time."""

    def __init__(self, parts: Sequence[bytes | Content], count: int) -> None:
        self._parts, self._count = parts, count
        self._decoded: tuple[int, Sequence[Item]] = (-1, ())

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        if isinstance(index, slice):
            return [self._item(one) for one in range(self._count)[index]]
        return self._item(range(self._count)[index])

    def _item(self, index: int) -> Item:
        number, within = divmod(index, PART_ITEMS)
        if self._decoded[0] != number:
            part = self._parts[number]
            self._decoded = (number, decode_items(orjson.loads(part if isinstance(part, bytes) else part.view)).items)
        return self._decoded[1][within]


def part_frame(part: CodePart) -> Json:
    """A part of what the code gave, as a frame."""
    failed = {str(index): _pack_error(error) for index, error in part.failed.items()}
    place = None if part.place is None else asdict(part.place)
    return {"items": [[json, source] for json, source in part.items], "failed": failed, "place": place}


def log_frame(level: str, message: str, fields: Mapping[str, Any], item: int | None) -> Json:
    """A line of the log, as a frame."""
    return {"log": [level, message, fields, item]}


def pack_frames(frames: Sequence[Json]) -> bytes:
    """Several frames as one message. Raises CodeResultMalformed."""
    try:
        return orjson.dumps(frames, default=str, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError as error:
        raise CodeResultMalformed(f"{error}.") from error


def unpack_frames(message: bytes) -> list[Json]:
    """The reverse of `pack_frames`."""
    frames: list[Json] = orjson.loads(message)
    return frames


def part_of(frame: Json) -> CodePart:
    """The part that a frame is."""
    failed = {int(index): _unpack_error(shape) for index, shape in frame["failed"].items()}
    place = None if frame["place"] is None else CodePlace(**frame["place"])
    return CodePart([(json, source) for json, source in frame["items"]], failed, place)


def _pack_items(items: Sequence[Item]) -> bytes:
    return _json(encode_items(ItemList(items, range(len(items)))))


def _pack_error(error: BudflowError) -> Json:
    return {"code": error.code, "message": error.message, "hint": error.hint, "details": error.details}


def _unpack_error(shape: Json) -> NodeError:
    return _OF_ITEMS.get(shape["code"], CodeFailed)(shape["message"], hint=shape["hint"], **shape["details"])


def _json(shape: Any) -> bytes:
    try:
        return orjson.dumps(shape, default=to_plain, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError as error:
        hint = "Code gets JSON: text, whole numbers of 64 bits, floats, booleans, null, lists and objects."
        raise CodeInvalid(f"What is given to the code is no JSON: {error}.", hint=hint) from error

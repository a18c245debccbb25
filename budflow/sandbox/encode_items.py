"""A task's items as JSON for its worker: parts of a bounded size, made when they are asked for."""

from collections.abc import Iterable, Sequence

import orjson
from pydantic_core import from_json

from budflow.execution.at_hand import read_block
from budflow.model.item import Item
from budflow.model.item_codec import to_plain
from budflow.model.sandbox import CodeInvalid
from budflow.model.spilled import Spilled
from budflow.sandbox.messages import PART_BYTES
from budflow.sandbox.requests import ITEM_BYTES_MAX

#: As in the journal: keys that are no text become one, and what is like a dict or a list is written as one.
OPTIONS = orjson.OPT_NON_STR_KEYS
#: Fewer levels than pydantic's parser takes, which reads all that sandboxd is sent; beyond, the link would end.
_LEVELS_SURE = 150
_AROUND = b"[[[["


async def encode_part(
    items: Sequence[Item], start: int, stop: int, bytes_max: int = PART_BYTES
) -> list[orjson.Fragment]:
    """The items from `start` on, each encoded, as many as fit `bytes_max`: at least one, unless there is none.

    Those of a list in blobs are read in a thread, and at most to the end of their chunk. Raises CodeInvalid where one
    of them is no JSON, or too large for a worker, and what reading a blob raises.
    """
    part: list[orjson.Fragment] = []
    left = bytes_max
    block: Iterable[Item] = (items[index] for index in range(start, stop))
    if isinstance(items, Spilled) and start < stop:
        block = await read_block(items, start, stop - start)
    for index, item in enumerate(block, start):
        encoded = encode_value(item.json, f"Item {index}")
        left -= len(encoded) + 1
        if part and left < 0:
            break
        part.append(orjson.Fragment(encoded))
    return part


def encode_value(value: object, what: str, bytes_max: int = ITEM_BYTES_MAX) -> bytes:
    """Raises CodeInvalid."""
    try:
        encoded = orjson.dumps(value, to_plain, OPTIONS)
    except orjson.JSONEncodeError as error:
        hint = "Code gets JSON: text, whole numbers of 64 bits, floats, booleans, null, lists and objects."
        raise CodeInvalid(f"{what} cannot be given to the code: {error}.", hint=hint) from error
    if len(encoded) > bytes_max:
        hint = "Keep what is large in a blob, or leave the fields out that the code does not need."
        raise CodeInvalid(f"{what} has {len(encoded):,} bytes as JSON, and code gets {bytes_max:,} at most.", hint=hint)
    if encoded.count(b"{") + encoded.count(b"[") > _LEVELS_SURE and not _can_be_read(encoded):
        raise CodeInvalid(f"{what} is nested too deeply to be given to the code.", hint="Flatten it first.")
    return encoded


def _can_be_read(encoded: bytes) -> bool:
    try:
        from_json(_AROUND + encoded + b"]" * len(_AROUND))
    except ValueError:
        return False
    return True

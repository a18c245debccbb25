"""Masking of what a node with credentials gives back, before it is journaled or logged: their secrets become `***`.

Nodes without credentials never come here: their runs have no redaction.
"""

from collections.abc import Iterable
from dataclasses import asdict, is_dataclass

import orjson

from budflow.execution.node_result import NodeResult, masked_failure
from budflow.model.item import Item, ItemError, Json
from budflow.model.item_codec import to_plain
from budflow.model.redaction import Redaction


def masked_items(items: Iterable[Item], redaction: Redaction) -> list[Item]:
    """The items without the secrets."""
    return [_masked_item(item, redaction) for item in items]


def mask_result(result: NodeResult, redaction: Redaction) -> None:
    """Mask what another process gave back. It has masked all of it itself: this trusts nobody."""
    result.ports = {port: (masked_items(items, redaction), sources) for port, (items, sources) in result.ports.items()}
    result.failed = {ordinal: masked_failure(failure, redaction) for ordinal, failure in result.failed.items()}
    if result.fatal is not None:
        result.fatal = masked_failure(result.fatal, redaction)


def _masked_item(item: Item, redaction: Redaction) -> Item:
    binary = item.binary
    if binary:
        binary = {
            redaction.text(key): blob._replace(
                media_type=redaction.text(blob.media_type),
                name=None if blob.name is None else redaction.text(blob.name),
            )
            for key, blob in binary.items()
        }
    error = item.error
    if error is not None:
        error = ItemError(*(redaction.text(text) for text in error))
    return Item(_masked_json(item.json, redaction), binary, error)


def _masked_json(json: Json, redaction: Redaction) -> Json:
    """What is no plain JSON is masked as it will be journaled: sets and the like could hide a secret."""
    foreign = False

    def note(value: object) -> object:
        nonlocal foreign
        foreign = True
        return asdict(value) if is_dataclass(value) and not isinstance(value, type) else to_plain(value)

    try:
        written = orjson.dumps(json, default=note, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS)
    except orjson.JSONEncodeError:
        plain, may_have = json, True  # The journal will refuse it.
    else:
        plain, may_have = orjson.loads(written) if foreign else json, redaction.may_be_in(written)
    masked: Json = redaction.data(plain) if may_have else plain
    return masked

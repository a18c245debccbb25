"""What a worker sends, read without belief: the frame of a WebSocket becomes a message, or is refused.

Results carry the data, so they are read by hand, as strictly as `messages.Result` is and three times as fast.
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from budflow.model.item import Json
from budflow.sandbox.messages import FROM_WORKER, Message, Trouble

_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_INDEX_END = 2**31
_RESULT_FIELDS = frozenset({"type", "task_id", "items", "failed", "last"})
_ITEM_FIELDS = frozenset({"json", "source"})
_TROUBLES = TypeAdapter(list[Trouble])


class FrameRefused(Exception):
    """It is no message of a worker. The text says why, without what it says."""


@dataclass(frozen=True, slots=True)
class ResultPart:
    """A `Result`: its items and troubles stay in their JSON shape, each with the fields that it must have."""

    task_id: str
    items: list[Json]
    failed: list[Json]
    last: bool
    bytes: int


def read_from_worker(frame: str | bytes) -> Message | ResultPart:
    """The message in a frame. Raises FrameRefused."""
    if not isinstance(frame, str):
        raise FrameRefused("a binary frame")
    try:
        shape = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise FrameRefused("no JSON") from error
    if type(shape) is not dict:
        raise FrameRefused("no object")
    if shape.get("type") == "result":
        return _read_result(shape, len(frame))
    try:
        message: Message = FROM_WORKER.validate_python(shape)
    except ValidationError as error:
        raise FrameRefused(_first(error)) from error
    return message


def _read_result(shape: dict[str, Any], size: int) -> ResultPart:
    if not shape.keys() <= _RESULT_FIELDS:
        raise FrameRefused("an unknown field of a result")
    task_id, last = shape.get("task_id"), shape.get("last")
    if type(task_id) is not str or not _TASK_ID.fullmatch(task_id) or type(last) is not bool:
        raise FrameRefused("a field of a result")
    items, failed = shape.get("items", []), shape.get("failed", [])
    if type(items) is not list:
        raise FrameRefused("the items of a result")
    for item in items:
        if type(item) is not dict or type(item.get("json")) is not dict or not item.keys() <= _ITEM_FIELDS:
            raise FrameRefused("an item of a result")
        source = item.get("source", -1)
        if type(source) is not int or not -1 <= source < _INDEX_END:
            raise FrameRefused("the source of an item")
    if failed != []:
        try:
            failed = _TROUBLES.dump_python(_TROUBLES.validate_python(failed))
        except ValidationError as error:
            raise FrameRefused(_first(error)) from error
    return ResultPart(task_id, items, failed, last, size)


def _first(error: ValidationError) -> str:
    """Only the kind of mistake: names and messages would repeat what the worker says, in the daemon's log."""
    return f"a malformed message: {error.errors(include_url=False, include_input=False)[0]['type']}"

"""Errors of code on their way: from what a worker reports, over the requester's link, to what the node raises."""

from collections.abc import Mapping, Sequence
from typing import Any

from budflow.model.failure import NodeError
from budflow.model.sandbox import (
    CodeFailed,
    CodeInvalid,
    CodeOutOfMemory,
    CodeResultMalformed,
    CodeTimedOut,
    CodeTooManyProcesses,
    RequirementsFailed,
    SandboxBusy,
    SandboxUnavailable,
    SandboxWorkerLost,
)

ERRORS: Mapping[str, type[NodeError]] = {
    kind.code: kind
    for kind in (
        SandboxUnavailable,
        SandboxBusy,
        SandboxWorkerLost,
        RequirementsFailed,
        CodeInvalid,
        CodeFailed,
        CodeResultMalformed,
        CodeTimedOut,
        CodeOutOfMemory,
        CodeTooManyProcesses,
    )
}
#: After one of these nobody knows what is left in the worker.
SPOILING = (CodeTimedOut, CodeOutOfMemory, CodeTooManyProcesses, SandboxWorkerLost)
_FRAMES_SHOWN = 5


def error_of(trouble: Mapping[str, Any]) -> NodeError:
    """What a node raises for a `Trouble` in its JSON shape: the message names the author's line, and the item."""
    line, item = trouble.get("line"), trouble.get("item")
    frames: Sequence[str] = trouble.get("traceback") or ()
    places = [", called from ".join(list(frames)[: -_FRAMES_SHOWN - 1 : -1])] if frames else []
    if not places and line is not None:
        places.append(f"line {line}")
    if item is not None:
        places.append(f"item {item}")
    message = str(trouble["message"])
    place = f" ({'; '.join(places)})" if places else ""
    text = message if place and message.endswith(place) else f"{message}{place}"  # Once, where it says so itself.
    told: dict[str, Any] = {"line": line, "item": item, "traceback": list(frames)}
    details: dict[str, Any] = {name: value for name, value in told.items() if value not in (None, [])}
    return ERRORS[trouble["code"]](text, **details)


def rebuild(shape: Mapping[str, Any]) -> NodeError:
    """An error that came over a link, in the shape of `requests.Failed`."""
    kind = ERRORS.get(shape["code"], SandboxUnavailable)
    return kind(shape["message"], hint=shape.get("hint", ""), **shape.get("details", {}))

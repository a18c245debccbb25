"""The protocol's messages: what is one and what is not, and that docs/task_runner.md says all of them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import ValidationError

from budflow.sandbox import messages, requests
from budflow.sandbox.image_requests import ImageAnswer
from budflow.sandbox.messages import FROM_BROKER, FROM_WORKER, FromBroker, FromWorker, Heartbeat, Trouble
from budflow.sandbox.requests import FromRequester, FromSandboxd, Greeted

PAGE = Path(__file__).parents[2] / "docs/task_runner.md"
LOG = {"type": "log", "task_id": "t", "level": "info", "message": "x"}
RESULT = {"type": "result", "task_id": "t", "last": True}


def kinds(group: Any) -> list[Any]:
    """The messages of a group: each a model or a typed dict."""
    inner = [kind for part in get_args(group) for kind in (kinds(part) or [part])]
    return [kind for kind in inner if isinstance(kind, type)]  # Not the fields that annotate it.


def name_of(kind: Any) -> str:
    """As its `type` says it."""
    return str(get_args(get_type_hints(kind)["type"])[0])


DIRECTIONS: Mapping[str, Sequence[Any]] = {
    "From the worker": [kind for kind in kinds(FromWorker) if kind is not Heartbeat],
    "From the broker": [kind for kind in kinds(FromBroker) if kind is not Heartbeat],
    "Both ways": [Heartbeat],
    "From the requester": kinds(FromRequester),
    "From sandboxd": [Greeted, *kinds(FromSandboxd), *kinds(ImageAnswer)],
}


def sections(level: str, text: str) -> Mapping[str, str]:
    """The text below each heading of a level, such as `##`."""
    parts = re.split(rf"^{level} (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def documented_fields(section: str) -> set[str]:
    """The names in the first column of its table."""
    return set(re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_message_stands_under_its_direction_with_all_its_fields_and_no_others(direction: str) -> None:
    told = sections("###", sections("##", PAGE.read_text())[direction])

    assert {name.strip("`"): documented_fields(text) for name, text in told.items()} == {
        name_of(kind): get_type_hints(kind).keys() - {"type"} for kind in DIRECTIONS[direction]
    }


def test_troubles_are_documented_with_their_fields_and_codes() -> None:
    text = sections("##", PAGE.read_text())["Troubles"]

    assert documented_fields(text) == set(Trouble.model_fields)
    codes = set(get_args(Trouble.model_fields["code"].annotation))
    assert set(re.findall(r"^\| `(\w+\.\w+)` \|", text, flags=re.MULTILINE)) == codes


def test_the_limits_are_documented() -> None:
    text = PAGE.read_text()

    assert messages.FRAME_BYTES_MAX == 4 * 1024 * 1024
    assert "no frame has more than 4 MiB" in text
    assert messages.PART_BYTES == 256 * 1024
    assert "about 256 KiB" in text
    assert f"Version\n{messages.PROTOCOL_VERSION}." in text
    assert requests.REQUEST_FRAME_BYTES_MAX == 8 * 1024 * 1024
    assert "a frame has at most 8 MiB" in text


@pytest.mark.parametrize(
    "message",
    [
        {"type": "hello", "protocol": 1, "ticket": "x", "language": "python", "version": "3.11.7", "budflow": "1"},
        LOG | {"fields": {"a": [1, None]}, "item": 3},
        RESULT,
        RESULT | {"items": [{"json": {}, "source": -1}], "failed": [{"code": "code.failed", "message": "", "item": 0}]},
        {"type": "error", "task_id": "t", "error": {"code": "code.invalid", "message": "x", "line": 1}},
        {"type": "progress", "task_id": "t", "fraction": 1},
        {"type": "draining"},
        {"type": "heartbeat"},
    ],
)
def test_what_a_worker_may_say(message: dict[str, Any]) -> None:
    assert FROM_WORKER.validate_python(message).type == message["type"]


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": "welcome"},
        {"type": "heartbeat", "more": 1},
        LOG | {"task_id": "../t"},
        LOG | {"task_id": "t" * 65},
        LOG | {"level": "fatal"},
        LOG | {"message": 3},
        LOG | {"message": "x" * 65_537},
        LOG | {"item": -1},
        LOG | {"item": True},
        RESULT | {"last": 1},
        RESULT | {"items": [{"json": [], "source": 0}]},
        RESULT | {"items": [{"json": {}, "source": -2}]},
        RESULT | {"items": [{"json": {}, "source": 0, "more": 1}]},
        RESULT | {"failed": [{"code": "auth.forbidden", "message": "x"}]},
        {"type": "progress", "task_id": "t", "fraction": 1.5},
        {"type": "data_request", "task_id": "t", "start": "0", "stop": 1},
        {"type": "hello", "protocol": "1", "ticket": "x", "version": "3", "budflow": "1"},
    ],
)
def test_what_a_worker_may_not_say(message: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FROM_WORKER.validate_python(message)


def test_a_worker_is_not_believed_to_be_the_broker() -> None:
    for kind in kinds(FromBroker):
        if name_of(kind) != "heartbeat":
            with pytest.raises(ValidationError):
                FROM_WORKER.validate_python({"type": name_of(kind), "task_id": "t", "reason": "x"})
    assert FROM_BROKER.validate_python({"type": "drain"}).type == "drain"

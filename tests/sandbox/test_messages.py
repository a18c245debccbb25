"""The protocol's messages: what is one and what is not, and that docs/task_runner.md says all of them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from budflow.sandbox import messages
from budflow.sandbox.messages import FROM_BROKER, FROM_WORKER, FromBroker, FromWorker, Message, Trouble

PAGE = Path(__file__).parents[2] / "docs/task_runner.md"
LOG = {"type": "log", "task_id": "t", "level": "info", "message": "x"}
RESULT = {"type": "result", "task_id": "t", "last": True}


def kinds(group: Any) -> list[type[Message]]:
    """The messages of one direction."""
    return list(get_args(get_args(group)[0]))


def name_of(kind: type[Message]) -> str:
    """As its `type` says it."""
    return str(kind.model_fields["type"].default)


def sections() -> Mapping[str, str]:
    """The page's text by the heading above it."""
    parts = re.split(r"^##+ (.+)$", PAGE.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def documented_fields(section: str) -> set[str]:
    """The names in the first column of its table."""
    return set(re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE))


@pytest.mark.parametrize("kind", [*kinds(FromWorker), *kinds(FromBroker)], ids=name_of)
def test_every_message_is_documented_with_all_its_fields_and_no_others(kind: type[Message]) -> None:
    fields = {name for name in kind.model_fields if name != "type"}

    assert documented_fields(sections()[f"`{name_of(kind)}`"]) == fields


@pytest.mark.parametrize(("direction", "group"), [("From the worker", FromWorker), ("From the broker", FromBroker)])
def test_every_message_stands_under_its_direction(direction: str, group: Any) -> None:
    text = re.split(r"^## (.+)$", PAGE.read_text(), flags=re.MULTILINE)
    told = re.findall(r"^### `(\w+)`$", text[text.index(direction) + 1], flags=re.MULTILINE)

    assert sorted([*told, "heartbeat"]) == sorted(name_of(kind) for kind in kinds(group))


def test_troubles_are_documented_with_their_fields_and_codes() -> None:
    text = sections()["Troubles"]

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

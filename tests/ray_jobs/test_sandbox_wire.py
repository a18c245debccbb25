"""An author's code as bytes: what comes out is what went in, and items are decoded where they are touched."""

from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest

from budflow.model.item import BlobRef, Item
from budflow.model.sandbox import CodeFailed, CodeInvalid, CodePart, CodeTask, CodeTimedOut
from ray_jobs.blobs import Content
from ray_jobs.sandbox_wire import (
    PART_ITEMS,
    log_frame,
    pack_frames,
    pack_task,
    part_frame,
    part_of,
    unpack_frames,
    unpack_task,
)

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def task(items: list[Item]) -> CodeTask:
    return CodeTask(
        "each",
        "return item",
        items,
        NOW,
        "seed",
        "flow/exe_1/code",
        {"a": [1]},
        ("six==1.17",),
        ("api.example",),
        5.0,
        64,
    )


def test_a_task_comes_out_as_it_went_in() -> None:
    items = [Item({"n": 1}), Item({"n": 2}, {"file": BlobRef("ab" * 32, 3)})]

    found = unpack_task(*pack_task(task(items)))

    assert [*found.items] == items
    assert replace(found, items=()) == replace(task(items), items=())


def test_items_are_read_in_parts_from_both_ends() -> None:
    items = [Item({"n": number}) for number in range(2 * PART_ITEMS + 5)]
    head, parts = pack_task(task(items))
    assert len(parts) == 3

    found = unpack_task(head, [parts[0], Content(parts[1]), parts[2]]).items

    assert len(found) == len(items)
    assert found[-1] == items[-1]
    assert found[PART_ITEMS - 2 : PART_ITEMS + 2] == items[PART_ITEMS - 2 : PART_ITEMS + 2]
    with pytest.raises(IndexError):
        found[len(items)]


def test_a_part_that_is_not_touched_is_not_decoded() -> None:
    head, parts = pack_task(task([Item({"n": number}) for number in range(PART_ITEMS + 1)]))

    found = unpack_task(head, [parts[0], b"no JSON"]).items

    assert found[0].json == {"n": 0}
    with pytest.raises(orjson.JSONDecodeError):
        found[PART_ITEMS]


def test_what_is_no_json_is_told_before_it_leaves() -> None:
    with pytest.raises(CodeInvalid, match="object"):
        pack_task(task([Item({"n": object()})]))


def test_a_part_of_a_result_comes_out_as_it_went_in() -> None:
    part = CodePart(
        [({"n": 1}, 0), ({"n": 2}, -1)], {3: CodeTimedOut("late"), 5: CodeFailed("bad", hint="look", line=2)}
    )

    [frame] = unpack_frames(pack_frames([part_frame(part)]))
    found = part_of(frame)

    assert [*found.items] == [*part.items]
    assert {index: (type(one), one.message, one.hint, one.details) for index, one in found.failed.items()} == {
        3: (CodeTimedOut, "late", CodeTimedOut.hint, {}),
        5: (CodeFailed, "bad", "look", {"line": 2}),
    }


def test_a_line_may_have_any_fields() -> None:
    [frame] = unpack_frames(pack_frames([log_frame("info", "said", {"what": NoLineOfJson()}, 3)]))

    assert frame == {"log": ["info", "said", {"what": "no JSON"}, 3]}


class NoLineOfJson:
    def __str__(self) -> str:
        return "no JSON"

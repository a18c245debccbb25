"""Results are read by hand, and as strictly as the protocol's own model reads them."""

from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from budflow.sandbox.incoming import FrameRefused, ResultPart, read_from_worker
from budflow.sandbox.messages import FROM_WORKER, Log, Result

_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-3, 2**32), st.text(max_size=3), st.just(1.0))
_VALUES = st.one_of(
    _SCALARS, st.lists(_SCALARS, max_size=2), st.dictionaries(st.text(max_size=3), _SCALARS, max_size=2)
)
_GOOD_ITEM = st.fixed_dictionaries(
    {"json": st.dictionaries(st.text(max_size=3), _SCALARS)}, optional={"source": st.integers(-1, 5)}
)
_ITEM = st.one_of(
    _GOOD_ITEM,
    _VALUES,
    st.fixed_dictionaries({"json": _VALUES}, optional={"source": _VALUES, "more": _VALUES}),
)
_TROUBLE = st.fixed_dictionaries(
    {"code": st.sampled_from(["code.failed", "code.other"]), "message": _VALUES},
    optional={"item": _VALUES, "line": _VALUES, "traceback": _VALUES, "more": _VALUES},
)
_GOOD_TROUBLE = st.fixed_dictionaries(
    {"code": st.just("code.failed"), "message": st.text(max_size=3)}, optional={"item": st.integers(0, 9)}
)
_RESULTS = st.fixed_dictionaries(
    {},
    optional={
        "task_id": st.one_of(st.just("t-1"), _VALUES),
        "items": st.one_of(st.lists(_GOOD_ITEM, max_size=3), st.lists(_ITEM, max_size=3), _VALUES),
        "failed": st.one_of(st.lists(_GOOD_TROUBLE, max_size=2), st.lists(_TROUBLE, max_size=2), _VALUES),
        "last": st.one_of(st.booleans(), _VALUES),
        "more": _VALUES,
    },
)
_GOOD_RESULTS = st.fixed_dictionaries(
    {"task_id": st.just("t-1"), "last": st.booleans()},
    optional={"items": st.lists(_GOOD_ITEM, max_size=3), "failed": st.lists(_GOOD_TROUBLE, max_size=2)},
)


@given(st.one_of(_GOOD_RESULTS, _RESULTS))
def test_by_hand_and_by_the_model_the_same_is_refused(shape: dict[str, Any]) -> None:
    frame = orjson.dumps({"type": "result", **shape}).decode()
    try:
        model: Result | None = FROM_WORKER.validate_json(frame)
    except ValidationError:
        model = None

    try:
        part = read_from_worker(frame)
    except FrameRefused:
        assert model is None, shape
        return

    assert model is not None, shape
    assert isinstance(part, ResultPart)
    assert (part.task_id, part.last) == (model.task_id, model.last)
    assert [{"source": -1, **item} for item in part.items] == [item.model_dump(by_alias=True) for item in model.items]
    assert part.failed == [trouble.model_dump() for trouble in model.failed]


@given(st.text())
def test_any_text_is_a_message_or_refused(text: str) -> None:
    try:
        read_from_worker(text)
    except FrameRefused as error:
        assert text not in str(error) or len(text) < 20  # It is not repeated in the log.


@pytest.mark.parametrize(
    "frame", ["", "null", "[]", "{}", '{"type":[]}', '{"type":"result"', '{"type":"task"}', "{" * 2_000, "[" * 2_000]
)
def test_what_is_no_message_is_refused(frame: str) -> None:
    with pytest.raises(FrameRefused):
        read_from_worker(frame)


def test_other_messages_are_models() -> None:
    frame = '{"type":"log","task_id":"t","level":"info","message":"x","fields":{"a":[1]}}'

    assert read_from_worker(frame) == Log(task_id="t", level="info", message="x", fields={"a": [1]})

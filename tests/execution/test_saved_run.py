"""What a run knows comes back from its bytes as it was, and from other bytes nothing does."""

from datetime import UTC, datetime
from typing import Any

import pytest
from immutables import Map

from budflow.execution import state as s
from budflow.execution.open_node import Body, OpenControl, OpenWait, Recorded
from budflow.execution.saved_run import SavedRun, SavedRunUnreadable, unpack
from budflow.execution.state_codec import StateUnwritable
from budflow.model import control as n
from budflow.model.failure import Failure
from budflow.model.item import EMPTY, Item, ItemError, ItemList

AT = s.At(3, (0, 2))
FRAME = s.FrameId(1, (0, 2))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
FAILURE = Failure("node.failed", "It failed.", "Mend it.", "post", retriable=True)
ITEMS = ItemList([Item({"n": 1}), Item({}, error=ItemError("a", "b", "c", "d"))], [0, -1])


def saved(**changed: Any) -> SavedRun:
    """A run with a bit of everything."""
    asks: dict[tuple[str, int], s.Command] = {
        ("call", 1): s.CallChild(AT, 1, "wf_1", None, n.FromItems(0, 2), awaited=True),
        ("wait", 0): s.StartWait(AT, 0, "timer", 5.5, NOW, {"text": "?"}),
        s.END: s.SettleControl(AT, {"main": n.FromRounds("body", failed=True), "failed": n.FromFailure(FAILURE)}),
    }
    control = s.Control(2, {"size": 1, "open": (1, 2), "left": [3]}, 1, asks, {"body": (0, 2)}, s.Stop(FAILURE, True))
    frames = Map({s.ROOT: s.Frame(2, {4: s.Tally(1, True)}, frozenset({3})), FRAME: s.Frame(1, failure=FAILURE)})
    state = s.State("running", frames, Map({AT: control}), paused=True, held=frozenset({AT}))
    kept = OpenControl(EMPTY, bodies={("body", 0): Body(ITEMS, None, FAILURE)}, waits={0: OpenWait(NOW)})
    fields: dict[str, Any] = {
        "state": state,
        "entries": {FRAME: ITEMS},
        "outputs": {AT: [ITEMS, ItemList([], [])]},
        "controls": [(AT, NOW, kept)],
        "recorded": [(AT, Recorded(3, {0: [ITEMS.items[0]], 2: []}, NOW, 1, [(2, "run")]))],
    }
    return SavedRun(**{**fields, **changed})


def read(packed: bytes) -> SavedRun:
    return unpack(packed, lambda items: items)


def test_a_run_is_read_back_as_it_was() -> None:
    before, after = saved(), read(saved().pack())

    assert after.state == before.state
    assert isinstance(after.state.frames, Map)
    assert after.state.controls[AT].inner == {"size": 1, "open": (1, 2), "left": [3]}
    assert after.entries == before.entries
    assert after.outputs == before.outputs
    assert after.controls == [(AT, NOW, before.controls[0][2])]
    assert after.recorded == [(AT, before.recorded[0][1])]


def test_lists_are_opened_as_they_are_read() -> None:
    opened: list[ItemList] = []

    def open_list(items: ItemList) -> ItemList:
        opened.append(items)
        return items

    unpack(saved().pack(), open_list)

    assert opened.count(ITEMS) == 3


def test_what_one_run_has_open_counts_into_its_size() -> None:
    many = ItemList.of([{"n": number} for number in range(1_600)])

    assert saved(outputs={AT: [many]}).size == saved(outputs={}).size + 100


@pytest.mark.parametrize("inner", [{"n": float("nan")}, {"n": {1, 2}}, {"n": object()}, {"n": 2**70}, {"n": "\ud800"}])
def test_a_state_that_is_no_json_cannot_be_written(inner: Any) -> None:
    state = s.State(controls=Map({AT: s.Control(1, inner)}))

    with pytest.raises(StateUnwritable):
        saved(state=state).pack()


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"{}",
        b"[1,2,3,4]",
        b'[["eval","1"],["dict"],["dict"],["list"],["list"]]',
        b'[["State"],["dict"],["dict"],["list"],["list"]]',
        b'[["time","yesterday"],["dict"],["dict"],["list"],["list"]]',
        b'[["items",{}],["dict"],["dict"],["list"],["list"]]',
        b'[["dict",[["list"],1]],["dict"],["dict"],["list"],["list"]]',
    ],
)
def test_other_bytes_are_no_run(packed: bytes) -> None:
    with pytest.raises(SavedRunUnreadable):
        read(packed)


def test_no_prefix_of_a_run_is_one() -> None:
    packed = saved().pack()

    for length in range(0, len(packed), 7):
        with pytest.raises(SavedRunUnreadable):
            read(packed[:length])

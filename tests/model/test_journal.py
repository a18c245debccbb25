"""The journal's codec: what is written is read again, and what cannot be read says so."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given, strategies as st

from budflow.model import event as e, journal
from budflow.model.execution import Mode, Origin, Parent, Place, WaitReason
from budflow.model.failure import Failure
from budflow.model.item import BlobRef, Item, ItemError, ItemList
from budflow.model.item_codec import decode_items, encode_items
from budflow.model.journal import EventUnwritable, decode, encode
from budflow.model.journal_row import EventOfNewerRelease, EventUnreadable, check_order
from budflow.model.log import Level, LogLine

NOW = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, plain, max_size=3)
counts = st.integers(0, 2**31)
times = st.datetimes(timezones=st.just(UTC))
blobs = st.builds(BlobRef, texts, counts, texts, st.none() | texts)
items = st.builds(
    Item,
    objects,
    st.dictionaries(texts, blobs, max_size=2),
    st.none() | st.builds(ItemError, texts, texts, texts, texts),
)
failures = st.builds(Failure, texts, texts, texts, st.none() | texts, st.booleans())
places = st.builds(Place, st.sampled_from(["inprocess", "ray"]), texts, counts, st.none() | texts, st.none() | texts)
parents = st.builds(Parent, texts, texts, counts, counts, st.booleans())
origins = st.builds(Origin, texts, st.sampled_from(["retry", "fork"]), st.none() | texts)
statuses = st.sampled_from(get_args(e.EndStatus))
modes = st.sampled_from(get_args(Mode))
seconds = st.floats(0, 1e6)
rounds = st.lists(st.integers(0, 10**6), max_size=3).map(tuple)
ordinals = st.lists(counts, max_size=3).map(tuple)
lines = st.builds(
    LogLine,
    times,
    st.sampled_from(get_args(Level)),
    texts,
    objects,
    st.none() | counts,
    counts,
    st.none() | counts,
)
logs = st.lists(lines, max_size=3).map(tuple)


@st.composite
def item_lists(draw: st.DrawFn) -> ItemList:
    """Any items, with any lineage: the identity, none, or something else."""
    found = draw(st.lists(items, max_size=4))
    lineage = draw(
        st.sampled_from([range(len(found)), [-1] * len(found)])
        | st.lists(st.integers(-1, 5), min_size=len(found), max_size=len(found))
    )
    return ItemList(found, lineage)


outputs = st.dictionaries(texts, item_lists(), max_size=3)

EVENTS: Mapping[type, st.SearchStrategy[Any]] = {
    e.Admitted: st.builds(
        e.Admitted,
        times,
        texts,
        modes,
        texts,
        item_lists(),
        st.none() | parents,
        st.booleans(),
        st.none() | texts,
        st.none() | origins,
        st.lists(texts, max_size=2).map(tuple),
        st.dictionaries(texts, texts, max_size=2),
    ),
    e.Started: st.builds(e.Started, times, texts, places),
    e.NodeStarted: st.builds(e.NodeStarted, times, texts, counts, st.none() | objects, rounds, counts),
    e.CredentialsUsed: st.builds(e.CredentialsUsed, times, texts, st.dictionaries(texts, texts, max_size=2), rounds),
    e.ItemsStarted: st.builds(e.ItemsStarted, times, texts, counts, rounds),
    e.ItemsFinished: st.builds(e.ItemsFinished, times, texts, ordinals, item_lists(), rounds),
    e.ItemsRetried: st.builds(e.ItemsRetried, times, texts, counts, counts, seconds, failures, rounds),
    e.NodeLogged: st.builds(e.NodeLogged, times, texts, logs, rounds),
    e.NodeFinished: st.builds(
        e.NodeFinished, times, texts, times, outputs, counts, st.none() | places, rounds, st.none() | objects, logs
    ),
    e.NodeFailed: st.builds(e.NodeFailed, times, texts, times, failures, counts, st.none() | places, rounds, logs),
    e.NodeCancelled: st.builds(e.NodeCancelled, times, texts, rounds, logs),
    e.ResultIgnored: st.builds(e.ResultIgnored, times, texts, texts, rounds, st.none() | texts),
    e.ChildStarted: st.builds(e.ChildStarted, times, texts, counts, texts, texts, rounds),
    e.ChildFinished: st.builds(
        e.ChildFinished, times, texts, counts, statuses, item_lists(), st.none() | failures, rounds
    ),
    e.ParamsResolved: st.builds(e.ParamsResolved, times, texts, counts, objects, rounds, st.none() | failures),
    e.Reserved: st.builds(e.Reserved, times, texts, counts, times, rounds, st.none() | failures),
    e.RoundsFinished: st.builds(
        e.RoundsFinished,
        times,
        texts,
        texts,
        counts,
        ordinals,
        item_lists(),
        st.dictionaries(counts, failures, max_size=2),
        rounds,
    ),
    e.RoundsCollected: st.builds(e.RoundsCollected, times, texts, texts, counts, counts, outputs, rounds),
    e.WaitStarted: st.builds(
        e.WaitStarted,
        times,
        texts,
        counts,
        st.sampled_from(get_args(WaitReason)),
        st.none() | times,
        objects,
        rounds,
    ),
    e.WaitEnded: st.builds(
        e.WaitEnded, times, texts, counts, st.sampled_from(["elapsed", "answered"]), st.none() | texts, plain, rounds
    ),
    e.TimeIsUp: st.builds(e.TimeIsUp, times, texts, failures, st.booleans(), rounds),
    e.Paused: st.builds(e.Paused, times, texts),
    e.Continued: st.builds(e.Continued, times, texts),
    e.Responded: st.builds(e.Responded, times, texts, counts, st.dictionaries(texts, texts, max_size=3), plain),
    e.CancelRequested: st.builds(e.CancelRequested, times, texts, st.none() | failures),
    e.Finished: st.builds(e.Finished, times, statuses, st.none() | failures),
}


def comparable(value: Any) -> Any:
    """An event as plain data: lists and tuples, ranges and mappings are equal when they hold the same."""
    if is_dataclass(value):
        return type(value), [comparable(getattr(value, one.name)) for one in fields(value)]
    if isinstance(value, Mapping):
        return {key: comparable(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [comparable(inner) for inner in value]
    return value


def test_every_kind_of_event_is_tried() -> None:
    assert set(EVENTS) == set(get_args(e.Event))


@given(st.one_of(*EVENTS.values()))
def test_an_event_is_read_as_it_was_written(event: e.Event) -> None:
    row = encode(7, event)

    assert (row.seq, row.type, row.version, row.at) == (7, event.TYPE, event.VERSION, event.at)
    assert comparable(decode(row)) == comparable(event)


# --- items ---------------------------------------------------------------------------------------------------------


def test_items_that_come_from_nowhere_do_not_become_an_identity() -> None:
    row = encode(0, e.Admitted(NOW, "start", "api", "me", ItemList.of([{"a": 1}])))
    admitted = decode(row)

    assert isinstance(admitted, e.Admitted)
    assert list(admitted.items.lineage) == [-1]


@pytest.mark.parametrize("lineage", [range(2), [0, 1], (0, 1)])
def test_a_lineage_that_says_nothing_is_left_out(lineage: Sequence[int]) -> None:
    shape = encode_items(ItemList([Item({}), Item({})], lineage))

    assert shape == {"json": [{}, {}]}
    assert list(decode_items(shape).lineage) == [0, 1]


def test_columns_stand_beside_the_items_they_belong_to() -> None:
    blob = BlobRef("ab" * 32, 3, "text/plain", "a.txt")
    given = ItemList(
        [Item({"n": 0}), Item({"n": 1}, {"f": blob}), Item({"n": 2}, error=ItemError("x.y", "no"))], [2, 0, 1]
    )

    stored = orjson.loads(orjson.dumps(encode_items(given), option=orjson.OPT_NON_STR_KEYS))

    assert stored == {
        "json": [{"n": 0}, {"n": 1}, {"n": 2}],
        "binary": {"1": {"f": ["ab" * 32, 3, "text/plain", "a.txt"]}},
        "errors": {"2": ["x.y", "no", "", ""]},
        "from": [2, 0, 1],
    }
    assert decode_items(stored) == given
    assert isinstance(decode_items(stored).items[1].binary["f"], BlobRef)


# --- what cannot be written or read --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [2**64, "\ud800", object()])
def test_what_json_cannot_hold_is_not_written(value: Any) -> None:
    with pytest.raises(EventUnwritable) as caught:
        encode(3, e.NodeFinished(NOW, "a", NOW, {"main": ItemList.of([{"x": value}])}))

    assert caught.value.details == {"seq": 3}


def test_dates_are_written_as_text_and_other_sequences_as_lists() -> None:
    row = encode(0, e.NodeStarted(NOW, "a", 1, {"at": NOW, "pair": (1, 2), "ports": frozenset({3}), "n": math.inf}))

    assert orjson.loads(row.payload)["params"] == {
        "at": "2030-01-02T03:04:05.678901+00:00",
        "pair": [1, 2],
        "ports": [3],
        "n": None,
    }


def test_an_unknown_type_is_told() -> None:
    with pytest.raises(EventOfNewerRelease, match=r"node\.exploded at 4"):
        decode(e.StoredEvent(4, "node.exploded", 1, NOW, b"{}"))


def test_a_newer_version_is_told_whatever_its_payload() -> None:
    with pytest.raises(EventOfNewerRelease, match="newer") as caught:
        decode(e.StoredEvent(4, e.Finished.TYPE, e.Finished.VERSION + 1, NOW, b"?"))

    assert caught.value.details == {"seq": 4, "version": 2}


SAMPLES: Sequence[e.Event] = (
    e.Admitted(NOW, "start", "api", "me", ItemList.of([{}]), Parent("exe_1", "call", 0, 1)),
    e.NodeFinished(NOW, "a", NOW, {"main": ItemList.of([{}])}, 1, Place("ray", "h", 1)),
    e.NodeFailed(NOW, "a", NOW, Failure("x.y", "no"), log=(LogLine(NOW, "info", "asked"),)),
    e.Finished(NOW, "failed", Failure("x.y", "no")),
)
ROWS = {type(example): encode(0, example) for example in SAMPLES}


@pytest.mark.parametrize("payload", [b"", b"{", b"null", b"[]", b"7", b'"x"', b"{}", b'{"node": 1}', b"\xff"])
@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.type)
def test_a_malformed_payload_is_told(row: e.StoredEvent, payload: bytes) -> None:
    with pytest.raises(EventUnreadable, match="malformed"):
        decode(e.StoredEvent(0, row.type, row.version, NOW, payload))


@pytest.mark.parametrize(
    ("row", "path", "value"),
    [
        (ROWS[e.Admitted], ["items"], {"json": [{}], "from": [0, 1]}),
        (ROWS[e.Admitted], ["items"], {"json": [{}], "binary": {"x": {}}}),
        (ROWS[e.Admitted], ["items"], {"json": [{}], "errors": {"0": []}}),
        (ROWS[e.Admitted], ["items", "json"], 7),
        (ROWS[e.Admitted], ["parent", "level"], 7),
        (ROWS[e.NodeFinished], ["started_at"], "yesterday"),
        (ROWS[e.NodeFinished], ["started_at"], 7),
        (ROWS[e.NodeFinished], ["outputs"], []),
        (ROWS[e.NodeFinished], ["place"], {"host": "h"}),
        (ROWS[e.Finished], ["failure"], {"code": "x"}),
        (ROWS[e.Finished], ["failure"], "no"),
    ],
)
def test_a_payload_with_one_part_malformed_is_told(row: e.StoredEvent, path: list[str], value: Any) -> None:
    shape = orjson.loads(row.payload)
    *way, last = path
    holder = shape
    for part in way:
        holder = holder[part]
    holder[last] = value

    with pytest.raises(EventUnreadable, match="malformed"):
        decode(e.StoredEvent(0, row.type, row.version, NOW, orjson.dumps(shape)))


def test_of_a_missing_field_it_is_said_that_it_is_missing() -> None:
    with pytest.raises(EventUnreadable, match=r"^Event 3 .* is malformed: the field `trigger` is missing\."):
        decode(e.StoredEvent(3, e.Admitted.TYPE, e.Admitted.VERSION, NOW, b"{}"))


@pytest.mark.parametrize(("seqs", "missing"), [((1, 2), 0), ((0, 2), 1), ((0, 1, 1), 2), ((0, 1, 3, 4), 2)])
def test_a_gap_in_a_journal_is_told(seqs: tuple[int, ...], missing: int) -> None:
    rows = [encode(seq, e.Paused(NOW, "me")) for seq in seqs]

    with pytest.raises(EventUnreadable, match=f"^Event {missing} is missing") as caught:
        check_order(rows, 0)

    assert caught.value.details == {"seq": missing}
    check_order(rows[:0], 7)


# --- older versions ------------------------------------------------------------------------------------------------


def test_an_old_event_goes_through_every_upcaster_up_to_now(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = e.ResultIgnored.TYPE
    upcasters = {
        (kind, -1): lambda shape: {"name": shape["key"]},
        (kind, 0): lambda shape: {"node": shape["name"], "reason": "unknown"},
    }
    monkeypatch.setattr(journal, "UPCASTERS", upcasters)

    assert decode(e.StoredEvent(0, kind, -1, NOW, b'{"key": "a"}')) == e.ResultIgnored(NOW, "a", "unknown")
    assert decode(e.StoredEvent(0, kind, 0, NOW, b'{"name": "b"}')) == e.ResultIgnored(NOW, "b", "unknown")
    assert decode(e.StoredEvent(0, kind, 1, NOW, b'{"node": "c", "reason": "late"}')) == e.ResultIgnored(
        NOW, "c", "late"
    )


def test_an_old_version_without_an_upcaster_is_told() -> None:
    with pytest.raises(EventUnreadable):
        decode(e.StoredEvent(0, e.ResultIgnored.TYPE, 0, NOW, b"{}"))

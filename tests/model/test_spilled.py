"""Lists whose items are not in memory: they behave as plain lists do."""

from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from budflow.model.item import Item, ItemList
from budflow.model.item_codec import decode_items, encode_items
from budflow.model.joined import join
from budflow.model.spilled import (
    SLICE_ITEMS_MAX,
    Chunks,
    ListRef,
    ListTooLong,
    ListUnopened,
    Part,
    Same,
    Spilled,
    all_json,
    opened,
)
from tests.model.fake_chunks import FakeChunks, numbers, ref, stored


@given(
    parts=st.lists(st.tuples(st.booleans(), st.lists(st.integers(), max_size=9)), max_size=4),
    start=st.integers(-20, 20),
    stop=st.integers(-20, 20),
    step=st.sampled_from([None, 1, 2, -1]),
)
def test_reading_is_as_of_a_plain_list(
    parts: list[tuple[bool, list[int]]], start: int, stop: int, step: int | None
) -> None:
    plain = [value for _, values in parts for value in values]
    spilled = Spilled(
        [
            Part(0, len(values), ref(len(values)), FakeChunks(values))
            if in_blob
            else Part(0, len(values), items=[Item({"n": value}) for value in values])
            for in_blob, values in parts
        ]
    )

    assert len(spilled) == len(plain)
    assert numbers(list(spilled)) == plain
    assert numbers(spilled[start:stop:step]) == plain[start:stop:step]
    assert numbers([spilled[index] for index in range(-len(plain), len(plain))]) == plain + plain
    with pytest.raises(IndexError):
        spilled[len(plain)]


def test_going_through_reads_each_chunk_once_and_keeps_none() -> None:
    chunks = FakeChunks(range(9))
    spilled = Spilled([Part(0, 9, ref(9), chunks)])

    assert numbers(list(spilled)) == list(range(9))
    assert chunks.read == [0, 3, 6]


def test_a_long_slice_is_read_no_sooner_than_its_items() -> None:
    size = SLICE_ITEMS_MAX + 5
    one, other = FakeChunks(range(size)), FakeChunks(range(size))
    spilled = Spilled([Part(0, size, ref(size), one), Part(0, size, ref(size, "b"), other)])

    part = spilled[3 : size + 4]

    assert one.read == []
    assert len(part) == size + 1
    assert (part[0].json["n"], part[-1].json["n"]) == (3, 3)


def test_the_lineage_is_what_was_written() -> None:
    items = stored([5, 6, 7])

    assert list(items.lineage) == [0, 10, 20]
    assert list(items.lineage[1:]) == [10, 20]
    assert items.lineage[-1] == 20
    with pytest.raises(IndexError):
        items.lineage[3]


def test_a_list_that_is_not_opened_has_a_length_and_no_items() -> None:
    items = decode_items(encode_items(stored([5, 6, 7])))

    assert len(items) == 3
    with pytest.raises(ListUnopened):
        items.items[0]


def test_opening_makes_it_readable_with_its_lineage() -> None:
    items = opened(decode_items(encode_items(stored([5, 6, 7]))), lambda _: FakeChunks([5, 6, 7]))

    assert items.to_json() == [{"n": 5}, {"n": 6}, {"n": 7}]
    assert list(items.lineage) == [0, 10, 20]


def test_what_is_open_or_in_memory_is_left_as_it_is() -> None:
    def never(_: ListRef) -> Chunks:
        raise AssertionError

    for items in (stored([5]), ItemList.of([{"n": 1}])):
        assert opened(items, never) is items


@pytest.mark.parametrize(
    "lineage", [range(3, 6), Same(-1, 3), [2, 0, 1], [7, 7, 7]], ids=["range", "same", "list", "equal"]
)
def test_a_lineage_of_its_own_is_kept_beside_the_reference(lineage: Sequence[int]) -> None:
    items = decode_items(encode_items(ItemList(stored([5, 6, 7]).items, lineage)))

    assert list(items.lineage) == list(lineage)


def test_a_joined_list_refers_to_its_parts() -> None:
    joined = join([stored([1, 2]), ItemList.of([{"n": 3}]), stored([4], "b")])

    shape = encode_items(joined)
    again = opened(decode_items(shape), lambda found: FakeChunks([1, 2] if found.sha256[0] == "a" else [4]))

    assert numbers(list(joined.items)) == numbers(list(again.items)) == [1, 2, 3, 4]
    assert list(again.lineage) == [-1] * 4
    assert [list(part) for part in shape["parts"]] == [["blob", "start", "stop"], ["items"], ["blob", "start", "stop"]]


def test_a_list_that_is_too_long_is_not_read_as_a_whole() -> None:
    assert all_json(stored([1, 2]).items, most=2) == [{"n": 1}, {"n": 2}]
    with pytest.raises(ListTooLong, match="has 3 items; at most 2"):
        all_json(stored([1, 2, 3]).items, most=2)


def test_a_list_whose_parts_do_not_add_up_is_malformed() -> None:
    shape = encode_items(stored([1, 2]))

    with pytest.raises(ValueError, match="3 items have 2"):
        decode_items({**shape, "count": 3})


def test_a_column_of_one_number_needs_no_room() -> None:
    column = Same(-1, 5)

    assert list(column[1:3]) == [-1, -1]
    assert column[-5] == column[4] == -1
    assert column == Same(-1, 5) != Same(-1, 4)
    assert hash(column) == hash(Same(-1, 5))
    with pytest.raises(IndexError):
        column[5]

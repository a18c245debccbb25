"""Lists made of other lists: nothing that stands in a blob is read for it."""

from collections.abc import Callable

import pytest

from budflow.model.item import EMPTY, Item, ItemError, ItemList
from budflow.model.item_codec import decode_items, encode_items
from budflow.model.joined import chained, gathered, join, made_from, of_parts, part_of, parts_of, with_error
from budflow.model.spilled import Part, Spilled, SpilledLineage, opened
from tests.model.fake_chunks import FakeChunks, numbers, ref, stored


def test_lists_join_in_the_given_order() -> None:
    one, two = ItemList.of([{"n": 1}]), ItemList([Item({"n": 2}), Item({"n": 3})], [0, 1])

    assert join([two, EMPTY, one]).to_json() == [{"n": 2}, {"n": 3}, {"n": 1}]
    assert join([two]) is two
    assert len(join([])) == 0
    assert chained([two, one]) == [*two.items, *one.items]


def test_gathered_lists_keep_every_lineage() -> None:
    both = gathered([stored([1, 2]), EMPTY, ItemList([Item({"n": 3})], [7])])

    assert list(both.lineage) == [0, 10, 7]
    assert gathered([EMPTY, (alone := stored([1]))]) is alone


def test_an_error_is_set_on_items_that_nobody_reads() -> None:
    error = ItemError("x.y", "no")

    failed = with_error(stored([1, 2, 3]), error)
    again = opened(decode_items(encode_items(failed)), lambda _: FakeChunks([1, 2, 3]))

    for items in (failed, again):
        assert [item.error for item in items.items] == [error] * 3
        assert items.items[1] == Item({"n": 2}, error=error)


@pytest.mark.parametrize("source", [-1, 4])
@pytest.mark.parametrize("make", [lambda: stored([1, 2]), lambda: ItemList.of([{"n": 1}, {"n": 2}])])
def test_items_can_be_made_from_one(make: Callable[[], ItemList], source: int) -> None:
    assert list(made_from(make(), source).lineage) == [source, source]


def unread(size: int, name: str = "a") -> tuple[ItemList, FakeChunks]:
    """A list in a blob, and who knows whether it was read."""
    chunks = FakeChunks(range(size))
    items = Spilled([Part(0, size, ref(size, name), chunks)])
    return ItemList(items, SpilledLineage(items)), chunks


def test_what_is_gathered_is_not_read() -> None:
    (one, first), (two, second) = unread(6), unread(4, "b")

    both = gathered([one, ItemList([Item({"n": 9})], [7]), two])

    assert first.read == second.read == []
    assert numbers(list(both.items)) == [*range(6), 9, *range(4)]
    assert list(both.lineage) == [*range(0, 60, 10), 7, *range(0, 40, 10)]


def test_a_gathered_list_is_the_same_after_it_was_journaled() -> None:
    error = ItemError("x.y", "no")
    one, _ = unread(6)
    other = ItemList(part_of(one, 2, 4).items, [5, 3])
    both = gathered([part_of(one, 1, 3), other, with_error(part_of(one, 4, 6), error), ItemList([Item({"n": 9})], [7])])

    again = opened(decode_items(encode_items(both)), lambda _: FakeChunks(range(6)))

    assert list(again.items) == list(both.items)
    assert numbers(list(both.items)) == [1, 2, 2, 3, 4, 5, 9]
    assert list(again.lineage) == list(both.lineage) == [10, 20, 5, 3, 40, 50, 7]


def test_neighbours_in_one_blob_become_one_part_again() -> None:
    one, chunks = unread(9)
    ranged = ItemList(one.items, range(9))

    for whole in (one, ranged):
        pieces = [part_of(whole, start, start + 3) for start in (0, 3, 6)]
        assert len(parts_of(gathered(pieces))) == 1
        assert len(parts_of(gathered(reversed(pieces)))) == 3
    assert chunks.read == []


@pytest.mark.parametrize("bounds", [(0, 9), (2, 5), (-4, -1), (7, 99), (5, 2), (12, 15)])
@pytest.mark.parametrize("make", [lambda: unread(9)[0], lambda: ItemList([Item({"n": n}) for n in range(9)], range(9))])
def test_a_part_of_a_list_is_what_a_slice_is(make: Callable[[], ItemList], bounds: tuple[int, int]) -> None:
    whole = make()

    some = part_of(whole, *bounds)

    assert numbers(list(some.items)) == [*range(9)][slice(*bounds)]
    assert list(some.lineage) == list(whole.lineage)[slice(*bounds)]


def test_no_parts_are_an_empty_list() -> None:
    assert len(of_parts([])) == 0
    assert not parts_of(part_of(unread(3)[0], 1, 1))

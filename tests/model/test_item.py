"""Items and lists of them."""

import pytest

from budflow.model.item import Item, ItemList


def test_items_without_a_past_come_from_nowhere() -> None:
    made = ItemList.of([{"a": 1}, {"a": 2}])

    assert made == ItemList([Item({"a": 1}), Item({"a": 2})], [-1, -1])
    assert len(made) == 2
    assert made.to_json() == [{"a": 1}, {"a": 2}]


def test_an_item_has_neither_files_nor_an_error_unless_given() -> None:
    item = Item({})

    assert dict(item.binary) == {}
    assert item.error is None
    with pytest.raises(TypeError):
        item.binary["x"] = None  # type: ignore[index]  # it must not be possible


def test_every_item_has_a_lineage() -> None:
    with pytest.raises(ValueError, match="2 items with a lineage of 1"):
        ItemList([Item({}), Item({})], [0])

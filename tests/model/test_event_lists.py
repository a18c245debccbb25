"""Which blobs an event keeps."""

from datetime import UTC, datetime

from budflow.model import event as e
from budflow.model.event_lists import blobs_of
from budflow.model.item import BlobRef, Item, ItemList
from budflow.model.journal import decode, encode
from budflow.model.spilled import ListRef, Part, Spilled, SpilledLineage

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ONE, TWO = BlobRef("a" * 64, 10, "text/plain", "a.txt"), BlobRef("b" * 64, 20)
LIST = ListRef("c" * 64, 100, 5, 1000, 10, "f" * 64, ((ONE.sha256, 10), (TWO.sha256, 20)))


def finished(*outputs: ItemList) -> e.NodeFinished:
    return e.NodeFinished(NOW, "it", NOW, {f"port{number}": items for number, items in enumerate(outputs)})


def spilled(*parts: Part) -> ItemList:
    items = Spilled(parts)
    return ItemList(items, SpilledLineage(items))


def test_those_that_its_items_refer_to() -> None:
    items = [Item({}, {"one": ONE, "two": TWO}), Item({}), Item({}, {"again": ONE})]

    assert blobs_of(finished(ItemList(items, [0, 1, 2]), ItemList())) == (ONE, TWO)
    assert encode(0, e.Admitted(NOW, "start", "api", "me", ItemList(items, [0, 1, 2]))).blobs == (ONE, TWO)


def test_those_in_which_its_lists_stand_and_those_that_their_items_refer_to() -> None:
    part = Part(0, 1, items=[Item({}, {"two": TWO})], lineage=[0])

    found = {ref.sha256 for ref in blobs_of(finished(spilled(Part(0, 5, LIST), part)))}

    assert found == {LIST.sha256, ONE.sha256, TWO.sha256}


def test_a_list_that_is_read_from_the_journal_still_knows_what_it_refers_to() -> None:
    event = finished(spilled(Part(0, 5, LIST)))

    read = decode(encode(0, event))

    assert blobs_of(read) == blobs_of(event)
    assert isinstance(read, e.NodeFinished)
    assert isinstance(read.outputs["port0"].items, Spilled)
    assert read.outputs["port0"].items.parts[0].ref == LIST

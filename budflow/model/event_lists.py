"""The lists of items that an event holds: which blobs they stand in, and the same event with other lists."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from budflow.model import event as e
from budflow.model.item import BlobRef, Item, ItemList
from budflow.model.spilled import Spilled

#: The events that hold one list, as `items`, and those that hold several, as `outputs`.
_WITH_ITEMS = (e.Admitted, e.ChildFinished, e.ItemsFinished, e.RoundsFinished)
_WITH_OUTPUTS = (e.NodeFinished, e.RoundsCollected)


def lists_of(event: e.Event) -> Iterable[ItemList]:
    """Every list of items in the event."""
    if isinstance(event, _WITH_OUTPUTS):
        return event.outputs.values()
    return (event.items,) if isinstance(event, _WITH_ITEMS) else ()


def blobs_of(event: e.Event) -> tuple[BlobRef, ...]:
    """The blobs that must be kept for as long as the event is: its lists stand in them, or items refer to them."""
    return tuple({ref.sha256: ref for items in lists_of(event) for ref in _blobs_in(items.items)}.values())


def with_lists(event: e.Event, change: Callable[[ItemList], ItemList]) -> e.Event:
    """The event with each of its lists changed; the same one where no list is."""
    old = list(lists_of(event))
    new = [change(items) for items in old]
    if all(one is other for one, other in zip(new, old, strict=True)):
        return event
    if isinstance(event, _WITH_OUTPUTS):
        return replace(event, outputs=dict(zip(event.outputs, new, strict=True)))
    assert isinstance(event, _WITH_ITEMS)  # noqa: S101 - no other event has lists
    return replace(event, items=new[0])


def _blobs_in(items: Sequence[Item]) -> Iterator[BlobRef]:
    if not isinstance(items, Spilled):
        for item in items:
            if item.binary:
                yield from item.binary.values()
        return
    for part in items.parts:
        if part.ref is None:
            yield from _blobs_in(part.items[part.start : part.stop])
        else:
            yield BlobRef(part.ref.sha256, part.ref.size_bytes)
            for sha256, size in part.ref.binary:
                yield BlobRef(sha256, size)

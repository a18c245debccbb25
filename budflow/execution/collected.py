"""What the rounds of a loop gave, moved to blobs while the loop goes on; pure but for the writing itself."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from budflow.execution.lists import ListStore, ListWriter
from budflow.execution.spill import are_many
from budflow.model.item import EMPTY, Item, ItemList
from budflow.model.joined import gathered, of_parts, parts_of
from budflow.model.spilled import ListRef, Part, Spilled

#: What can be asked for of rounds: what came out of those that did not fail, what went into those that did (with its
#: error set), or both in the order of the rounds.
Which = Literal["gave", "failed", "both"]

#: A list with more parts than this that do not stand in a blob as they are is written to one.
LOOSE_PARTS_MAX = 100
_WRITE_ITEMS = 10_000


@dataclass(frozen=True, slots=True)
class Collected:
    """Rounds of a body that have ended, from `first` up to `stop`. A list that is left out is empty.

    `both` is left out too where none of them failed, or all did: then it is the other one.
    """

    first: int
    stop: int
    lists: Mapping[str, ItemList] = field(default_factory=dict)

    def of(self, which: Which) -> ItemList:
        """The items that are asked for."""
        if which == "both" and which not in self.lists:
            return self.of("gave") if "gave" in self.lists else self.of("failed")
        return self.lists.get(which, EMPTY)

    def with_next(self, other: "Collected") -> "Collected":
        """These rounds and those behind them as one, by reference."""
        wanted: tuple[Which, ...] = ("gave", "failed", "both")
        lists = {which: gathered((self.of(which), other.of(which))) for which in wanted}
        if not lists["gave"] or not lists["failed"]:
            del lists["both"]
        return Collected(self.first, other.stop, {which: items for which, items in lists.items() if items})


def with_collected(all_: Iterable[Collected], new: Collected) -> list[Collected]:
    """What was collected before and `new`, in the order of the rounds; where no round is between two they are one."""
    joined: list[Collected] = []
    for one in sorted((*all_, new), key=lambda collected: collected.first):
        if joined and joined[-1].stop == one.first:
            joined[-1] = joined[-1].with_next(one)
        else:
            joined.append(one)
    return joined


def longest_row(numbers: Iterable[int]) -> range:
    """The longest row of numbers without a gap; the first of several that are as long."""
    best = row = range(0)
    for number in sorted(numbers):
        row = range(row.start, number + 1) if row and number == row.stop else range(number, number + 1)
        best = max(best, row, key=len)
    return best


def is_much(items: ItemList, bytes_max: int | None = None) -> bool:
    """Whether too much of a list stands in no blob, or in too many places with too little in each."""
    if not isinstance(items.items, Spilled):
        return are_many(items.items, bytes_max)
    loose = [part for part in parts_of(items) if _is_loose(part)]
    return len(loose) > LOOSE_PARTS_MAX or are_many(
        [item for part in loose if part.ref is None for item in part.read(part.start, part.stop)], bytes_max
    )


def stored(lists: ListStore, project_id: str, given: Sequence[ItemList]) -> ItemList:
    """Several lists as one that stands in blobs, durable, every item with its lineage.

    What stands there with just that lineage is taken by reference; all else is written into one blob. Blocks. Raises
    BlobUnreadable, BlobUnwritable and EventUnwritable.
    """
    writing = _Writing(lists.open_writer(project_id))
    try:
        for one in given:
            if not isinstance(one.items, Spilled):
                writing.write(one.items, one.lineage)
                continue
            for part in parts_of(one):
                if _is_loose(part):
                    writing.copy(part)
                else:
                    writing.places.append(part)
        ref = writing.finish()
    except BaseException:
        writing.writer.abandon()
        raise
    if ref is None:
        return of_parts(place for place in writing.places if isinstance(place, Part))
    chunks = lists.chunks(project_id, ref)
    return of_parts(
        place if isinstance(place, Part) else Part(place.start, place.stop, ref, chunks) for place in writing.places
    )


def _is_loose(part: Part) -> bool:
    """Whether it stands in no blob, or not with its lineage."""
    return part.ref is None or part.lineage is not None


class _Writing:
    """One list in the making: `places` are its items in their order, a range for those that go into the new blob."""

    def __init__(self, writer: ListWriter) -> None:
        self.writer = writer
        self.places: list[Part | range] = []
        self._items: list[Item] = []
        self._lineage: list[int] = []
        self._count = 0

    def write(self, items: Sequence[Item], lineage: Sequence[int]) -> None:
        """Put items into the new blob."""
        start, self._count = self._count, self._count + len(items)
        last = self.places[-1] if self.places else None
        if isinstance(last, range):
            self.places[-1] = range(last.start, self._count)
        else:
            self.places.append(range(start, self._count))
        self._items.extend(items)
        self._lineage.extend(lineage)
        if len(self._items) >= _WRITE_ITEMS:
            self._flush()

    def copy(self, part: Part) -> None:
        """The same with the items of a part, a few at a time."""
        ordinal = part.start
        while ordinal < part.stop:
            items = part.read(ordinal, part.stop)
            self.write(items, [part.origin(one) for one in range(ordinal, ordinal + len(items))])
            ordinal += len(items)

    def finish(self) -> ListRef | None:
        """Make the new blob durable; None where there is nothing in it."""
        self._flush()
        if self._count:
            return self.writer.finish()
        self.writer.abandon()
        return None

    def _flush(self) -> None:
        self.writer.add(self._items, self._lineage)
        self._items, self._lineage = [], []

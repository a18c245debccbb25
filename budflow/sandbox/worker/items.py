"""The items that code of mode `all` sees: a sequence of dicts of which a part comes when the code touches it."""

from collections.abc import Iterator, Sequence
from typing import Any, overload

from budflow.sandbox.worker.channel import Channel, SandboxGone
from budflow.sandbox.worker.packets import ITEMS, NEED

Item = dict[str, Any]


class Items(Sequence[Item]):
    """What was touched stays, so that a change to an item is seen by who reads it again.

    When items are read one after the other the next part is asked for while the code works on this one.
    """

    def __init__(self, channel: Channel, first: list[Item], count: int) -> None:
        self._channel = channel
        self._held: list[Item | None] = [*first, *[None] * (count - len(first))]
        self._loaded = len(first)
        self._asked: int | None = None
        self._positions: dict[int, int] | None = None

    def __len__(self) -> int:
        return len(self._held)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            indexes = range(*index.indices(len(self._held)))
            ascending = indexes if indexes.step > 0 else indexes[::-1]
            for each in ascending:
                self._get(each, ahead=len(indexes) > 1)
            return [self._get(each) for each in indexes]
        try:
            position = range(len(self._held))[index]
        except IndexError:
            raise IndexError(f"there are {len(self._held)} items, none at {index}") from None
        return self._get(position)

    def __iter__(self) -> Iterator[Item]:
        for index in range(len(self._held)):
            yield self._get(index, ahead=True)

    def __repr__(self) -> str:
        return f"<{len(self._held)} items>"

    def position_of(self, item: object) -> int:
        """The index of an item that this is itself, not one like it; -1 of anything else."""
        if self._positions is None:
            self._positions = {id(held): index for index, held in enumerate(self._held) if held is not None}
        return self._positions.get(id(item), -1)

    def _get(self, index: int, *, ahead: bool = False) -> Item:
        item = self._held[index]
        if item is None or (ahead and self._asked is None and self._loaded < len(self._held)):
            self._load(index, ahead=ahead)
            item = self._held[index]
        assert item is not None  # noqa: S101 -- loaded above.
        return item

    def _load(self, index: int, *, ahead: bool) -> None:
        with self._channel.lock:
            ahead = ahead or (index > 0 and self._held[index - 1] is not None)
            while self._held[index] is None:
                if self._asked is None:
                    self._ask(index)
                self._take()
            if ahead and self._asked is None:
                self._ask_after(index)

    def _ask(self, start: int) -> None:
        self._asked = start
        self._channel.send_json(NEED, {"start": start, "stop": len(self._held)})

    def _ask_after(self, index: int) -> None:
        for start in range(index + 1, len(self._held)):
            if self._held[start] is None:
                self._ask(start)
                return

    def _take(self) -> None:
        answer = self._channel.receive(ITEMS)
        self._asked = None
        if not answer["items"]:
            raise SandboxGone  # Else it would be asked for without end.
        for index, item in enumerate(answer["items"], answer["start"]):
            if self._held[index] is None:  # One that the code may have changed is not replaced.
                self._held[index] = item
                self._loaded += 1
                if self._positions is not None:
                    self._positions[id(item)] = index

"""Views: what `$input`, `$node.KEY` and their like hand out, each key of which is worked out when it is read.

Whoever evaluates an expression brings his own; the language only knows that some of their keys may be written as calls.
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

#: Keys that may be called without arguments, where the receiver is a view: `$input.first()` is `$input.first`.
CALLED_KEYS = frozenset({"all", "first", "item", "items", "last"})


class View(Mapping[str, object]):
    """A mapping with the keys `FIELDS`, for which `__getitem__` loads."""

    __slots__ = ()
    FIELDS: ClassVar[tuple[str, ...]] = ()

    def __iter__(self) -> Iterator[str]:
        return iter(self.FIELDS)

    def __len__(self) -> int:
        return len(self.FIELDS)

    def __contains__(self, key: object) -> bool:
        return key in self.FIELDS


class Listed(dict[str, object]):
    """Data with a list of keys that somebody keeps elsewhere: `hint` says where, for who reads one that is missing."""

    __slots__ = ("hint",)

    def __init__(self, values: Mapping[str, object], hint: str) -> None:
        super().__init__(values)
        self.hint = hint

"""A cache of what is made from texts, such as templates: the least recently used give way, by number and by weight."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

Made = TypeVar("Made")


class TextCache(Generic[Made]):
    """What `make` gives for a text, kept while the `weight` of everything kept and its number stay within limits.

    What weighs more than `heaviest` is made anew each time, so that no single text drives out all others.
    """

    def __init__(
        self,
        make: Callable[[str], Made],
        weight: Callable[[Made], int],
        *,
        count_max: int,
        weight_max: int,
        heaviest: int,
    ) -> None:
        self._make, self._weight = make, weight
        self._count_max, self._weight_max, self._heaviest = count_max, weight_max, heaviest
        self._kept: OrderedDict[str, tuple[Made, int]] = OrderedDict()
        self._lock = Lock()  # Of the few steps that change what is kept: making takes long, and may be done twice.
        self.weight = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __call__(self, text: str) -> Made:
        """What was made for the text, or is made now. Raises what making it raises."""
        with self._lock:
            if (kept := self._kept.get(text)) is not None:
                self._kept.move_to_end(text)
                return kept[0]
        made = self._make(text)
        weight = self._weight(made)
        if weight <= self._heaviest:
            with self._lock:
                self._keep(text, made, weight)
        return made

    def _keep(self, text: str, made: Made, weight: int) -> None:
        _, replaced = self._kept.pop(text, (None, 0))
        self._kept[text] = made, weight
        self.weight += weight - replaced
        while self.weight > self._weight_max or len(self._kept) > self._count_max:
            _, (_, gone) = self._kept.popitem(last=False)
            self.weight -= gone

"""A limited number of places that many share: who takes them has never more than it leaves to the others.

So one alone gets half of them, two get a third each, and who comes anew finds a place however many the others want: the
dynamic threshold of Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches" (1998).
"""

from collections import Counter

from budflow.model.sandbox import SandboxBusy


class PlacesTaken(Exception):
    """All places are taken."""

    def __init__(self, held: int, most: int) -> None:
        """`held` are those of who asked, of `most` that there are."""
        super().__init__(held, most)
        self.held, self.most = held, most


class ShareTaken(PlacesTaken):
    """Who asked has as many as are free."""


class Shares:
    """Places of those who wait, each under a name: a project, an address."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[str] = Counter()
        self.taken = 0

    def take(self, who: str) -> None:
        """Take a place. Raises PlacesTaken, and of that ShareTaken where others may have one still."""
        held, free = self._held[who], self._most - self.taken
        if held >= free:
            raise (ShareTaken if free else PlacesTaken)(held, self._most)
        self._held[who] = held + 1
        self.taken += 1

    def give_back(self, who: str) -> None:
        """A place that it took is free again."""
        self._held[who] -= 1
        self.taken -= 1
        if not self._held[who]:
            del self._held[who]  # There may be any number of names, one after another.


def busy(refused: PlacesTaken, awaited: str) -> SandboxBusy:
    """What a project is told whose code finds no place to wait for `awaited`: which limit it was, and what to do."""
    if not isinstance(refused, ShareTaken):
        return SandboxBusy(f"Too much code is waiting for {awaited}: all {refused.most:,} places are taken.")
    return SandboxBusy(
        f"Too much code of this project is waiting for {awaited}: it has {refused.held:,} of {refused.most:,} places, "
        "and the rest is for other projects.",
        hint="Give the node a retry, run less code at a time, or raise `sandbox_workers_max` or `sandbox_queued_max`.",
    )

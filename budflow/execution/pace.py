"""How much a runner asks for at one look into the queue, so that the first of several does not hoard a burst."""

#: What one of several runners asks for at first: little enough that a burst of heavy executions spreads.
BATCH_MIN = 8
#: And at most: of more, a claim is hardly cheaper, and the others have nothing to do while this one works them off.
BATCH_MAX = 64
#: How long it leaves the queue to the others after a look that found all that was asked for.
PAUSE_SECONDS = 0.05


class Pace:
    """Of one runner, which asks again for twice what ended since its last look: light executions end at once, so it
    soon asks for many, and of those that take long each runner gets a few at a time.

    A runner that is alone asks for all that it has room for. `runners` is how many there are, this one among them.
    """

    def __init__(self) -> None:
        self.runners = 1
        self._asked = self._ended = 0

    def ask(self, free: int) -> int:
        """How many to claim, where there is room for `free`."""
        if self.runners > 1:
            free = min(free, BATCH_MAX, max(BATCH_MIN, 2 * self._ended))
        self._asked, self._ended = free, 0
        return free

    def end(self) -> None:
        """One of those that this runner had is off its hands."""
        self._ended += 1

    @property
    def keeps_up(self) -> bool:
        """Whether half of what it asked for has ended since: then it need not leave the rest to others."""
        return self.runners <= 1 or 2 * self._ended >= self._asked

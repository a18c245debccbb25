"""What rounds of bodies that only compute have cost so far, and whether those that are due had better go elsewhere."""

from collections import OrderedDict, deque

from budflow.graph.plan import Plan

#: Less work than this stays: a hop over Ray takes 2 ms, and pays from 20 to 50 ms of computing on.
APART_SECONDS_MIN = 0.050
#: What one chunk of rounds is to take: long against a hop, and short enough for the last ones to end together.
CHUNK_SECONDS_MIN = 0.020
CHUNK_SECONDS_MAX = 0.250
#: Rounds go elsewhere where they take so many times what packing and unpacking them takes here: it takes as long again
#: over there, so that with less two processors would gain little by it.
HANDLING_TIMES_MIN = 6
#: Of so many measurements in a row the least counts: one that a pause of the process fell into is none.
MEASURED_MIN = 2
BODIES_MAX = 1_000


class BodyCost:
    """Of one body. Costs are counted by the items that go into its rounds; a round without any counts as one."""

    def __init__(self) -> None:
        self._computing: deque[float] = deque(maxlen=MEASURED_MIN)
        self._handling: deque[float] = deque(maxlen=MEASURED_MIN)
        #: What handling an item may cost, until that was measured.
        self.handling_guess: float | None = None

    def note(self, items: int, seconds: float) -> None:
        """Rounds with so many items took so much of a processor."""
        if items:
            self._computing.append(seconds / items)

    def note_handling(self, items: int, seconds: float) -> None:
        """Packing them, and unpacking what they gave, took so much of the runner's."""
        if items:
            self._handling.append(seconds / items)

    @property
    def item_seconds(self) -> float | None:
        """What an item costs; None where that is not known yet."""
        return min(self._computing) if len(self._computing) == MEASURED_MIN else None

    @property
    def handling_measured(self) -> bool:
        """Whether it was measured what packing and unpacking take. Before that, small chunks find it out."""
        return len(self._handling) == MEASURED_MIN

    def pays_apart(self, items: int, start_seconds: float) -> bool:
        """Whether so many items had better be computed elsewhere, where that begins only after `start_seconds`.

        Two at a time, they are done sooner when the work is more than twice the start.
        """
        each = self.item_seconds
        if each is None or items * each < APART_SECONDS_MIN + 2 * start_seconds:
            return False
        return self.handling_pays

    @property
    def handling_pays(self) -> bool:
        """Whether computing takes long against packing and unpacking, as far as that is known."""
        handling = min(self._handling) if self.handling_measured else self.handling_guess
        return handling is None or (self.item_seconds or 0.0) >= HANDLING_TIMES_MIN * handling

    def chunk_items(self, items: int, width: int) -> int:
        """How many of so many items the next chunk takes, where `width` are computed at a time: fewer at the end."""
        each = self.item_seconds or CHUNK_SECONDS_MIN
        wanted = min(CHUNK_SECONDS_MAX / each, items / (2 * width)) if self.handling_measured else 0.0
        return max(1, round(max(wanted, CHUNK_SECONDS_MIN / each)))


class RoundCosts:
    """Of all bodies that a process ran, the longest unused forgotten first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int, str, str], BodyCost] = OrderedDict()

    def of(self, plan: Plan, graph: int) -> BodyCost:
        """Of the body that is graph number `graph` of a plan."""
        body = plan.graphs[graph]
        assert body.container is not None  # noqa: S101 - the workflow's own graph is no body
        key = (plan.workflow_id, plan.version, plan.nodes[body.container].key, body.name)
        cost = self._kept.get(key)
        if cost is None:
            cost = self._kept[key] = BodyCost()
            if len(self._kept) > BODIES_MAX:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return cost

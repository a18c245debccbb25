"""Whose turn it is: which of the executions that could run are claimed next, decided without a database.

A *stream* is what one workflow of one project has at one priority, oldest first. Its effective priority is the
priority and one more for every minute that it has waited: since its oldest came, or since this store last took one of
it, whichever is later. Were it only the age of what it holds, the backlog of a flood would go before everything that
came after it. Within an effective priority the workflow that was served least recently is next.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

AGE_MAX_MINUTES = 100
#: From so many takeovers in a row without progress on, an execution is suspected of killing its runners.
SUSPECT_TAKEOVERS = 2
BACKOFF_BASE_SECONDS = 2
BACKOFF_EXPONENT_MAX = 10
#: Of more workflows than this the store forgets which it served longest ago; they count as never served.
TURNS_MAX = 10_000

_MINUTE = 60_000_000

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An execution that may be claimed. `since` is when it began to wait for that, in microseconds since 1970.

    `gate` is the key of the limit that it would come under; "" where it has none, counts already, or is
    only to be cancelled.
    """

    id: str
    project_id: str
    workflow_id: str
    priority: int
    since: int
    gate: str = ""
    limit_max: int | None = None
    suspect: bool = False

    @property
    def group(self) -> tuple[str, str]:
        """What takes turns."""
        return self.project_id, self.workflow_id

    @property
    def stream(self) -> tuple[str, str, int]:
        """What ages."""
        return self.project_id, self.workflow_id, self.priority

    def has_room(self, active: Mapping[str, int]) -> bool:
        """Whether its limit lets one more run; `active` is how many run or wait by gate."""
        return not self.gate or self.limit_max is None or active.get(self.gate, 0) < self.limit_max


class Turns:
    """Remembers whom a store served, so that claims of one execution each are as fair as one claim of many.

    Each server of a database has its own: what all of them together do is fair where each of them is.
    """

    def __init__(self) -> None:
        self._numbers = count(1)
        self._served: dict[tuple[str, str], int] = {}
        self._served_at: dict[tuple[str, str, int], int] = {}

    def first_heads(self, heads: Iterable[Candidate], limit: int, now: int) -> list[Candidate]:
        """Those of `heads`, the oldest of each stream, to whose streams a claim of `limit` can come.

        That are as many workflows, and of each as many streams: every other has so many before it.
        """
        ranked: defaultdict[tuple[str, str], list[tuple[int, int, str, Candidate]]] = defaultdict(list)
        for head in heads:
            ranked[head.group].append((-self._effective(head, now), head.since, head.id, head))
        groups = {group: heapq.nsmallest(limit, streams) for group, streams in ranked.items()}

        def turn(group: tuple[str, str]) -> tuple[int, int, int, str]:
            effective, since, id_, _ = groups[group][0]
            return effective, self._served.get(group, 0), since, id_

        return [head for group in heapq.nsmallest(limit, groups, key=turn) for *_, head in groups[group]]

    def are_enough(self, heads: Sequence[Candidate], limit: int, now: int) -> bool:
        """Whether a claim of `limit` takes nothing but of these heads: as many workflows, of which none is before."""
        return len({head.group for head in heads}) >= limit and len({self._effective(head, now) for head in heads}) == 1

    def choose(
        self, candidates: Iterable[Candidate], *, limit: int, suspects: int, now: int, active: Mapping[str, int]
    ) -> list[Candidate]:
        """Who is served, in order: `limit` at most, among them at most `suspects`, none beyond its own limit."""
        levels: defaultdict[int, defaultdict[tuple[str, str], deque[Candidate]]] = defaultdict(
            lambda: defaultdict(deque)
        )
        for candidate in sorted(candidates, key=lambda one: (one.since, one.id)):
            levels[self._effective(candidate, now)][candidate.group].append(candidate)
        chosen: list[Candidate] = []
        taken, served, numbers = dict(active), dict[tuple[str, str], int](), count(next(self._numbers))
        for level in sorted(levels, reverse=True):
            queues = [
                (served.get(group) or self._served.get(group, 0), queue[0].since, queue[0].id, queue)
                for group, queue in levels[level].items()
            ]
            heapq.heapify(queues)
            while queues and len(chosen) < limit:
                queue = heapq.heappop(queues)[-1]
                candidate = queue.popleft()
                if candidate.has_room(taken) and (suspects > 0 or not candidate.suspect):
                    chosen.append(candidate)
                    suspects -= candidate.suspect
                    taken[candidate.gate] = taken.get(candidate.gate, 0) + 1
                    served[candidate.group] = next(numbers)
                if queue:
                    turn = served.get(candidate.group) or self._served.get(candidate.group, 0)
                    heapq.heappush(queues, (turn, queue[0].since, queue[0].id, queue))
        return chosen

    def serve(self, taken: Iterable[Candidate], now: int) -> None:
        """Remember who was served, in this order."""
        for candidate in taken:
            _put_last(self._served, candidate.group, next(self._numbers))
            _put_last(self._served_at, candidate.stream, now)

    def _effective(self, candidate: Candidate, now: int) -> int:
        waited = now - max(candidate.since, self._served_at.get(candidate.stream, 0))
        return candidate.priority + min(max(waited, 0) // _MINUTE, AGE_MAX_MINUTES)


def takeover(takeovers: int, progress_seq: int, last_seq: int, now: int) -> tuple[int, int | None]:
    """What `takeovers` and `not_before` become when an execution is taken from a dead runner.

    `last_seq` is the last event's that is no `execution.started`, `progress_seq` what that was the time before.
    """
    takeovers = 1 if last_seq > progress_seq else takeovers + 1
    if takeovers < SUSPECT_TAKEOVERS:
        return takeovers, None
    return takeovers, now + BACKOFF_BASE_SECONDS ** min(takeovers, BACKOFF_EXPONENT_MAX) * 1_000_000


def _put_last(kept: dict[K, int], key: K, value: int) -> None:
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > TURNS_MAX:
        del kept[next(iter(kept))]

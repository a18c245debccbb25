"""Who waits for a worker: a bounded queue that goes round over the projects, whoever was served longest ago first."""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from itertools import islice
from typing import Generic, TypeVar

from budflow.sandbox.shares import Shares

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Values of projects; within a project those of one kind keep their order, and each kind has its head.

    Of its places a project has never more than it leaves to the others.
    """

    def __init__(self, size_max: int) -> None:
        self._size_max, self._shares = size_max, Shares(size_max)
        self._projects: OrderedDict[str, dict[Hashable, deque[T]]] = OrderedDict()
        # Who was served stays behind the others while it comes back with the next task.
        self._served: dict[str, int] = {}
        self._turn = 0

    def __len__(self) -> int:
        return self._shares.taken

    def add(self, project: str, kind: Hashable, value: T) -> None:
        """Wait behind the project's others of this kind. Raises PlacesTaken."""
        self._shares.take(project)
        self._projects.setdefault(project, {}).setdefault(kind, deque()).append(value)

    def remove(self, project: str, kind: Hashable, value: T) -> None:
        """Wait no longer; one that does not wait is left alone."""
        kinds = self._projects.get(project, {})
        waiting = kinds.get(kind)
        if waiting is None or value not in waiting:
            return
        waiting.remove(value)
        self._shares.give_back(project)
        if not waiting:
            del kinds[kind]
        if not kinds:
            del self._projects[project]

    def served(self, project: str) -> None:
        """The project got something: the others come before it."""
        self._turn += 1
        self._served[project] = self._turn
        if len(self._served) > 4 * self._size_max + 100:  # Those forgotten come first once, no more.
            self._served = {name: turn for name, turn in self._served.items() if name in self._projects}

    def heads(self) -> list[T]:
        """The first of each kind of each project, in the order of their turn."""
        return [waiting[0] for project in self._order() for waiting in self._projects[project].values()]

    def in_turn(self, count: int) -> list[T]:
        """The first `count` in the order in which they would be served, if all could be."""
        lines = [self._of(project) for project in self._order()]
        return list(islice(_interleaved(lines), count))

    def everyone(self) -> list[T]:
        """All that wait."""
        return [value for project in self._projects for value in self._of(project)]

    def _order(self) -> list[str]:
        return sorted(self._projects, key=lambda project: self._served.get(project, 0))

    def _of(self, project: str) -> Iterator[T]:
        return _interleaved([iter(waiting) for waiting in self._projects[project].values()])


def _interleaved(lines: list[Iterator[T]]) -> Iterator[T]:
    while lines:
        rest = []
        for line in lines:
            for value in line:
                yield value
                rest.append(line)
                break
        lines = rest

"""Which executions somebody watches: so that whoever has one tells, after each commit, and says nothing of all others.

A watcher says so to the processes that may have the execution, again and again while it watches; they remember it for
some seconds. What it is told is only that there is news: it reads the store, and looks by itself now and then, too.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from budflow.execution.wakes import Wakes

#: A watcher says that it watches so often, and is remembered for so long since.
REPEAT_SECONDS = 3.0
REMEMBER_SECONDS = 10.0
#: News of one execution are told at most this often.
GAP_SECONDS = 0.05
#: A watcher that hears nothing looks after this, then less and less often.
LOOK_SECONDS = 0.1
LOOK_SECONDS_MAX = 1.0
#: Of more executions than that it is not remembered that others watch them.
REMEMBERED_MAX = 10_000
#: So many that ended last are remembered: who began to watch one just then may have read the store too early.
ENDED_MAX = 1_000


class Watch:
    """One who watches an execution."""

    def __init__(self, repeat: Callable[[], None]) -> None:
        self._repeat = repeat
        self._news = asyncio.Event()
        self._pause = LOOK_SECONDS

    def tell(self) -> None:
        """There is news."""
        self._news.set()

    async def news(self) -> None:
        """Return when there may be something new in the store since this was last called; after a while anyway."""
        self._repeat()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause):
                await self._news.wait()
        self._news.clear()
        self._pause = min(LOOK_SECONDS_MAX, self._pause * 2)


class Watched:
    """The watched executions of one process. `is_here` says whether this process has an execution."""

    def __init__(self, wakes: Wakes, is_here: Callable[[str], bool]) -> None:
        self._wakes, self._is_here = wakes, is_here
        self._here: defaultdict[str, set[Watch]] = defaultdict(set)
        self._elsewhere: dict[str, asyncio.TimerHandle] = {}  # Watched by others, until the timer ends.
        self._gaps: dict[str, asyncio.TimerHandle] = {}  # Just told; what has more to tell when the gap is over.
        self._more: set[str] = set()
        self._ended: dict[str, None] = {}  # Ended here while nobody else was known to watch, the last one last.
        self._ends: list[Callable[[], None]] = []

    def begin(self) -> None:
        """Listen from now on."""
        listen = self._wakes.listen
        self._ends = [listen("watch", self._remember), listen("execution", self._wake)]

    def end(self) -> None:
        """Listen no more."""
        for end in self._ends:
            end()
        for timer in (*self._elsewhere.values(), *self._gaps.values()):
            timer.cancel()
        self._elsewhere.clear()
        self._gaps.clear()

    @contextmanager
    def watch(self, execution_id: str) -> Iterator[Watch]:
        """Watch an execution, wherever it is. What is read inside is complete but for what `news` still tells of."""
        loop = asyncio.get_running_loop()
        said_at = -REPEAT_SECONDS

        def repeat() -> None:
            nonlocal said_at
            if not self._is_here(execution_id) and loop.time() - said_at >= REPEAT_SECONDS:
                said_at = loop.time()
                self._wakes.tell("watch", execution_id)

        watch = Watch(repeat)
        self._here[execution_id].add(watch)
        repeat()
        try:
            yield watch
        finally:
            self._here[execution_id].discard(watch)
            if not self._here[execution_id]:
                del self._here[execution_id]

    def changed(self, execution_id: str, ended: bool = False) -> None:
        """There is news of an execution, and it is durable. Costs next to nothing where nobody watches it.

        That it `ended`, or goes on nowhere for now, is told without the gap.
        """
        if ended and execution_id not in self._elsewhere:
            self._ended[execution_id] = None
            if len(self._ended) > ENDED_MAX:
                del self._ended[next(iter(self._ended))]
        if execution_id in self._here or execution_id in self._elsewhere:
            if ended:
                self._say(execution_id)
            else:
                self._tell(execution_id)

    def _tell(self, execution_id: str) -> None:
        if execution_id in self._gaps:
            self._more.add(execution_id)
            return
        loop = asyncio.get_running_loop()
        self._gaps[execution_id] = loop.call_later(GAP_SECONDS, self._end_gap, execution_id)
        self._say(execution_id)

    def _say(self, execution_id: str) -> None:
        if execution_id in self._elsewhere:
            self._wakes.tell("execution", execution_id)  # Heard here, too.
        else:
            self._wake(execution_id)

    def _end_gap(self, execution_id: str) -> None:
        del self._gaps[execution_id]
        if execution_id in self._more:
            self._more.discard(execution_id)
            self._tell(execution_id)

    def _wake(self, execution_id: str) -> None:
        if execution_id:
            for watch in self._here.get(execution_id, ()):
                watch.tell()
            return
        for watches in self._here.values():  # Some news may have been missed.
            for watch in watches:
                watch.tell()

    def _remember(self, execution_id: str) -> None:
        if not execution_id:
            return  # Whoever watches repeats it.
        if execution_id in self._ended:
            del self._ended[execution_id]
            self._wakes.tell("execution", execution_id)
        known = self._elsewhere.pop(execution_id, None)
        if known is not None:
            known.cancel()
        elif len(self._elsewhere) >= REMEMBERED_MAX:
            return
        loop = asyncio.get_running_loop()
        self._elsewhere[execution_id] = loop.call_later(REMEMBER_SECONDS, self._elsewhere.pop, execution_id, None)
        if known is None and self._is_here(execution_id):
            self._tell(execution_id)  # Whoever has just begun to watch may have read the store too early.

"""Fault points: how a server under test kills itself, or loses its database, at exactly one write to what it keeps.

Nothing of this stands in the server's own code: the program beside this file wraps the store's methods from outside.
A fault is armed by writing it to a file, so that a server that runs already can be told of it.
"""

import asyncio
import functools
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from budflow.credentials.key_file import KeyFile
from budflow.execution.records import JournalWrite
from budflow.storage.errors import StorageUnavailable

#: The environment variable that names the file.
FILE_VARIABLE = "CRASH_FAULT_FILE"

#: `before` and `after` its commit the server dies. `refused`: the database does not take the write. `unheard`: it is
#: committed, but the connection breaks before the server hears of it. `late`: the database takes its time.
Moment = Literal["before", "after", "refused", "unheard", "late"]
KILLS: tuple[Moment, ...] = ("before", "after")
CUTS: tuple[Moment, ...] = ("refused", "unheard", "late")
LATE_SECONDS = 1.0
_MOMENTS: dict[str, Moment] = {moment: moment for moment in get_args(Moment)}
#: Writes of the store beside the journal's, and what a rotation of the encryption key reads.
OPERATIONS = (
    *("claim", "release_dead", "send_signal", "put_snapshot", "reserve"),
    *("list_wrapped_otherwise", "rewrap_credential", "list_key_ids"),
)
#: The steps in which the key file is replaced by another; `key_file.all` is all of them.
FILE_STEPS = ((os, "fchmod"), (os, "fsync"), (Path, "replace"))


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens, at which `moment`, to the `number`-th write, counted from arming, that contains `point`.

    `point` is an event's type, such as `node.finished`, or `store.` and an operation, such as `store.claim`, or
    `key_file.` and a step, such as `key_file.fsync`; the server survives none of the latter.
    """

    point: str
    number: int
    moment: Moment

    def __str__(self) -> str:
        return f"{self.point}:{self.number}:{self.moment}"

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """The inverse of str()."""
        point, number, moment = text.strip().split(":")
        return cls(point, int(number), _MOMENTS[moment])


def arm(path: Path, fault: Fault) -> None:
    """Let the server that watches `path` die there; the file is there whole or not at all."""
    waiting = path.with_suffix(".new")
    waiting.write_text(str(fault))
    waiting.replace(path)


def disarm(path: Path) -> None:
    """Forget a fault that did not come to pass."""
    path.unlink(missing_ok=True)


class Detonator:
    """Counts the writes of one process and ends it by SIGKILL where the armed fault says so."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fault: Fault | None = None
        self._seen = 0
        self._replaces_key_file = False

    def wrap(self, store: type[Any]) -> None:
        """Watch every write of a store's class."""
        for name in ("append", "admit", *OPERATIONS):
            method = getattr(store, name, None)
            if method is not None:
                setattr(store, name, self._watched(name, method))

    def wrap_key_file(self) -> None:
        """Watch every step in which the key file changes."""
        for owner, name in FILE_STEPS:
            setattr(owner, name, self._watched_step(f"key_file.{name}", getattr(owner, name)))
        whole = self._watched_step("key_file.all", KeyFile._replace)

        def replacing(file: KeyFile, *args: Any) -> Any:
            self._replaces_key_file = True
            try:
                return whole(file, *args)
            finally:
                self._replaces_key_file = False

        setattr(KeyFile, KeyFile._replace.__name__, replacing)

    def _watched_step(self, point: str, step: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(step)
        def watched(*args: Any, **kwargs: Any) -> Any:
            if not self._replaces_key_file:
                return step(*args, **kwargs)
            self._kill({point}, "before")
            result = step(*args, **kwargs)
            self._kill({point}, "after")
            return result

        return watched

    def _watched(self, name: str, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(method)
        async def watched(store: Any, *args: Any, **kwargs: Any) -> Any:
            points = {f"store.{name}", *_types_in(args)}
            await self._reach(points, "before", "refused", "late")
            result = await method(store, *args, **kwargs)
            if result != []:  # A claim that found nothing wrote nothing.
                await self._reach(points, "after", "unheard")
            return result

        return watched

    async def _reach(self, points: set[str], *moments: Moment) -> None:
        fault = self._kill(points, *moments)
        if fault is None:
            return
        disarm(self._path)
        if fault.moment == "late":
            await asyncio.sleep(LATE_SECONDS)
            return
        raise StorageUnavailable("The connection was cut.")

    def _kill(self, points: set[str], *moments: Moment) -> Fault | None:
        """Die here if the armed fault says so; the fault, where it wants something else to happen here."""
        fault = self._armed()
        if fault is None or fault.moment not in moments or fault.point not in points:
            return None
        self._seen += 1
        if self._seen != fault.number:
            return None
        if fault.moment in KILLS:
            os.kill(os.getpid(), signal.SIGKILL)
        return fault

    def _armed(self) -> Fault | None:
        try:
            text = self._path.read_text()
        except FileNotFoundError:
            self._fault = None
            return None
        fault = Fault.parse(text)
        if fault != self._fault:
            self._fault, self._seen = fault, 0
        return fault


def _types_in(args: tuple[Any, ...]) -> Iterator[str]:
    """The types of the events that an operation writes, those of new children included."""
    for arg in args:
        if isinstance(arg, JournalWrite):
            yield from (event.type for event in arg.events)
            yield from (event.type for _, events in arg.children for event in events)
        elif isinstance(arg, list | tuple):
            yield from (event.type for event in arg if hasattr(event, "payload"))

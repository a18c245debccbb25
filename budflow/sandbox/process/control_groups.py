"""A control group for each worker, made by hand: what all of its processes together may use.

Both kinds are known: version 1 (a hierarchy for each controller) and version 2 (one for all). Sources: the kernel's
Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst. Where the server may not make groups, there are none.
"""

import itertools
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from budflow.sandbox.runners import Limits

Controller = Literal["memory", "pids", "cpu"]

CONTROLLERS: tuple[Controller, ...] = ("memory", "pids", "cpu")
#: Beside the worker's own: those that set the sandbox up and wait for its end.
PROCESSES_AROUND = 3
REMOVE_SECONDS_MAX = 5.0
_PERIOD_MICROSECONDS = 100_000
_MEBIBYTE = 1024 * 1024
_PREFIX = "budflow-sandbox-"
_OF_SWAP = ("memory.memsw.limit_in_bytes", "memory.swap.max")
_SERVERS_GROUP = "budflow-server"


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """The directories of one worker's group, of which version 2 has one, and what holds there."""

    version: Literal[1, 2]
    directories: tuple[Path, ...]
    memory: Path | None

    @property
    def entries(self) -> tuple[Path, ...]:
        """The files to which a process writes `0` to enter."""
        return tuple(directory / "cgroup.procs" for directory in self.directories)

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel killed a process of it because of its memory."""
        if self.memory is None:
            return False
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        with suppress(OSError):
            for line in (self.memory / name).read_text().splitlines():
                key, _, count = line.partition(" ")
                if key == "oom_kill":
                    return int(count) > 0
        return False

    def remove(self) -> bool:
        """Kill what is left in it and remove it; False: something is still dying, and it must be tried again."""
        for directory in self.directories:
            with suppress(OSError):
                _kill_members(directory / "cgroup.procs")
            with suppress(OSError):
                directory.rmdir()
        return not any(directory.exists() for directory in self.directories)


@dataclass(frozen=True, slots=True)
class ControlGroups:
    """Where groups can be made: for each controller that is there, the directory of the server's own group."""

    version: Literal[1, 2]
    parents: Mapping[Controller, Path]

    def add(self, memory_mb: int, limits: Limits) -> ControlGroup:
        """Make a group with these limits. Raises OSError."""
        name = f"{_PREFIX}{os.getpid()}-{next(_numbers)}"
        made = {controller: parent / name for controller, parent in self.parents.items()}
        group = ControlGroup(self.version, tuple(dict.fromkeys(made.values())), made.get("memory"))
        try:
            for directory in group.directories:
                directory.mkdir()
            for controller, directory in made.items():
                for file, value in _settings(self.version, controller, memory_mb, limits):
                    if file in _OF_SWAP and not (directory / file).exists():
                        continue  # The kernel has no swap, or does not count it.
                    (directory / file).write_text(value)
        except OSError:
            group.remove()
            raise
        return group

    def sweep(self) -> None:
        """Remove the empty groups of servers that are gone; what is still in one is not known to be theirs."""
        for parent in set(self.parents.values()):
            for directory in parent.glob(f"{_PREFIX}*"):
                pid = directory.name.removeprefix(_PREFIX).partition("-")[0]
                if pid.isdigit() and not Path(f"/proc/{pid}").exists():
                    with suppress(OSError):
                        directory.rmdir()


_numbers = itertools.count(1)


def find_control_groups(mounts: str | None = None, own: str | None = None) -> ControlGroups | None:
    """Where this process may make groups; None: nowhere. The arguments are the texts of /proc that say it."""
    mounts = Path("/proc/self/mounts").read_text() if mounts is None else mounts
    own = Path("/proc/self/cgroup").read_text() if own is None else own
    table = [line.split() for line in mounts.splitlines()]
    paths = {names: path for _, names, path in (line.split(":", 2) for line in own.splitlines())}
    parents: dict[Controller, Path] = {}
    for controller in CONTROLLERS:
        place = next((Path(m[1]) for m in table if m[2] == "cgroup" and controller in m[3].split(",")), None)
        path = next((path for names, path in paths.items() if controller in names.split(",")), "/")
        if place is not None and (parent := _usable([place / path.lstrip("/"), place])) is not None:
            parents[controller] = parent
    if parents:
        return ControlGroups(1, parents)
    place = next((Path(m[1]) for m in table if m[2] == "cgroup2"), None)
    if place is None:
        return None
    parent = _usable([place / paths.get("", "/").lstrip("/"), place])
    controllers = [] if parent is None else _delegate(parent)
    return ControlGroups(2, dict.fromkeys(controllers, parent)) if parent and controllers else None


def _usable(candidates: Sequence[Path]) -> Path | None:
    """The first of these groups in which one can be made: tried, since not only its mode decides."""
    for candidate in candidates:
        trial = candidate / f"{_PREFIX}{os.getpid()}-trial-{next(_numbers)}"
        try:
            trial.mkdir()
            trial.rmdir()
        except OSError:
            continue
        return candidate
    return None


def _kill_members(procs: Path) -> None:
    """Each is looked up again once it is held, so that no process is killed that got the number of one meanwhile."""
    for pid in procs.read_text().split():
        with suppress(ProcessLookupError):
            held = os.pidfd_open(int(pid))
            try:
                if pid in procs.read_text().split():
                    signal.pidfd_send_signal(held, signal.SIGKILL)
            finally:
                os.close(held)


def _delegate(parent: Path) -> list[Controller]:
    """The controllers that groups below have. A group with processes of its own can give none on, except the root."""
    control = parent / "cgroup.subtree_control"
    for attempt in ("as it is", "from a group below"):
        with suppress(OSError):
            if attempt == "from a group below":
                # Only when nobody else is in it, as in a systemd unit with `Delegate=yes`.
                if (parent / "cgroup.procs").read_text().split() != [str(os.getpid())]:
                    break
                (parent / _SERVERS_GROUP).mkdir(exist_ok=True)
                (parent / _SERVERS_GROUP / "cgroup.procs").write_text(str(os.getpid()))
            offered = (parent / "cgroup.controllers").read_text().split()
            control.write_text(" ".join(f"+{name}" for name in CONTROLLERS if name in offered))
            break
    with suppress(OSError):
        given = control.read_text().replace("+", "").split()
        return [name for name in CONTROLLERS if name in given]
    return []


def _settings(version: int, controller: Controller, memory_mb: int, limits: Limits) -> Sequence[tuple[str, str]]:
    memory = str(memory_mb * _MEBIBYTE)
    quota = str(int(limits.cpus * _PERIOD_MICROSECONDS))
    processes = str(limits.processes + PROCESSES_AROUND)
    match version, controller:
        case 1, "memory":
            return (("memory.limit_in_bytes", memory), ("memory.memsw.limit_in_bytes", memory))
        case 1, "cpu":
            return (("cpu.cfs_period_us", str(_PERIOD_MICROSECONDS)), ("cpu.cfs_quota_us", quota))
        case _, "memory":
            return (("memory.max", memory), ("memory.swap.max", "0"))
        case _, "cpu":
            return (("cpu.max", f"{quota} {_PERIOD_MICROSECONDS}"),)
        case _:
            return (("pids.max", processes),)

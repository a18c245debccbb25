"""Processor time of processes, as Linux counts it (proc(5)): unlike rates it moves little with what else runs."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
#: Behind the name in /proc/PID/stat, which may hold blanks: the parent, then the times of it and of its dead children.
_PARENT, _OWN, _CHILDREN = 1, slice(11, 13), slice(13, 15)


def seconds_of(pids: Iterable[int]) -> float:
    """What living processes have used so far."""
    return sum(sum(map(int, _fields(pid)[_OWN])) for pid in pids) / _TICKS


def seconds_of_family(pid: int) -> float:
    """What a process and its children have used so far, those that have ended among them."""
    everyone = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    children = [one for one in everyone if _fields(one)[_PARENT : _PARENT + 1] == [str(pid)]]
    ended = sum(map(int, _fields(pid)[_CHILDREN])) / _TICKS
    return seconds_of([pid, *children]) + ended


def _fields(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []  # It has just ended.

"""An attempt: code that an author could write to get out of the sandbox or to use it up, and what it may come to."""

import textwrap
from dataclasses import dataclass

#: Ends by which code was stopped. That it is told why is part of being stopped.
KILLED = frozenset({"code.failed", "sandbox.worker_lost"})
NO_MEMORY = frozenset({"code.out_of_memory"})
TIMED_OUT = frozenset({"code.timed_out"})
TOO_MANY = frozenset({"code.too_many_processes"})
MALFORMED = frozenset({"code.result_malformed"})
NONE: frozenset[str] = frozenset()

#: What attempts have at hand. `tried` calls each of its arguments; whatever does not raise went through.
PRELUDE = """
import ctypes, errno, gc, json, mmap, os, signal, socket, stat, struct, subprocess, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

def call(name, *arguments):
    number = params["calls"].get(name)
    if number is None:
        raise OSError(errno.ENOSYS, name)
    ctypes.set_errno(0)
    wide = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    got = libc.syscall(ctypes.c_long(number), *wide)
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)
    return got

def tried(*attempts):
    went, why = [], []
    for attempt in attempts:
        try:
            got = attempt()
        except BaseException as error:
            why.append(f"{type(error).__name__}: {error}"[:100])
        else:
            went.append(repr(got)[:200])
    return {"escaped": bool(went), "went": went, "why": why}

def read(path):
    with open(path, "rb") as file:
        return file.read(65536) or 1 / 0

def write(path, data=b"x"):
    descriptor = os.open(path, os.O_WRONLY)
    try:
        return os.write(descriptor, data)
    finally:
        os.close(descriptor)

def make(directory):
    return os.close(os.open(directory + "/made", os.O_WRONLY | os.O_CREAT, 0o600))

def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]

def others():
    return [pid for pid in processes() if pid != os.getpid()]
"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """`code` gives back `{"escaped": bool, …}`, the items of its one return.

    `ends`: the codes of errors that are as good; with `must_end` it has to end with one of them. `then` is run after
    it, for the same project, and must not have escaped either. `seconds` is its time limit.
    """

    name: str
    code: str
    ends: frozenset[str] = NONE
    must_end: bool = False
    then: str | None = None
    seconds: float = 5.0
    memory_mb: int = 128

    @property
    def source(self) -> str:
        return PRELUDE + textwrap.dedent(self.code)

    @property
    def second_source(self) -> str | None:
        return None if self.then is None else PRELUDE + textwrap.dedent(self.then)


def refused(name: str, *expressions: str, **given: object) -> Attempt:
    """One that gives back what came of calling each of these."""
    calls = ", ".join(f"lambda: {expression}" for expression in expressions)
    return Attempt(name, f"return tried({calls})\n", **given)  # type: ignore[arg-type] # They are Attempt's own.

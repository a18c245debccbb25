"""How an attempt is made, and what must be true afterwards, whichever way of isolation is attacked."""

import asyncio
import platform

from budflow.sandbox.process.seccomp.machines import MACHINES
from tests.security.attempt import Attempt
from tests.security.canaries import Canaries
from tests.security.target import Outcome, Target

#: How much longer than its time limit stopped code may take: the broker's own limit is a little later, then it kills.
LATE_SECONDS = 4.0
_BROKEN = (
    "NameError",
    "TypeError",
    "AttributeError",
    "ArgumentError",
    "IndexError",
    "UnboundLocalError",
)


async def withstood(target: Target, attempt: Attempt, canaries: Canaries) -> None:
    """Make the attempt, then run plain code for the same project. Raises AssertionError."""
    given = {**canaries.given(), "calls": dict(MACHINES[platform.machine()].numbers)}
    outcome = await target.run(attempt.source, seconds=attempt.seconds, memory_mb=attempt.memory_mb, **given)
    _contained(outcome, attempt)
    if attempt.second_source is not None:
        second = await target.run(attempt.second_source, **given)
        assert second.error is None, second.error
        assert second.value["escaped"] is False, second.value
    plain = await target.run("return {'sum': sum(range(10))}")
    assert plain.error is None, plain.error
    assert plain.items == [{"sum": 45}]


def _contained(outcome: Outcome, attempt: Attempt) -> None:
    assert outcome.seconds < attempt.seconds + LATE_SECONDS
    if outcome.error is not None:
        assert outcome.code in attempt.ends, (outcome.code, outcome.error.message)
        assert outcome.error.message
        assert not outcome.error.message.startswith(_BROKEN), outcome.error.message
    else:
        assert not attempt.must_end, outcome.items
        assert all(item.get("escaped") is False for item in outcome.items), outcome.items
        for why in (why for item in outcome.items for why in item.get("why", ())):
            assert not why.startswith(_BROKEN), f"the attempt itself is broken: {why}"


_SEES = """
import os, socket, subprocess, sys, time

def seen():
    found = [name for name in os.listdir("/tmp") + os.listdir("/dev/shm") if name.startswith("left-")]
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                found += ["process"] if b"left-running" in open(f"/proc/{entry}/cmdline", "rb").read() else []
            except OSError:
                pass
    try:
        socket.socket(socket.AF_UNIX).connect("\\0left-listening")
        found.append("socket")
    except OSError:
        pass
    return found
"""
_LEAVES = """
for place in ("/tmp", "/dev/shm"):
    open(f"{place}/left-behind", "w").close()
listener = socket.socket(socket.AF_UNIX)
listener.bind("\\0left-listening")
listener.listen()
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "left-running"])
time.sleep(1)
return {"found": seen()}
"""


async def projects_are_apart(target: Target) -> None:
    """While code of one project runs, that of another sees nothing of it. Raises AssertionError."""
    first = asyncio.ensure_future(target.run(_SEES + _LEAVES, project="first"))
    workers = set()
    while not first.done():
        second = await target.run(f"{_SEES}\nreturn {{'found': seen()}}", project="second")
        assert second.error is None
        assert second.value == {"found": []}
        workers.add(second.worker)
    done = await first

    assert done.error is None
    assert done.value == {"found": ["left-behind", "left-behind", "process", "socket"]}  # It sees itself.
    assert done.worker not in workers

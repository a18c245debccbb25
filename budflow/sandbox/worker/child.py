"""The process of one task: it gives up what it does not need, runs the author's code, and ends."""

import _thread
import gc
import os
import random
import resource
import signal
import socket
import sys
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, NoReturn

from budflow.sandbox.worker import compiled, functions
from budflow.sandbox.worker.channel import Channel, SandboxGone
from budflow.sandbox.worker.compiled import CodeInvalid
from budflow.sandbox.worker.given import Given
from budflow.sandbox.worker.items import Items
from budflow.sandbox.worker.limits import OPEN_FILES_MAX, OUT_OF_MEMORY_STATUS, THREAD_STACK_BYTES
from budflow.sandbox.worker.packets import TASK, TROUBLE
from budflow.sandbox.worker.processes import be_killed_first, die_with_parent, keep_only, set_dumpable
from budflow.sandbox.worker.telling import Lines, Log, Progress
from budflow.sandbox.worker.troubles import Trouble, failed, invalid

#: What a process of Python has beside the data of its code: the worker's modules, and what the allocator keeps.
_OVERHEAD_BYTES = 32 * 1024 * 1024
#: More of it, to say that there was not enough.
_RESERVE_BYTES = 8 * 1024 * 1024


def run(sock: socket.socket, memory_mb: int) -> NoReturn:
    """Be the process of the task that comes over this socket; forked by the nursery."""
    status = 1
    try:
        channel = Channel(_alone_with(sock))
        _limit(memory_mb)
        lines = Lines(channel)
        sys.stdout, sys.stderr = lines.stdout, lines.stderr
        gc.enable()
        outcome = _work(channel, channel.receive(TASK), lines)
        if not channel.owned:  # A process that the code forked and that came back from it.
            os._exit(0 if isinstance(outcome, Given) else 1)
        lines.end()
        if isinstance(outcome, Given):
            outcome.end()
        else:
            channel.send_json(TROUBLE, outcome)
        status = 0
    except MemoryError:
        status = OUT_OF_MEMORY_STATUS
    except SandboxGone:
        pass
    finally:
        os._exit(status)


def _work(channel: Channel, task: dict[str, Any], lines: Lines) -> Given | Trouble:
    """Run the code; what is left to be sent, or why it failed."""
    random.seed(task["seed"])
    _seed_uuids(task["seed"])
    given = Given(channel)
    names = {
        "params": task["params"],
        "now": datetime.fromisoformat(task["now"]),
        "log": Log(lines),
        "progress": Progress(channel),
    }
    items = Items(channel, task["items"], task["item_count"])
    work = {"all": _all, "each": _each, "each_with": _each_with, "function": _functions}[task["mode"]]
    try:
        work(task["code"], names, items, given, lines)
    except SandboxGone:
        raise
    except CodeInvalid as error:
        cause = error.__cause__
        assert isinstance(cause, (SyntaxError, ValueError, RecursionError, MemoryError))  # noqa: S101 -- all it wraps.
        return invalid(cause)
    except BaseException as error:  # noqa: BLE001 -- the boundary to the author's code, which may raise anything.
        _release_reserve()
        return failed(error)
    finally:
        lines.turn_to(None)
    return given


def _all(source: str, names: Mapping[str, Any], items: Items, given: Given, lines: Lines) -> None:
    code = compiled.body(source, ["items", *names])
    given.add_all(code(items, **names), items.position_of)


def _each(source: str, names: Mapping[str, Any], items: Items, given: Given, lines: Lines) -> None:
    code = compiled.body(source, ["item", "index", *names])

    def call(item: dict[str, Any], index: int) -> None:
        given.add_all(code(item, index, **names), lambda _: index)

    _one_by_one(items, given, lines, call)


def _each_with(source: str, names: Mapping[str, Any], items: Items, given: Given, lines: Lines) -> None:
    code = compiled.body(source, ["item", "index", *names])

    def call(own: dict[str, Any], index: int) -> None:
        given.add_all(code(**{**names, **own}), lambda _: index)

    _one_by_one(items, given, lines, call)


def _functions(source: str, names: Mapping[str, Any], items: Items, given: Given, lines: Lines) -> None:
    function = functions.entry(compiled.module(source, dict(names)))

    def call(item: dict[str, Any], index: int) -> None:
        result = function.call(item)
        given.add(result if isinstance(result, Mapping) else {"value": result}, index)

    _one_by_one(items, given, lines, call)


def _one_by_one(items: Items, given: Given, lines: Lines, call: Callable[[dict[str, Any], int], None]) -> None:
    for index, item in enumerate(items):
        lines.turn_to(index)
        try:
            call(item, index)
        except (SandboxGone, MemoryError):
            raise
        except BaseException as error:  # noqa: BLE001 -- as in _work, for one item: the others go on.
            given.fail(failed(error, index))


def _seed_uuids(seed: str) -> None:
    """`uuid.uuid4()` of the code gives the same in a repetition; `secrets` and `os.urandom` are as random as ever."""
    numbers = random.Random(f"{seed}/uuid4")  # noqa: S311 -- to be repeatable is what it is for.

    def uuid4() -> uuid.UUID:
        return uuid.UUID(int=numbers.getrandbits(128), version=4)

    uuid.uuid4 = uuid4


def _alone_with(sock: socket.socket) -> socket.socket:
    """Only this socket and the standard files stay open; no handler, no group and no parent's life is shared."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    die_with_parent()
    set_dumpable(True)  # Else its own files in /proc, and those of what it starts, belong to root.
    be_killed_first()
    os.dup2(1, 2)  # The nursery's is that of the worker; the other two go nowhere.
    return keep_only(sock)


def _limit(memory_mb: int) -> None:
    """Limits of this process and those it starts; of all together, those of the sandbox hold."""
    for limit, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, memory_mb * 1024 * 1024 + _OVERHEAD_BYTES + _RESERVE_BYTES),
        (resource.RLIMIT_NOFILE, OPEN_FILES_MAX),
    ):
        hard = resource.getrlimit(limit)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        reserved = _RESERVE_BYTES if limit == resource.RLIMIT_DATA else 0
        resource.setrlimit(limit, (max(0, most - reserved), most))
    for limit in (resource.RLIMIT_MEMLOCK, resource.RLIMIT_MSGQUEUE):
        with suppress(ValueError):  # gVisor has no such limit, and locks no memory of the machine.
            resource.setrlimit(limit, (0, 0))
    _thread.stack_size(THREAD_STACK_BYTES)  # Of 8 MiB, as is usual, a few threads would be all the memory.


def _release_reserve() -> None:
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))

"""Why code failed, as the protocol says it: with the line in the author's code, and frames of nothing else."""

import errno
import os
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from budflow.sandbox.worker.limits import MESSAGE_MAX, SHORT_MAX, TRACEBACK_MAX
from budflow.sandbox.worker.processes import descendants

#: What the author's code is called where Python names files.
FILENAME = "<code>"

#: More than code may well have.
_MANY_PROCESSES = 16

Trouble = dict[str, Any]


class FunctionMissing(Exception):
    """The code does not define the one function that is called."""


class ResultMalformed(Exception):
    """The code gave back something that is no item."""


def invalid(error: SyntaxError | ValueError | RecursionError | MemoryError) -> Trouble:
    """Of code that does not compile."""
    if not isinstance(error, SyntaxError):
        text = str(error) or "it is nested too deeply"
        return {"code": "code.invalid", "message": f"The code cannot be compiled: {text}"[:MESSAGE_MAX]}
    at = f" at column {error.offset}" if error.lineno and error.offset else ""
    trouble: Trouble = {"code": "code.invalid", "message": f"{type(error).__name__}: {error.msg}{at}"[:MESSAGE_MAX]}
    if error.lineno:
        trouble["line"] = error.lineno
    return trouble


def failed(error: BaseException, item: int | None = None) -> Trouble:
    """Of code that raised; `item` is the index of the input item it worked on."""
    frames = list(_frames(error.__traceback__))
    line = frames[-1][0] if frames else None
    code, text = _classified(error)
    trouble: Trouble = {"code": code, "message": text[:MESSAGE_MAX]}
    if line is not None:
        trouble["line"] = line
    if item is not None:
        trouble["item"] = item
    trouble["traceback"] = [_shown(line, name) for line, name in frames[-TRACEBACK_MAX:]]
    return trouble


def _classified(error: BaseException) -> tuple[str, str]:
    if isinstance(error, ResultMalformed):
        return "code.result_malformed", str(error)
    if isinstance(error, FunctionMissing):
        return "code.invalid", str(error)
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return "code.out_of_memory", "The code used more memory than it may"
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return "code.too_many_processes", "The code started more threads than it may"
    if isinstance(error, OSError) and error.errno == errno.EAGAIN and _is_crowded():
        return "code.too_many_processes", "The code started more processes than it may"
    if isinstance(error, SystemExit):
        return "code.failed", f"The code called exit({error.code!r:.100}); end it with return"
    try:
        text = str(error)[:MESSAGE_MAX]
    except Exception:  # noqa: BLE001 -- the author's own class may have a `__str__` that fails.
        text = "(its text cannot be told)"
    name = type(error).__name__[:100]
    return "code.failed", f"{name}: {text}" if text else name


def _frames(traceback: TracebackType | None) -> Iterator[tuple[int, str]]:
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename == FILENAME:
            yield traceback.tb_lineno, code.co_name
        traceback = traceback.tb_next


def _shown(line: int, name: str) -> str:
    top_level = name in ("<module>", "__code__")
    return (f"line {line}" if top_level else f"line {line}, in {name}")[:SHORT_MAX]


def _is_crowded() -> bool:
    """Whether EAGAIN was of processes and not, say, of a socket: there are many, or no other one can be started."""
    if len(descendants(os.getppid())) > _MANY_PROCESSES:  # The nursery's: orphans become its children.
        return True
    try:
        pid = os.fork()
    except OSError:
        return True
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return False

"""py-spy, the sampling profiler: in which layer of BudFlow another process spends its time."""

import asyncio
import re
import shutil
import sys
from asyncio.subprocess import DEVNULL, STDOUT
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

SAMPLES_A_SECOND = 200
HTTP = "HTTP connection and event loop"
#: The layers by parts of the paths of their modules; where several fit, the first.
LAYERS: Mapping[str, Sequence[str]] = {
    "journal: events to rows": (
        *("budflow/execution/journal.py", "budflow/execution/held.py", "budflow/model/journal.py"),
        *("budflow/model/event", "budflow/model/item_codec.py"),
    ),
    "expressions and parameters": ("budflow/expressions/", "budflow/graph/params.py", "<expression>", "pydantic/"),
    "nodes": (
        *("budflow/nodes/", "budflow/model/node.py", "budflow/execution/node_", "budflow/execution/list_work.py"),
    ),
    "database": ("budflow/storage/", "sqlalchemy/", "asyncpg/", "sqlite3/"),
    "core: state and commands": ("budflow/execution/", "budflow/graph/", "budflow/model/", "immutables/"),
    "webhook: parse, admit, answer": ("budflow/triggers/", "budflow/services/"),
    HTTP: ("uvicorn/", "starlette/", "fastapi/", "budflow/api/", "budflow/server/", "mcp_server/", "budflow/cli/"),
}
#: Threads that wait for work, which py-spy takes for busy ones.
_WAITING = ("_worker (concurrent/futures/thread.py", "Writer._take (")
_PLACE = re.compile(r"\((.+):\d+\)$")


class CannotLook(Exception):
    """py-spy may not look into other processes here, or is not installed; and what it said."""


async def layers_of(pid: int, seconds: int) -> Mapping[str, float]:
    """The share of each layer in the time that the process computed during these seconds, the largest first.

    What a library does counts for the layer that called it. Raises CannotLook.
    """
    with TemporaryDirectory(prefix="budflow-bench-") as folder:
        output, said = Path(folder) / "stacks", Path(folder) / "said"
        options = ("-f", "raw", "-o", str(output), "-d", str(seconds), "-r", str(SAMPLES_A_SECOND), "-p", str(pid))
        with said.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                _py_spy(), "record", *options, stdin=DEVNULL, stdout=file, stderr=STDOUT
            )
            await process.wait()
        if process.returncode or not output.exists():
            raise CannotLook(said.read_text(encoding="utf-8", errors="replace").strip())
        return shares(output.read_text(encoding="utf-8").splitlines())


def shares(stacks: Sequence[str]) -> Mapping[str, float]:
    """The share of each layer in stacks as py-spy writes them: frames from the outermost in, and how often seen."""
    counts: Counter[str] = Counter()
    for line in stacks:
        stack, _, times = line.rpartition(" ")
        frames = stack.split(";")
        if not frames[-1].startswith(_WAITING):
            counts[_layer_of(frames)] += int(times)
    return {layer: times / counts.total() for layer, times in counts.most_common()}


def _layer_of(frames: Sequence[str]) -> str:
    for frame in reversed(frames):
        place = _PLACE.search(frame)
        path = f"/{place[1]}" if place else frame
        for layer, parts in LAYERS.items():
            if any(f"/{part}" in path for part in parts):
                return layer
    return HTTP  # Nothing but the event loop.


def _py_spy() -> str:
    found = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if found is None:
        raise CannotLook("py-spy is not installed.")
    return found

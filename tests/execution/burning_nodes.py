"""Node types that compute for as long as they are told to: one that is known to be heavy, and one that is not."""

import os
import signal
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import Field

from budflow.model.item import Json
from budflow.model.node import Batch, Example, Outputs, Params, node

NO_EXAMPLES: list[Example] = []


class BurnParams(Params):
    seconds: float = Field(default=0.0, description="Seconds of a processor for each item.")
    say: str | None = Field(default=None, description="What it logs for each item.")
    value: Any = Field(default=None, description="What it gives beside what it got.")
    mark: str | None = Field(default=None, description="A folder in which it leaves the id of its process.")
    survivor: int | None = Field(default=None, description="Every other process than this one dies of it.")


@node("test.burn", kind="batch", params=BurnParams, examples=NO_EXAMPLES)
def burn(batch: Batch[BurnParams]) -> Outputs:
    """Compute in a light node, which its author did not know to be heavy."""
    return _burn(batch)


@node("test.heavy_burn", kind="batch", params=BurnParams, examples=NO_EXAMPLES, heavy=True)
def heavy_burn(batch: Batch[BurnParams]) -> Outputs:
    """The same where the author knew."""
    return _burn(batch)


def _burn(batch: Batch[BurnParams]) -> Outputs:
    outputs = Outputs()
    for index, params in batch.each():
        if params.mark is not None:
            Path(params.mark, str(os.getpid())).touch()
        if params.survivor not in (None, os.getpid()):
            os.kill(os.getpid(), signal.SIGKILL)
        deadline = time.thread_time() + params.seconds
        while time.thread_time() < deadline:
            sha256(b"work").digest()
        if params.say is not None:
            batch.log.for_item(index).info(params.say, index=index)
        outputs.emit("main", {**batch.items[index].json, "value": params.value}, index)
    return outputs


def burning(**params: Any) -> Json:
    """A `test.burn` node."""
    return {"type": "test.burn", "params": params}


def each(nodes: Json, *edges: str, **params: Any) -> Json:
    """A `flow.for_each`: edges as in a Flow, with `in` and `out` for `$in` and `$out`."""
    pairs = [edge.split(" > ") for edge in edges or ("in > a", "a > out")]
    ends = {"in": "$in", "out": "$out"}
    shape = [{"from": ends.get(one, one), "to": ends.get(other, other)} for one, other in pairs]
    return {"type": "flow.for_each", "params": params, "bodies": {"body": {"nodes": nodes, "edges": shape}}}

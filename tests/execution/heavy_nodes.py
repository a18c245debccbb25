"""Node types that only tests need, and the composition of a runner that knows them too; importable in every process."""

import os
import signal
import time
from pathlib import Path

from pydantic import Field

from budflow.execution.ports import Heavy
from budflow.model.execution import Place
from budflow.model.node import Batch, Example, Outputs, Params, node
from budflow.nodes.registry import Registry, build
from budflow.runner import Runner, open_runner

NO_EXAMPLES: list[Example] = []


class BlockParams(Params):
    seconds: float = Field()
    mark: str | None = Field(default=None, description="A file to make when it begins.")


@node("test.where", kind="list", params=Params, examples=NO_EXAMPLES, heavy=True)
def where(batch: Batch[Params]) -> Outputs:
    """Tell the process it runs in."""
    outputs = Outputs()
    outputs.emit("main", {"pid": os.getpid()})
    return outputs


@node("test.block", kind="list", params=BlockParams, examples=NO_EXAMPLES, heavy=True)
def block(batch: Batch[BlockParams]) -> Outputs:
    """Compute for a while without ever giving way."""
    if batch.params.mark is not None:
        Path(batch.params.mark).touch()
    time.sleep(batch.params.seconds)
    return Outputs()


@node("test.die", kind="list", params=Params, examples=NO_EXAMPLES, heavy=True)
def die(batch: Batch[Params]) -> Outputs:
    """End the process it runs in."""
    os.kill(os.getpid(), signal.SIGKILL)
    return Outputs()


TESTING = Registry([*build().types(), where, block, die])


def open_test_runner(
    http_allow: tuple[str, ...] = ("127.0.0.1",), place: Place | None = None, heavy: Heavy | None = None
) -> Runner:
    """As `open_runner`, with the types above."""
    opened = open_runner(http_allow, place, heavy)
    return Runner(TESTING, opened.tools, opened.close)

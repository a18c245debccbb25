"""Node types that give much, or break while they do."""

import asyncio
from collections.abc import AsyncIterator, Iterator

from pydantic import Field

from budflow.model.failure import NodeError
from budflow.model.item import Json
from budflow.model.node import Batch, Call, Example, Outputs, Params, node
from budflow.nodes.registry import Registry, build

NO_EXAMPLES: list[Example] = []


class Even(NodeError):
    """The number is even."""

    code = "test.even"
    hint = "Take another."


class CountParams(Params):
    count: int = Field()


def _parts(count: int) -> Iterator[Outputs]:
    for start in range(0, count, 10):
        outputs = Outputs()
        for n in range(start, min(count, start + 10)):
            outputs.emit("main", {"n": n}, 0)
        yield outputs


@node("test.numbers", kind="list", params=CountParams, examples=NO_EXAMPLES)
def numbers(batch: Batch[CountParams]) -> Iterator[Outputs]:
    """Give numbers, part by part."""
    yield from _parts(batch.params.count)


@node("test.rejects", kind="list", params=CountParams, examples=NO_EXAMPLES)
def rejects(batch: Batch[CountParams]) -> Iterator[Outputs]:
    """Give numbers; even ones failed."""
    for n in range(batch.params.count):
        outputs = Outputs()
        if n % 2:
            outputs.emit("main", {"n": n}, 0)
        else:
            outputs.reject("main", {"n": n}, Even(f"{n} is even."), 0)
        yield outputs


@node("test.breaks", kind="list", params=CountParams, examples=NO_EXAMPLES)
async def breaks(batch: Batch[CountParams]) -> AsyncIterator[Outputs]:
    """Give numbers, then break."""
    for part in _parts(batch.params.count):
        await asyncio.sleep(0)
        yield part
    raise RuntimeError("broken")


@node("test.hangs", kind="list", params=CountParams, examples=NO_EXAMPLES)
async def hangs(batch: Batch[CountParams]) -> AsyncIterator[Outputs]:
    """Give numbers, then never end."""
    for part in _parts(batch.params.count):
        yield part
    await asyncio.Event().wait()


@node("test.unwritable", kind="batch", params=Params, examples=NO_EXAMPLES)
def unwritable(batch: Batch[Params]) -> Outputs:
    """Give what is no JSON."""
    outputs = Outputs()
    for index, _ in batch.each():
        outputs.emit("main", {"n": 2**70}, index)
    return outputs


@node("test.odd", kind="batch", params=Params, examples=NO_EXAMPLES)
def odd(batch: Batch[Params]) -> Outputs:
    """Pass odd numbers on; even ones fail."""
    outputs = Outputs()
    for index, _ in batch.each():
        n = batch.items[index].json["n"]
        if n % 2:
            outputs.pass_on("main", index)
        else:
            outputs.fail(index, Even(f"{n} is even."))
    return outputs


@node("test.double", kind="item", params=Params, examples=NO_EXAMPLES)
async def double(call: Call[Params]) -> Json:
    """Double a number."""
    return {"n": call.item.json["n"] * 2}


LONG = Registry([*build().types(), numbers, rejects, breaks, hangs, unwritable, odd, double])

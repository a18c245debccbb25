"""`bench.fibonacci` and `bench.fibonacci_heavy`: the tasks of a published comparison, as node types of an extension.

`installed` makes a distribution of them in a folder, which processes find by PYTHONPATH like any other extension.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import Field

from budflow.model.node import Batch, Example, Outputs, Params, node
from budflow.nodes.registry import ENTRY_POINT_GROUP

NO_EXAMPLES: list[Example] = []


def fibonacci(n: int) -> int:
    """The number, by the naive recursion of the comparison."""
    return n if n <= 1 else fibonacci(n - 1) + fibonacci(n - 2)


class FibonacciParams(Params):
    """What is computed."""

    n: int = Field(description="Which number.")


@node("bench.fibonacci", kind="batch", params=FibonacciParams, examples=NO_EXAMPLES)
def light(batch: Batch[FibonacciParams]) -> Outputs:
    """Compute it in the runner."""
    return _computed(batch)


@node("bench.fibonacci_heavy", kind="list", params=FibonacciParams, examples=NO_EXAMPLES, heavy=True)
def heavy(batch: Batch[FibonacciParams]) -> Outputs:
    """Compute it in a process of its own, as what takes long is."""
    return _computed(batch)


def _computed(batch: Batch[FibonacciParams]) -> Outputs:
    outputs = Outputs()
    for _, params in batch.each():
        outputs.emit("main", {"number": fibonacci(params.n)})
    return outputs


@contextmanager
def installed() -> Iterator[Mapping[str, str]]:
    """This process knows the node types too; gives the variables with which others do."""
    with TemporaryDirectory(prefix="budflow-bench-") as folder:
        about = Path(folder) / "budflow_bench-1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: budflow-bench\nVersion: 1\n", encoding="utf-8")
        (about / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\nbench = {__name__}\n", encoding="utf-8")
        root = str(Path(__file__).parents[1])
        sys.path.insert(0, folder)
        try:
            yield {"PYTHONPATH": os.pathsep.join([folder, root])}
        finally:
            sys.path.remove(folder)

"""data.limit: keep only the first or the last items."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from budflow.model.node import Batch, Example, Outputs, Params, node, passed_on


class LimitParams(Params):
    """How many, and from which end."""

    count: int = Field(ge=0, description="Number of items to keep at most.")
    keep: Literal["first", "last"] = Field(default="first", description="Keep the first items, or the last.")


@node(
    "data.limit",
    kind="list",
    params=LimitParams,
    examples=[
        Example(
            title="The first two",
            params={"count": 2},
            given=[{"n": 1}, {"n": 2}, {"n": 3}],
            expect={"main": [{"n": 1}, {"n": 2}]},
        ),
        Example(
            title="The last one",
            params={"count": 1, "keep": "last"},
            given=[{"n": 1}, {"n": 2}, {"n": 3}],
            expect={"main": [{"n": 3}]},
        ),
    ],
)
def limit_items(batch: Batch[LimitParams]) -> Iterator[Outputs]:
    """Keep at most `count` items, by `main`, in their order; the others are dropped.

    Put `data.sort` before it for the best or the newest few.
    """
    params = batch.params
    total = len(batch.items)
    kept = range(total)[: params.count] if params.keep == "first" else range(max(0, total - params.count), total)
    return passed_on("main", kept)

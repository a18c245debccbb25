"""data.deduplicate: drop items that were seen before, in this list or in earlier executions."""

import hashlib
from typing import Any, Literal

import orjson
from pydantic import Field

from budflow.model.node import Batch, Example, Outputs, Params, node

REMEMBERED_MAX = 100_000


class DeduplicateParams(Params):
    """What makes two items the same, and how far back to look."""

    key: Any = Field(
        default=None,
        description="What makes items the same, such as {{ $json.id }}; left out: the whole item.",
    )
    scope: Literal["list", "workflow"] = Field(
        default="list",
        description="`list`: among the items of this run. `workflow`: also those of all earlier executions.",
    )
    remember_max: int = Field(
        default=10_000,
        ge=1,
        le=REMEMBERED_MAX,
        description="With scope `workflow`: how many keys are remembered, the oldest forgotten first.",
    )


@node(
    "data.deduplicate",
    kind="list",
    params=DeduplicateParams,
    outputs=("main", "duplicates"),
    static=True,
    examples=[
        Example(
            title="One item a customer",
            params={"key": "{{ $json.customer }}"},
            given=[{"customer": "c1", "n": 1}, {"customer": "c2", "n": 2}, {"customer": "c1", "n": 3}],
            expect={
                "main": [{"customer": "c1", "n": 1}, {"customer": "c2", "n": 2}],
                "duplicates": [{"customer": "c1", "n": 3}],
            },
        ),
        Example(
            title="Only what no earlier execution had",
            params={"key": "{{ $json.id }}", "scope": "workflow"},
            given=[{"id": 7}, {"id": 8}],
            expect={"main": [{"id": 7}, {"id": 8}]},
        ),
    ],
)
def deduplicate(batch: Batch[DeduplicateParams]) -> Outputs:
    """Send the first item of each kind to `main` and every further one to `duplicates`; the order stays.

    With the scope `workflow` the keys are remembered in the node's static data, committed together with its result: an
    item counts as seen once this node has finished with it. Set `max_concurrency` to 1 where two executions at the same
    time must not both take an item for new.
    """
    outputs = Outputs()
    remembers = batch.params.scope == "workflow"
    remembered: list[str] = list(batch.static.node.get("seen", ())) if remembers else []
    seen = set(remembered)
    for index, params in batch.each():
        key = params.key if "key" in params.model_fields_set else batch.items[index].json
        digest = hashlib.sha256(orjson.dumps(key, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()[:24]
        if digest in seen:
            outputs.pass_on("duplicates", index)
            continue
        seen.add(digest)
        remembered.append(digest)
        outputs.pass_on("main", index)
    if remembers:
        batch.static.node["seen"] = remembered[-batch.params.remember_max :]
    return outputs

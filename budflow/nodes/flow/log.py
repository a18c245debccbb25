"""flow.log: write a line into the execution's log."""

from typing import Any

import orjson
from pydantic import Field

from budflow.model.log import Level
from budflow.model.node import Batch, Example, Outputs, Params, node


class LogParams(Params):
    """The line."""

    message: Any = Field(
        description="What is logged, such as `{{ $json.customer }} ordered for {{ $json.total }}`; what is no text is "
        "written as JSON. Of a long one the first 4,000 characters are kept.",
    )
    level: Level = Field(
        default="info",
        description="How important it is: `debug` lines are shown to those who ask for them.",
    )
    fields: dict[str, Any] = Field(
        default_factory=dict,
        description="Values beside the message, by name, such as {{ $json.id }}: any JSON, together at most 4,000 "
        "characters.",
    )


@node(
    "flow.log",
    kind="batch",
    params=LogParams,
    examples=[
        Example(
            title="Note each order",
            params={"message": "Order {{ $json.order }} came in", "fields": {"total": "{{ $json.total }}"}},
            given=[{"order": 7, "total": 120}, {"order": 8, "total": 5}],
            expect={"main": [{"order": 7, "total": 120}, {"order": 8, "total": 5}]},
        ),
        Example(
            title="Warn of what is unusual",
            params={"message": "Only {{ $json.left }} left of {{ $json.sku }}", "level": "warning"},
            given=[{"sku": "A1", "left": 2}],
            expect={"main": [{"sku": "A1", "left": 2}]},
        ),
    ],
)
def log_items(batch: Batch[LogParams]) -> Outputs:
    """Write a line for each item into the log of the execution, and pass every item on by `main`, unchanged.

    The lines stand among those of the other nodes and of the engine: `budflow execution logs`. With the node's
    `run_once` there is one line for the first item, which alone passes on. Of one run at most 1,000 lines are kept, of
    an execution 10,000; how many more there were is said at the end.
    """
    outputs = Outputs()
    for index, params in batch.each():
        log = batch.log.for_item(index)
        write = {"debug": log.debug, "info": log.info, "warning": log.warning, "error": log.error}[params.level]
        write(_text(params.message), **params.fields)
        outputs.pass_on("main", index)
    return outputs


def _text(message: Any) -> str:
    if isinstance(message, str):
        return message
    try:
        return orjson.dumps(message, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # Such as a number past 64 bits.
        return repr(message)

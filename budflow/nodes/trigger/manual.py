"""trigger.manual: where an execution enters that somebody or another workflow starts by hand."""

from budflow.model.node import Batch, Example, Outputs, Params, node


class ManualParams(Params):
    """No parameters: the items come from whoever starts the execution."""


@node(
    "trigger.manual",
    kind="batch",
    params=ManualParams,
    trigger=True,
    examples=[
        Example(
            title="Start with one item",
            params={},
            given=[{"name": "Ada"}],
            expect={"main": [{"name": "Ada"}]},
        )
    ],
)
def start_manually(batch: Batch[ManualParams]) -> Outputs:
    """Start an execution by hand: over the API, the CLI or MCP, or as a sub-workflow.

    The items given at the start leave by `main` unchanged; without any, the starter hands in one empty item. A
    workflow that `flow.sub_workflow` is to call needs this trigger.
    """
    outputs = Outputs()
    for index in range(len(batch.items)):
        outputs.pass_on("main", index)
    return outputs

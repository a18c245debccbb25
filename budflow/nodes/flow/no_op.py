"""flow.no_op: pass everything on."""

from budflow.model.node import Batch, Example, Outputs, Params, node


class NoOpParams(Params):
    """No parameters."""


@node(
    "flow.no_op",
    kind="batch",
    params=NoOpParams,
    examples=[
        Example(
            title="Nothing changes",
            params={},
            given=[{"a": 1}, {"a": 2}],
            expect={"main": [{"a": 1}, {"a": 2}]},
        )
    ],
)
def pass_everything_on(batch: Batch[NoOpParams]) -> Outputs:
    """Pass every item on by `main`, unchanged.

    Use it to gather several branches before they go on together, to give a branch a named end, or to hold a place.
    """
    outputs = Outputs()
    for index in range(len(batch.items)):
        outputs.pass_on("main", index)
    return outputs

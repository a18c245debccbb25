"""flow.if: part the items in two by a condition."""  # noqa: N999 - the id names the file; found by the registry

from pydantic import Field

from budflow.model.node import Batch, Example, Outputs, Params, node


class IfParams(Params):
    """The question asked of each item."""

    condition: bool = Field(
        description="Asked of each item; usually an expression that is true or false, such as {{ $json.total > 100 }}."
    )


@node(
    "flow.if",
    kind="batch",
    params=IfParams,
    outputs=("true", "false"),
    examples=[
        Example(
            title="Part large orders from small ones",
            params={"condition": "{{ $json.total > 100 }}"},
            given=[{"total": 250}, {"total": 40}],
            expect={"true": [{"total": 250}], "false": [{"total": 40}]},
        ),
        Example(
            title="A branch that no item takes stays empty",
            params={"condition": "{{ $json.paid }}"},
            given=[{"paid": True}],
            expect={"true": [{"paid": True}]},
        ),
    ],
)
def branch(batch: Batch[IfParams]) -> Outputs:
    """Send each item to the port `true` or to the port `false`; both branches may run, at the same time.

    Connect with `{"from": "KEY.true", "to": …}`. For more than two ways use `flow.switch`, to drop items
    `flow.filter`.
    """
    outputs = Outputs()
    for index, params in batch.each():
        outputs.pass_on("true" if params.condition else "false", index)
    return outputs

"""flow.filter: keep the items that pass a condition."""

from pydantic import Field

from budflow.model.node import Batch, Example, Outputs, Params, node


class FilterParams(Params):
    """The question asked of each item."""

    condition: bool = Field(description="Kept when true. Usually an expression, such as {{ $json.total > 100 }}.")


@node(
    "flow.filter",
    kind="batch",
    params=FilterParams,
    outputs=("kept", "dropped"),
    examples=[
        Example(
            title="Keep the adults",
            params={"condition": "{{ $json.age >= 18 }}"},
            given=[{"age": 12}, {"age": 40}],
            expect={"kept": [{"age": 40}], "dropped": [{"age": 12}]},
        ),
        Example(
            title="Keep the items of one kind",
            params={"condition": "{{ $json.status == 'open' }}"},
            given=[{"id": 1, "status": "open"}, {"id": 2, "status": "done"}, {"id": 3, "status": "open"}],
            expect={
                "kept": [{"id": 1, "status": "open"}, {"id": 3, "status": "open"}],
                "dropped": [{"id": 2, "status": "done"}],
            },
        ),
    ],
)
def filter_items(batch: Batch[FilterParams]) -> Outputs:
    """Keep the items that pass a condition: each leaves by `kept` or by `dropped`; none is lost, the order stays.

    Use it to go on with some of the items: connect `KEY.kept` and leave `dropped` alone. Use `flow.if` where both
    sides go on.
    """
    outputs = Outputs()
    for index, params in batch.each():
        outputs.pass_on("kept" if params.condition else "dropped", index)  # Lineage follows the index.
    return outputs

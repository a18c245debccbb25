"""data.set: set, keep and remove fields of each item."""

from typing import Any

from pydantic import Field

from budflow.model.item import Item
from budflow.model.node import Batch, Example, Outputs, Params, node
from budflow.nodes.field_path import FieldPath, PathBlocked, put, remove


class SetParams(Params):
    """What changes in each item."""

    values: dict[FieldPath, Any] = Field(
        default_factory=dict,
        description="Fields to set, by path: `customer.city` sets a field inside an object, which is made where it is "
        "missing. A value may be any JSON and hold expressions, such as {{ $json.price * $json.quantity }}.",
    )
    keep: bool = Field(
        default=True, description="Keep the other fields of the item; when false only `values` are in the result."
    )
    remove: list[FieldPath] = Field(
        default_factory=list,
        description="Paths of fields to take out before `values` are set; missing ones are no error.",
    )


@node(
    "data.set",
    kind="batch",
    params=SetParams,
    examples=[
        Example(
            title="Work out a line's total",
            params={"values": {"total": "{{ $json.price * $json.quantity }}"}},
            given=[{"price": 5, "quantity": 3}],
            expect={"main": [{"price": 5, "quantity": 3, "total": 15}]},
        ),
        Example(
            title="Shape a new object from a few fields",
            params={"keep": False, "values": {"customer.name": "{{ $json.first }} {{ $json.last }}", "source": "shop"}},
            given=[{"first": "Ada", "last": "Lovelace", "internal": 1}],
            expect={"main": [{"customer": {"name": "Ada Lovelace"}, "source": "shop"}]},
        ),
        Example(
            title="Take fields out",
            params={"remove": ["password", "profile.email"]},
            given=[{"id": 1, "password": "x", "profile": {"email": "a@example.com", "age": 36}}],
            expect={"main": [{"id": 1, "profile": {"age": 36}}]},
        ),
    ],
)
def set_fields(batch: Batch[SetParams]) -> Outputs:
    """Set fields of each item, keeping or dropping the others; one item in, one out by `main`, files kept.

    Use it to add computed fields, to shape what the next node or the answer needs, and to rename (set the new name,
    remove the old one). All values are computed from the item as it came in. An item fails where a path leads through
    something that is no object.
    """
    outputs = Outputs()
    for index, params in batch.each():
        item = batch.items[index]
        json = dict(item.json) if params.keep else {}
        try:
            for path in params.remove:
                remove(json, path)
            for path, value in params.values.items():
                put(json, path, value)
        except PathBlocked as blocked:
            outputs.fail(index, blocked)
            continue
        outputs.emit("main", Item(json, item.binary, item.error), index)
    return outputs

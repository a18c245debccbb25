"""data.aggregate: count, sum and collect the items, all together or by group."""

from collections.abc import Hashable, Iterator
from typing import Self

from pydantic import Field, model_validator

from budflow.model.failure import NodeError
from budflow.model.item import Item, Json
from budflow.model.node import PART_ITEMS, Batch, Example, Outputs, Params, node
from budflow.nodes.data.tally import TALLIES, OperationName, Tally
from budflow.nodes.field_path import FieldPath, put, read
from budflow.nodes.json_value import equality_key, is_number, kind_of

#: Groups, and values that `collect` and `unique` keep, in memory at once.
KEPT_MAX = 1_000_000


class NotANumber(NodeError):
    """A field to add up holds something that is no number."""

    code = "aggregate.not_a_number"
    hint = "Convert it before with data.set, drop the item with flow.filter, or set `on_error` to `continue`."


class TooMuchKept(NodeError):
    """There are too many groups, or too many values to collect."""

    code = "aggregate.too_much"
    hint = "Group by something that has fewer values, or count instead of collecting."


class Operation(Params):
    """One field of the result."""

    operation: OperationName = Field(
        description="`count` the items; `sum` or `average` of numbers; the smallest (`min`) or largest (`max`) value; "
        "the `first` or `last` value; `collect` all values in a list; `unique`: the different ones."
    )
    field: FieldPath | None = Field(
        default=None,
        description="Path of the field in the items, such as line.price. Only `count` goes without: it then counts "
        "items, and with a field only those where it is neither missing nor null.",
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        pattern=r"^[^.]+$",
        description="Name of the field in the result; left out, operation and field, such as sum_price.",
    )

    @model_validator(mode="after")
    def _field_is_given(self) -> Self:
        if self.field is None and self.operation != "count":
            raise ValueError(f"The operation `{self.operation}` needs a `field`.")
        return self

    @property
    def result_name(self) -> str:
        """The given name, or the one made from operation and field."""
        if self.name is not None:
            return self.name
        return self.operation if self.field is None else f"{self.operation}_{self.field.replace('.', '_')}"


class AggregateParams(Params):
    """What is worked out, of which items together."""

    operations: list[Operation] = Field(
        min_length=1, max_length=64, description="What to work out; each becomes one field of the result."
    )
    group_by: list[FieldPath] = Field(
        default_factory=list,
        max_length=16,
        description="Paths of fields: one result for each different combination of their values, which stand in the "
        "result at the same paths. Left out, one result for all items.",
    )

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        names = [operation.result_name for operation in self.operations]
        groups = {path.partition(".")[0] for path in self.group_by}
        if len(names) != len(set(names)) or groups.intersection(names):
            raise ValueError("Two fields of the result have the same name; give one operation another `name`.")
        return self


@node(
    "data.aggregate",
    kind="list",
    params=AggregateParams,
    run_on_empty=True,
    examples=[
        Example(
            title="How many, and how much",
            params={"operations": [{"operation": "count"}, {"operation": "sum", "field": "total"}]},
            given=[{"total": 10}, {"total": 2.5}],
            expect={"main": [{"count": 2, "sum_total": 12.5}]},
        ),
        Example(
            title="Turnover and customers by country",
            params={
                "group_by": ["country"],
                "operations": [
                    {"operation": "sum", "field": "total", "name": "turnover"},
                    {"operation": "unique", "field": "customer", "name": "customers"},
                ],
            },
            given=[
                {"country": "DE", "total": 5, "customer": "Ada"},
                {"country": "FR", "total": 1, "customer": "Bo"},
                {"country": "DE", "total": 7, "customer": "Ada"},
            ],
            expect={
                "main": [
                    {"country": "DE", "turnover": 12, "customers": ["Ada"]},
                    {"country": "FR", "turnover": 1, "customers": ["Bo"]},
                ]
            },
        ),
        Example(
            title="The count of nothing is 0",
            params={"operations": [{"operation": "count"}, {"operation": "max", "field": "total"}]},
            given=[],
            expect={"main": [{"count": 0, "max_total": None}]},
        ),
    ],
)
def aggregate(batch: Batch[AggregateParams]) -> Iterator[Outputs]:
    """Work out counts, sums, extremes and lists over all items, or by group; the results leave by `main`.

    Without `group_by` there is always one result, also of no items at all: count and sum are then 0, `collect` and
    `unique` empty lists, the others null. With `group_by` there is one result a group, in the order in which the
    groups first appear. Values that are missing or null are left out everywhere but in groups, where they are a group
    of their own. `min` and `max` order values like `data.sort`. An item fails whose field for `sum` or `average` is
    no number.
    """
    params = batch.params
    groups: dict[Hashable, Group] = {} if params.group_by else {(): Group(params)}
    kept = 0
    for start in range(0, len(batch.items), PART_ITEMS):
        outputs = Outputs()
        members: dict[Hashable, list[Json]] = {}
        for index, item in enumerate(batch.items[start : start + PART_ITEMS], start):
            fault = _fault(item, params)
            if fault is not None:
                outputs.fail(index, fault)
                continue
            key = tuple(equality_key(read(item.json, path)) for path in params.group_by)
            members.setdefault(key, []).append(item.json)
        for group_key, some in members.items():
            if group_key not in groups:
                groups[group_key] = Group(params, some[0])
            kept += groups[group_key].add(some)
        if kept + len(groups) > KEPT_MAX:
            raise TooMuchKept(f"More than {KEPT_MAX:,} groups and values would have to be kept.")
        yield outputs
    results = Outputs()
    for group in groups.values():
        results.emit("main", group.result())
    yield results


class Group:
    """What is known so far of the items that belong together; `first` is the first of them."""

    def __init__(self, params: AggregateParams, first: Json | None = None) -> None:
        self._params, self._first = params, first or {}
        self._tallies: list[Tally] = [TALLIES[operation.operation]() for operation in params.operations]

    def add(self, members: list[Json]) -> int:
        """Count some more items in; how many values more are in memory since. Raises NumberTooLarge."""
        before = sum(tally.kept for tally in self._tallies)
        for operation, tally in zip(self._params.operations, self._tallies, strict=True):
            path = operation.field
            tally.add(
                members if path is None else [value for json in members if (value := read(json, path)) is not None]
            )
        return sum(tally.kept for tally in self._tallies) - before

    def result(self) -> Json:
        """What it comes to. Raises NumberTooLarge."""
        result: Json = {}
        for path in self._params.group_by:
            put(result, path, read(self._first, path))
        for operation, tally in zip(self._params.operations, self._tallies, strict=True):
            result[operation.result_name] = tally.result()
        return result


def _fault(item: Item, params: AggregateParams) -> NotANumber | None:
    """Why this item cannot be counted in."""
    for operation in params.operations:
        if operation.operation in ("sum", "average") and operation.field is not None:
            value = read(item.json, operation.field)
            if value is not None and not is_number(value):
                return NotANumber(f"The field {operation.field} holds {kind_of(value)} and no number.")
    return None

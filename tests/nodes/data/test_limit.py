"""data.limit."""

import pytest
from pydantic import ValidationError

from budflow.nodes.data.limit import LimitParams
from tests.nodes.harness import run


@pytest.mark.parametrize(
    ("count", "keep", "indexes"),
    [
        (2, "first", [0, 1]),
        (2, "last", [1, 2]),
        (0, "first", []),
        (0, "last", []),
        (9, "first", [0, 1, 2]),
        (9, "last", [0, 1, 2]),
        (10**30, "first", [0, 1, 2]),
        (10**30, "last", [0, 1, 2]),
    ],
)
def test_so_many_items_stay(count: int, keep: str, indexes: list[int]) -> None:
    ran = run("data.limit", {"count": count, "keep": keep}, [{"n": n} for n in range(3)])

    assert ran.lineage.get("main", []) == indexes


def test_nothing_is_limited_to_nothing() -> None:
    assert run("data.limit", {"count": 3, "keep": "last"}, []).ports == {}


@pytest.mark.parametrize("count", [-1, 1.5, None, "many"])
def test_a_count_that_is_none_is_refused(count: object) -> None:
    with pytest.raises(ValidationError):
        LimitParams.model_validate({"count": count})

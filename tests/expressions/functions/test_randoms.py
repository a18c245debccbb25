"""Random values derive from the node's run and the item: repeated they are the same, elsewhere they are others."""

from uuid import UUID

import pytest

from budflow.expressions.budget import SEED
from budflow.expressions.compile import compile_template
from budflow.expressions.declare import EXAMPLE_NOW
from budflow.expressions.evaluate import ExpressionFailed, Scope
from tests.expressions.conftest import Evaluate

EVERY = "[uuid(), random(), random_int(0, 9), random_text(8), range(9).shuffle(), range(99).sample(3)]"


def drawn(expression: str, *, seed: str = "execution/node", index: int = 0) -> object:
    return compile_template("{{ " + expression + " }}").evaluate(Scope({}, index, {"now": EXAMPLE_NOW, SEED: seed}))


def test_a_run_that_is_repeated_draws_the_same_values() -> None:
    assert drawn(EVERY) == drawn(EVERY)


def test_other_items_nodes_and_executions_draw_others() -> None:
    values = [drawn("uuid()"), drawn("uuid()", index=1), drawn("uuid()", seed="execution/other")]
    assert len({str(value) for value in values}) == 3


def test_each_draw_for_an_item_gives_another_value_also_in_another_template() -> None:
    scope = Scope({}, 0, {SEED: "execution/node"})
    template = compile_template("{{ uuid() }}")
    assert template.evaluate(scope) != template.evaluate(scope)


@pytest.mark.parametrize("version", [4, 7])
def test_uuids_are_of_their_version(version: int) -> None:
    made = UUID(str(drawn(f"uuid({version})")))
    assert (made.version, made.variant) == (version, "specified in RFC 4122")


def test_uuids_with_a_time_begin_with_that_of_now() -> None:
    made = UUID(str(drawn("uuid(7)")))
    assert made.int >> 80 == int(EXAMPLE_NOW.timestamp() * 1000)


def test_the_values_are_spread_over_their_range() -> None:
    dice = [drawn("random_int(1, 6)", index=index) for index in range(300)]
    assert {dice.count(side) > 20 for side in range(1, 7)} == {True}


@pytest.mark.parametrize(
    "expression",
    ["uuid(5)", "random_int(2, 1)", "random_int(0, 2**200)", "random_text(10**9)", "random_text(1, 'all')"],
)
def test_what_cannot_be_drawn_is_explained(expression: str) -> None:
    with pytest.raises(ExpressionFailed):
        drawn(expression)


def test_where_no_node_runs_there_are_no_random_values(evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed, match="random values are not available here"):
        evaluate("uuid()")


@pytest.mark.parametrize("expression", ["$_seed", "$vars._seed", "$json?._seed", "_seed"])
def test_no_expression_reads_what_they_derive_from(expression: str) -> None:
    with pytest.raises(Exception, match=r"underscore|must be followed|not available"):
        drawn(expression)

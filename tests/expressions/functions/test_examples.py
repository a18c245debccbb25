"""Every example in the library is replayed through the real compiler and evaluator."""

import pytest

from budflow.expressions.budget import SEED
from budflow.expressions.compile import compile_template
from budflow.expressions.declare import EXAMPLE_NOW, EXAMPLE_SEED, Example, method
from budflow.expressions.evaluate import Scope
from budflow.expressions.table import table

EXAMPLES = [
    pytest.param(example, id=example.expression)
    for family in table().families.values()
    for function in family
    for example in function.examples
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_has_the_value_it_shows(example: Example) -> None:
    scope = Scope(example.given, 0, {"now": EXAMPLE_NOW, SEED: EXAMPLE_SEED})

    value = compile_template("{{ " + example.expression + " }}").evaluate(scope)

    assert value == example.value
    assert type(value) is type(example.value)


@pytest.mark.parametrize(
    "example",
    [
        pytest.param((function.name, function.examples), id=function.usage)
        for family in table().families.values()
        for function in family
    ],
)
def test_every_function_is_used_in_an_example_of_its_own(example: tuple[str, tuple[Example, ...]]) -> None:
    name, examples = example
    assert any(f"{name}(" in one.expression for one in examples)


def test_a_function_without_an_example_is_not_declared() -> None:
    with pytest.raises(ValueError, match="at least one example"):
        method(str, name="nothing", examples=[])(lambda budget, text: text)

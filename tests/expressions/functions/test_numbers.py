"""Functions on numbers."""

import pytest

from budflow.expressions.evaluate import ExpressionFailed
from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("(2.567).round(2), (2.5).round(), round(2.567, 1), round(1234, -2)", [2.57, 2, 2.6, 1200]),
        ("(2.5).floor(), (2.5).ceil(), (-2).abs(), abs(-2.5)", [2, 3, 2, 2.5]),
        ("(12).clamp(0, 10), (-1).clamp(0, 10), (5).clamp(0, 10)", [10, 0, 5]),
        ("(1234567.891).format(',.2f'), (7).format('03d'), (0.25).format('.0%')", ["1,234,567.89", "007", "25%"]),
        ("(2.0).is_whole(), (2.5).is_whole()", [True, False]),
        ("int('42'), int('ff', 16), int(2.9), int(True), int()", [42, 255, 2, 1, 0]),
        ("float('1.5'), float(2), float()", [1.5, 2.0, 0.0]),
        ("bool(0), bool('a'), bool([]), bool(None)", [False, True, False, False]),
        ("range(3), range(1, 3), range(5, 0, -2), range(0)", [[0, 1, 2], [1, 2], [5, 3, 1], []]),
    ],
)
def test_numbers(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "int('1.5')",
        "int([])",
        "float('x')",
        "float(None)",
        "range(1, 2, 0)",
        "range('a')",
        "(1).format('x' * 300)",
        "(1.5).format('d')",
        "round('a')",
        "abs('a')",
    ],
)
def test_arguments_of_the_wrong_kind_are_explained(expression: str, evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed):
        evaluate(expression)

"""Reading and writing numbers, and reckoning with them."""

import pytest

from budflow.expressions.evaluate import ExpressionFailed
from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (
            (
                "'1,234'.parse_number(), '(5)'.parse_number(), '50%'.parse_number(), "
                "\"1'000.5 CHF\".replace('CHF', '').parse_number()"
            ),
            [1234, -5, 50, 1000.5],
        ),
        (
            "'+5'.to_number(), '007'.to_number(), '-0.0'.to_number(), ' on '.to_bool(), 'F'.to_bool()",
            [5, 7, 0.0, True, False],
        ),
        ("(2.5).round_to(1), (-7).round_to(5), (0.3).round_to(0.1)", [2, -5, 0.3]),
        ("(-1234.5).format_number(1), (0.5).format_number(), (1e6).format_number(0, '')", ["-1,234.5", "0", "1000000"]),
        (
            "(999).format_bytes(), (999999).format_bytes(), (0).format_bytes(), (-1500).format_bytes()",
            ["999 B", "1 MB", "0 B", "-1.5 KB"],
        ),
        ("(1e15).format_compact(), (999950).format_compact(), (0.5).format_percent()", ["1000T", "1M", "50%"]),
        ("(0).to_base(2), (4).to_roman(), (111).ordinal(), (-1).sign(), (2.9).truncate()", ["0", "IV", "111th", -1, 2]),
        ("(100).log(10), (5).factorial(), (0).gcd(5), (10).percent_change(15)", [2.0, 120, 5, 50.0]),
        ("(4.5).is_even(), (-3).is_odd(), (2**60).is_whole()", [False, True, True]),
    ],
)
def test_what_they_give(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("'12 km'.to_number()", "not a number"),
        ("'nan'.to_number()", "not a number"),
        ("''.to_int()", "not a number"),
        ("'maybe'.to_bool()", "neither true nor false"),
        ("(-1).sqrt()", "negative"),
        ("(0).log()", "above zero"),
        ("(1).log(1)", "not one"),
        ("(401).factorial()", "from 0 to 400"),
        ("(0).to_roman()", "from 1 to 3,999"),
        ("(1).to_base(1)", "from 2 to 36"),
        ("(1).format_number(99)", "from 0 to 30"),
        ("(5).percent_of(0)", "division by zero"),
        ("(710).exp()", "range"),
        ("'1'.parse_number(decimal=';')", "decimal sign"),
    ],
)
def test_what_they_cannot_do_is_explained(expression: str, told: str, evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate(expression)
    assert told in f"{caught.value.message} {caught.value.hint}"

"""Functions on lists."""

import pytest

from budflow.expressions.evaluate import ExpressionFailed
from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("[3, 1].first(), [3, 1].last(), [].first(), [].last(0)", [3, 1, None, 0]),
        ("[1, 2].length(), (1, 2).length(), {1}.length(), len({'a': 1})", [2, 2, 1, 1]),
        ("['a', 1, None].join('-'), [1, 2].join()", ["a-1-", "1,2"]),
        ("[1, 2].contains(2), [1].contains('1'), {1}.contains(1)", [True, False, True]),
        ("[5, 6, 5].index(6), [5].index(9), [5, 6, 5].count(5)", [1, -1, 2]),
        ("[1, 2.5].sum(), sum([]), [1, 2].average(), [].average()", [3.5, 0, 1.5, None]),
        ("sum([duration(hours=1), duration(hours=2)]).total_hours()", 3.0),
        ("[3, 1, 2].min(), [3, 1, 2].max(), [].min(), min(2, 1), max([1, 5]), min([])", [1, 3, None, 1, 5, None]),
        ("$json.rows.min(by='n').n, $json.rows.max('n').n", [1, 3]),
        ("[3, 1, 2].sort(), sorted('ba'), $json.numbers.sort(descending=True)", [[1, 2, 3], ["a", "b"], [3, 2, 1]]),
        ("$json.rows.sort(by='n').pluck('n')", [1, 2, 3]),
        ("[1, 2].reverse(), reversed('ab')", [[2, 1], ["b", "a"]]),
        ("[1, 2, 1, '1', {'a': 1}, {'a': 1}].unique()", [1, 2, "1", {"a": 1}]),
        ("$json.rows.unique(by='kind').pluck('n')", [3, 1]),
        ("[1, None, '', 0, []].compact()", [1, 0, []]),
        ("[1, [2, [3]], (4,)].flatten()", [1, 2, [3], 4]),
        ("[1, 2, 3].chunk(2)", [[1, 2], [3]]),
        ("$json.rows.pluck('zzz')", [None, None, None]),
        ("$json.rows.where('kind', 'x').length()", 2),
        ("$json.rows.group_by('kind').y", [{"n": 1, "kind": "y"}]),
        ("$json.rows.index_by('n')[1].kind", "y"),
        ("any([0, 1]), all([0, 1]), any([]), all(x > 0 for x in [1, 2])", [True, False, False, True]),
        ("list('ab'), list({'a': 1}), sorted(set([1, 1, 2]))", [["a", "b"], ["a"], [1, 2]]),
        (
            "enumerate(['a']), enumerate(['a'], 1), zip([1, 2], 'ab'), zip()",
            [[[0, "a"]], [[1, "a"]], [[1, "a"], [2, "b"]], []],
        ),
    ],
)
def test_lists(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "sum(['a'])",
        "sum(1)",
        "[1, 'a'].sort()",
        "[{}].sort()",
        "[{}, {}].min()",
        "[1].pluck('a')",
        "[1].chunk(0)",
        "[1].chunk('a')",
        "len(1)",
        "set([[]])",
        "enumerate([1], 'a')",
        "[{'a': []}].group_by('a')",
        "list(1)",
    ],
)
def test_arguments_of_the_wrong_kind_are_explained(expression: str, evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed):
        evaluate(expression)

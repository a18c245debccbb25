"""Lists of dicts and numbers, and lists as sets."""

import pytest

from budflow.expressions.evaluate import ExpressionFailed
from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (
            "[1, 2, 3].take(0), [1, 2, 3].take(9), [1].skip(5), [1, 2].at(-1), [1, 2].at(-3)",
            [[], [1, 2, 3], [], 2, None],
        ),
        (
            "[1, 2].insert(-1, 9), [1].insert(99, 2), [1, 2].without_index(-1), [].rotate(3)",
            [[1, 9, 2], [1, 2], [1], []],
        ),
        (
            "[[1, [2]], [[3]]].flatten(9), [1].flatten(0), [1, 2, 3].windows(4), [1, 2].pad(1)",
            [[1, 2, 3], [1], [], [1, 2]],
        ),
        ("['a', 'b', 'c'].join(', ', last=' and '), ['a'].join(', ', last=' and ')", ["a, b and c", "a"]),
        (
            "[{'a': [1]}].union([{'a': [1]}], [2]), [1, 1.0, True].unique(), ['1', 1].unique()",
            [[{"a": [1]}, 2], [1], ["1", 1]],
        ),
        ("[1, 2].symmetric_difference([2, 3]), [].is_subset_of([]), [[1]].overlaps([[1]])", [[1, 3], True, True]),
        ("$json.rows.sort_by('kind', '-n').pluck('n')", [3, 2, 1]),
        (
            "$json.rows.count_by('kind'), $json.rows.sum_by('kind', 'n'), $json.rows.pivot('kind', 'n', 'n').x",
            [{"x": 2, "y": 1}, {"x": 5, "y": 1}, {"3": 3, "2": 2}],
        ),
        (
            (
                "$json.rows.find_by('n', 9, 'none'), $json.rows.where_in('n', [1, 2]).length(), "
                "$json.rows.pluck('n', 'z')[0]"
            ),
            ["none", 2, {"n": 3, "z": None}],
        ),
        ("$json.deep.a.b.pluck_path('c[0]')", [None, 10]),
        ("$json.rows.duplicates('kind').pluck('n'), [3, 1].is_sorted(), [].is_sorted()", [[2], False, True]),
        (
            "[1, 2, 3, 4].median(), [].median(), [1].percentile(50), [5].deviation(), [].variance()",
            [2.5, None, 1, 0.0, None],
        ),
        (
            "$json.rows.sum('n'), $json.rows.average('n'), average(), average([]), [2, 3].product()",
            [6, 2.0, None, None, 6],
        ),
        (
            "[{'id': 1}].join_on([{'id': 1, 'b': 2}, {'id': 1, 'b': 3}], 'id'), [{'id': 1}].join_on([], 'id')",
            [[{"id": 1, "b": 2}], [{"id": 1}]],
        ),
        (
            "[{'a': 1}, {'b': '=x\\ny'}].to_csv(), [].to_csv(), [{'a': 1, 'b': 2}].to_csv(';')",
            ['a,b\n1,\n,"=x\ny"', "", "a;b\n1;2"],
        ),
        (
            "as_list({1}), as_list({'a': 1}), zip_dict('ab', [1, 2]), number_list(2, 2)",
            [[1], [{"a": 1}], {"a": 1, "b": 2}, [2]],
        ),
    ],
)
def test_what_they_give(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("[1].pluck('a')", "not only dicts"),
        ("[{'a': 1}].pluck()", "at least one key"),
        ("[1, 'a'].median()", "each element must be a number"),
        ("[1].percentile(101)", "from 0 to 100"),
        ("[1].chunk(0)", "from 1"),
        ("[1].without_index(1)", "has no [1]"),
        ("zip_dict([1], [])", "1 keys and 0 values"),
        ("[1].union(2)", "must be a list"),
        ("[[1, 2, 3]].to_dict()", "a pair"),
        ("[{'a': [1]}].group_by('a')", "cannot be a key"),
        ("[{'a': 1}].sort_by()", "1 to 10 keys"),
        ("[{'a': 1}].sum_by('a', 'b')", "b must be a number"),
        ("number_list(1, 10**9)", "the limit is"),
        ("[1].to_csv()", "must be a dict"),
    ],
)
def test_what_they_cannot_do_is_explained(expression: str, told: str, evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate(expression)
    assert told in f"{caught.value.message} {caught.value.hint}"

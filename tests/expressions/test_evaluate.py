"""Expressions mean what they mean in Python, except that attributes are data and every failure is explained."""

import pickle

import pytest

from budflow.expressions.compile import compile_template
from budflow.expressions.evaluate import ExpressionFailed, Scope
from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3 - 4 / 2", 5.0),
        ("7 // 2, 7 % 4, 2 ** 10, -3, +3", [3, 3, 1024, -3, 3]),
        ("1 << 4 | 1, 6 & 3, 6 ^ 3, 8 >> 2", [17, 2, 5, 2]),
        ("'a' + 'b' * 3", "abbb"),
        ("[1] + [2] * 2", [1, 2, 2]),
        ("{'a': 1} | {'b': 2}", {"a": 1, "b": 2}),
        ("sorted({1, 2} & {2, 3} | {5})", [2, 5]),
        ("1 < 2 <= 2 != 3", True),
        ("3 > 2 > 2", False),
        ("1 if $json.price > 5 else 2", 1),
        ("$json.none or 'default'", "default"),
        ("not $json.none and $json.yes", True),
        ("$json.none is None, $json.yes is not None", [True, True]),
        ("'a' in $json.user.tags, 'z' not in $json.user.tags, 'd' in 'Ada', 'name' in $json", [True, True, True, True]),
        ("3 in {3, 4}, [1] in [[1]]", [True, True]),
        ("$json.numbers[1:], $json.numbers[::-1], $json.name[:2]", [[1, 2], [2, 1, 3], "Ad"]),
        ("$json.numbers[-1]", 2),
        ("$json['_private']", "seen"),
        ("$json.from", "keyword"),
        ("[r.n * 2 for r in $json.rows if r.kind == 'x']", [6, 4]),
        ("[a + b for a in 'xy' for b in 'pq']", ["xp", "xq", "yp", "yq"]),
        ("[[y for y in range(x)] for x in range(3)]", [[], [0], [0, 1]]),
        ("{k: v for k, v in $json.rows[0].items()}", {"n": 3, "kind": "x"}),
        ("sorted({r.kind for r in $json.rows})", ["x", "y"]),
        ("sum(r.n for r in $json.rows)", 6),
        ("[i for i, (a, b) in enumerate([(1, 2), (3, 4)])]", [0, 1]),
        ("[*$json.numbers, 4]", [3, 1, 2, 4]),
        ("{**$json.rows[0], 'n': 0}", {"n": 0, "kind": "x"}),
        ("f'{$json.name}: {$json.price:>5}|{$json.ratio:.2f}'", "Ada:    10|0.50"),
        ("f'{$json.none}{$json.yes}{$json.numbers}'", "true[3,1,2]"),
        ("f'{$json.name!r} {{x}}'", '"Ada" {x}'),
        ("f'{$json.price:>{3 + 3}}'", "    10"),
        ("f'{$now:%d.%m.%Y}'", "31.01.2026"),
        ("$json?.zzz?.y", None),
        ("$json.none?.upper()", None),
        ("$json.rows?.[9]?.n", None),
        ("$json.rows?.[0]?.n", 3),
        ("$now.plus(days=1) > $now", True),
        ("($now.plus(hours=36) - $now).total_days()", 1.5),
        ("$now + duration(days=1) == $now.plus(days=1)", True),
        ("$node.fetch.json.title", "seven"),
        ("[i.id for i in $node.fetch.items]", [7, 8]),
        ("$item_index", 4),
        ("1_000 + 0x10 + 1e3", 2016.0),
        ("'\\u00e4\\n'", "ä\n"),
        ("(1\n + 2) # sum\n", 3),
        ("() == ()", True),
        ("1 == '1'", False),
    ],
)
def test_expressions_mean_what_they_mean_in_python(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        ("$json.nmae", 'no "nmae"', 'Did you mean "name"?'),
        ("$json.user.mail", 'no "mail"', "email"),
        ("$json['zzzz']", 'no "zzzz"', "Keys: name"),
        ("$json.none.x", "None has no `x`", "?.x"),
        ("$json.none[0]", "None has nothing inside", "?.["),
        ("$json.none.upper()", "None has no .upper()", "?.upper"),
        ("$json.name.length", "must be called", ".length()"),
        ("$json.rows.n", "a list has no `n`", 'pluck("n")'),
        ("$json.rows[9]", "a list of 3 has no [9]", ""),
        ("$json.price.upper()", "a number has no .upper()", "It has"),
        ("$json.price + 'a'", "cannot be joined", "str(x)"),
        ("$json.none + 1", "cannot be combined", "default"),
        ("$json.none < 1", "cannot be compared", ""),
        ("[x for x in $json.none]", "cannot be looped over", "or []"),
        ("1 / 0", "division by zero", ""),
        ("$json.name.replace('a')", "does not take these arguments", ".replace(old, new"),
        ("round(1.5, digitz=1)", "does not take these arguments", "round(number, digits=None)"),
        ("$loop.index", "$loop is not available here", ""),
        ("'%s' % 1", "`%` does not format", "f-string"),
        ("[a for a, b in [1]]", "", ""),
        ("$node.gone.json", 'no "gone"', "fetch"),
        ("int('x')", "not a whole number", "float"),
    ],
)
def test_failures_name_the_expression_and_what_to_do(
    expression: str, message: str, hint: str, evaluate: Evaluate
) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate(expression)
    assert expression in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.code == "expression.failed"


def test_a_failure_in_a_text_names_the_expression_that_failed(scope: Scope) -> None:
    with pytest.raises(ExpressionFailed, match=r"`\$json\.zzz`"):
        compile_template("{{ $json.name }} and {{ $json.zzz }}").evaluate(scope)


def test_a_failure_survives_the_way_between_processes(evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate("$json.nmae")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.message, copy.hint, copy.details) == (caught.value.message, caught.value.hint, caught.value.details)


def test_evaluating_leaves_the_data_as_it_was(scope: Scope, evaluate: Evaluate) -> None:
    before = pickle.dumps(scope.json)
    for expression in ("$json.numbers.sort()", "$json.rows + [1]", "$json.merge({'a': 1})", "$json.numbers.reverse()"):
        evaluate(expression)
    assert pickle.dumps(scope.json) == before


def test_the_lazy_data_of_a_node_loads_only_when_it_is_read(scope: Scope) -> None:
    fetch = scope.names["node"]["fetch"]  # type: ignore[index]  # a dict
    compile_template("{{ 1 if True else $node.fetch.json.id }}").evaluate(scope)
    assert fetch.items_loaded == 0


@pytest.mark.parametrize(
    "expression", ["2**64", "-(2**63) - 1", "[2**70]", "{'a': 1e308 * 10}", "1e308 * 10", "[1e308 * 10 - 1e308 * 10]"]
)
def test_a_number_that_json_cannot_hold_fails_where_it_is_made(expression: str, evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed):
        evaluate(expression)


def test_times_leave_as_text_so_that_what_is_read_back_is_what_went_on(evaluate: Evaluate) -> None:
    assert evaluate("{'at': $now, 'all': [$now]}") == {
        "at": "2026-01-31T13:05:09+00:00",
        "all": ["2026-01-31T13:05:09+00:00"],
    }


def test_keys_leave_as_text_so_that_what_is_read_back_is_what_went_on(evaluate: Evaluate) -> None:
    found = evaluate("{1: 'a', 2.5: {None: 'b'}, $now: [{True: 'c'}]}")

    assert found == {"1": "a", "2.5": {"null": "b"}, "2026-01-31T13:05:09+00:00": [{"true": "c"}]}
    assert evaluate("{1: 'a'}[1]") == "a"


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("{1: 'a', '1': 'b'}", '"1"'),
        ("{k: k for k in [True, 'true']}", '"true"'),
        ("[{'inside': {None: 1, 'null': 2}}]", '"null"'),
        ("{1.5: 'a'} | {'1.5': 'b'}", '"1.5"'),
        ("dict([[2, 'a'], ['2', 'b']])", '"2"'),
        ("[{'n': 1}, {'n': '1'}].group_by('n')", '"1"'),
        ("[{'n': 1}, {'n': '1'}].count_by('n')", '"1"'),
        ("[[1, 'a'], ['1', 'b']].to_dict()", '"1"'),
        ("to_json({1: 'a', '1': 'b'})", '"1"'),
        ("f\"{ {1: 'a', '1': 'b'} }\"", '"1"'),
        ("{$now: 1, $now.iso(): 2}", '"2026-01-31T13:05:09+00:00"'),
        ("{1: 'a', '1': 'b'}.flatten()", '"1"'),
        ("{'a': {'b': 1}, 'a.b': 2}.flatten()", '"a.b"'),
        ("{1: 'a', '1': 'b'}.unflatten()", '"1"'),
        ("{'a': 1, 'b': 2}.rename('a', 'b')", '"b"'),
        ("{'a': 1, 'b': 2}.rename_keys({'a': 'b'})", '"b"'),
        ("[{'a': 1, 'b': 2}].rename_keys({'a': 'b'})", '"b"'),
        ("{'userId': 1, 'user_id': 2}.case_keys('snake')", '"user_id"'),
    ],
)
def test_two_keys_that_become_one_are_told_so_that_nothing_is_lost(
    expression: str, named: str, evaluate: Evaluate
) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate(expression)

    assert caught.value.code == "expression.failed"
    assert f"two keys of a dict would both be {named}" in caught.value.message
    assert "another name" in caught.value.hint


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("switch('1', {1: 'a', '1': 'b'})", "b"),
        ("{1: 'a', '1': 'b'}[1]", "a"),
        ("{'a': 1, 'b': 2}.rename_keys({'a': 'b', 'b': 'a'})", {"b": 1, "a": 2}),
        ("{'a': 1}.rename('a', 'a')", {"a": 1}),
    ],
)
def test_keys_that_stay_apart_are_kept(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value


def test_a_key_that_was_a_number_says_that_it_is_a_text(scope: Scope) -> None:
    scope = Scope({"by_id": {"7": "Ada"}}, 0, scope.names)
    with pytest.raises(ExpressionFailed) as caught:
        compile_template("{{ $json.by_id[7] }}").evaluate(scope)

    assert 'Write ["7"]' in caught.value.hint


@pytest.mark.parametrize(
    "expression",
    [
        "{t for t in 'gecbfda'}",
        "[t for t in set('gecbfda')]",
        "[*{'g', 'e', 'c', 'b', 'f', 'd', 'a'}]",
        "list(set('gecbfda'))",
        "set('gecbfda').join('').characters()",
        "set('gecbfda').union([])",
        "set('gecbfda').join('', '').characters()",
    ],
)
def test_a_set_has_the_same_order_in_every_process(expression: str, evaluate: Evaluate) -> None:
    assert evaluate(expression) == ["a", "b", "c", "d", "e", "f", "g"]


def test_a_set_of_several_kinds_has_an_order_too(evaluate: Evaluate) -> None:
    assert evaluate("{'b', 1, None, 'a', 2.5}") == [None, 2.5, 1, "a", "b"]

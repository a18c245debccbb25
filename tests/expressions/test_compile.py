"""A template keeps the type of a lone expression, knows what it refers to, and tells where it is wrong."""

import pytest

from budflow.expressions.budget import Budget
from budflow.expressions.compile import compile_source, compile_template
from budflow.expressions.evaluate import ExpressionFailed, Scope
from budflow.expressions.tokenize import MARKERS, ExpressionInvalid, Source, split
from tests.expressions.conftest import Evaluate


def test_text_without_expressions_is_itself(scope: Scope) -> None:
    template = compile_template("no } expressions {")
    assert template.evaluate(scope) == "no } expressions {"
    assert template.names == frozenset()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ $json.price }}", 10),
        ("{{ $json.price > 5 }}", True),
        ("{{ $json.none }}", None),
        ("{{ $json.rows[0] }}", {"n": 3, "kind": "x"}),
        (" {{ $json.price }}", " 10"),
        ("{{ $json.price }}{{ $item_index }}", "104"),
        ("[{{ $json.none }}]", "[]"),
        ("{{ $json.yes }}!", "true!"),
        ("={{ $json.user }}", '={"email":"ada@example.org","tags":["a","b"]}'),
        ("at {{ $now }}", "at 2026-01-31T13:05:09+00:00"),
        ("{{ {1, 1} }}", [1]),
        ("{{ (1, [2, (3,)]) }}", [1, [2, [3]]]),
        ("{{ $now - $now }}", 0.0),
        (
            "{{ $node.fetch }}",
            {"json": {"id": 7, "title": "seven"}, "items": [{"id": 7, "title": "seven"}, {"id": 8, "title": "eight"}]},
        ),
    ],
)
def test_a_lone_expression_keeps_its_type_and_others_become_text(text: str, value: object, scope: Scope) -> None:
    result = compile_template(text).evaluate(scope)
    assert result == value
    assert type(result) is type(value)


def test_data_passes_through_as_the_very_same_object(scope: Scope) -> None:
    assert compile_template("{{ $json.rows }}").evaluate(scope) is scope.json["rows"]
    assert compile_template("{{ [$json.rows][0] }}").evaluate(scope) is scope.json["rows"]


def test_a_template_knows_the_names_and_nodes_it_reads() -> None:
    template = compile_template(
        '{{ $json.a }} {{ $node.fetch.json.id + $node["other one"].json.x + $node?.third.json }}'
    )
    assert template.names == {"json", "node"}
    assert template.node_keys == {"fetch", "other one", "third"}


@pytest.mark.parametrize(
    "expression", ["$secrets", "$node", "$node[$json.key]", "$node.keys()", "[n for n in $node]", "$node[0]"]
)
def test_nodes_and_secrets_are_read_by_constant_keys_only(expression: str) -> None:
    with pytest.raises(ExpressionInvalid, match="constant key"):
        compile_template("{{ " + expression + " }}")


@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("$jsn.a", '"$json"'),
        ("$json.name.uper()", '"upper"'),
        ("'x'.pluck('a')", "There are"),
        ("$json.name.toUpperCase()", ".upper()"),
        ("$json.rows.map(1)", "for x in"),
        ("lenn($json.rows)", '"len"'),
        ("upper($json.name)", "x.upper"),
        ("true", "True"),
        ("null", "None"),
        ("name", "$json.name"),
        ("len", "len(…)"),
        ("$json.__class__", '["_key"]'),
        ("$json.a ? 1 : 2", "if condition else"),
    ],
)
def test_what_is_wrong_comes_with_what_to_write_instead(expression: str, hint: str) -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        compile_template("{{ " + expression + " }}")
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("{{ $json.a + $jsn.b }}", 13),
        ("ä{{ 'ß' + lenn(1) }}", 10),
        ("{{ $json.from + x }}", 16),
        ("x {{ 1 +\n  y }}", 11),
    ],
)
def test_the_place_of_what_is_wrong_is_its_offset_in_the_text(text: str, offset: int) -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        compile_template(text)
    assert caught.value.details["offset"] == offset


def test_syntax_errors_show_the_expression_as_written() -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        compile_template("{{ $json.a $json?.b }}")
    assert MARKERS.isdisjoint(caught.value.message)


PATHS = [
    "$json",
    "$item_index",
    "$json.name",
    "$json.user.email",
    "$json.user.tags[0]",
    "$json.user.tags[-1]",
    "$json.user.tags[9]",
    "$json.user['email']",
    "$json['first-name']",
    "$json['_private']",
    "$json.from",
    "$json.deep.a.b[1].c[0]",
    "$json.deep.a.x[1].c",
    "$json[0]",
    "$json.name[0]",
    "$json.name.length",
    "$json.name['a']",
    "$json.none.x",
    "$json.none[0]",
    "$json.none?.x",
    "$json?.zzz?.x",
    "$json.zzz?.x",
    "$json.rows?.[7]?.n",
    "$json.rows?.[1].n",
    "$json?.['name']",
    "$json.price.x",
    "$json.rows.n",
    "$json.nmae",
    "$now",
    "$now.year",
    "$execution.id",
    "$execution.x",
    "$workflow.id",
    "$node.fetch.json.id",
    "$node.fetch.items[1].title",
    "$node.fetch.items[2].title",
    "$node.fetch.zzz",
    "$node.gone.json",
    "$secrets.token",
    "$secrets.token.x",
    "$vars.broken",
    "$vars.broken.x",
    "$json[True]",
    "$json[1.5]",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_plain_path_reads_the_same_directly_and_by_code(path: str, scope: Scope) -> None:
    [source] = split("{{" + path + "}}")
    assert isinstance(source, Source)
    outcomes = []
    for direct in (True, False):
        run = compile_source(source, direct=direct).run
        try:
            outcomes.append(("value", run(scope, Budget())))
        except Exception as error:  # noqa: BLE001  # Whatever it is, both ways must raise the same.
            outcomes.append((type(error).__name__, (str(error), getattr(error, "hint", ""))))
    assert outcomes[0] == outcomes[1]


def test_a_secret_leaves_only_whole(scope: Scope, evaluate: Evaluate) -> None:
    assert compile_template("{{ $secrets.token }}").evaluate(scope) is scope.names["secrets"]["token"]  # type: ignore[index]  # a dict
    for expression in (
        "str($secrets.token)",
        "[$secrets.token]",
        "{'a': $secrets.token}",
        "f'{$secrets.token}'",
        "$secrets.token + 'a'",
        "$secrets.token == 'a'",
        "$secrets.token in ['a']",
        "$secrets.token.upper()",
        "to_json($secrets)",
        "$secrets.token[0]",
        "[c for c in $secrets.token]",
        "$secrets",
        "$secrets.items()",
        "sorted([$secrets.token, 'a'])",
    ):
        with pytest.raises((ExpressionFailed, ExpressionInvalid)):
            evaluate(expression)
    with pytest.raises(ExpressionFailed):
        compile_template("Bearer {{ $secrets.token }}").evaluate(scope)


@pytest.mark.parametrize("expression", ["'Bearer ' + $secrets.token", "str($secrets.token)", "[$secrets.token]"])
def test_a_secret_that_is_to_become_part_of_something_is_told_to_stand_alone(
    evaluate: Evaluate, expression: str
) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate(expression)

    assert "$secrets.SLOT.FIELD" in caught.value.hint


def test_templates_of_the_same_text_are_compiled_once() -> None:
    assert compile_template("{{ $json.once }}") is compile_template("{{ $json.once }}")


def test_the_budget_is_shared_by_the_expressions_of_a_text(scope: Scope) -> None:
    text = "{{ [x for x in range(40000)].length() }}"
    assert compile_template(text).evaluate(scope) == 40_000
    with pytest.raises(ExpressionFailed) as caught:
        compile_template(text * 3).evaluate(scope)
    assert caught.value.code == "expression.budget_exceeded"


def test_the_expressions_of_a_text_are_too_long_together() -> None:
    one = "{{ [" + ", ".join(["1"] * 1_900) + "] }}"

    with pytest.raises(ExpressionInvalid, match="too long together") as caught:
        compile_template(f"{one} and " * 5)
    assert caught.value.details["offset"] == 4 * len(f"{one} and ") + len("{{")


@pytest.mark.parametrize(
    ("expression", "key"),
    [("{'a': 1, 'b': 2, 'a': 3}", '"a"'), ("{1: 1, True: 2}", "True"), ("{**$json, 7: 1, 7: 2}", "7")],
)
def test_a_key_that_is_written_twice_is_refused(expression: str, key: str) -> None:
    with pytest.raises(ExpressionInvalid, match=f"The key {key} stands twice"):
        compile_template("{{ " + expression + " }}")

"""Expressions are found in text by their brackets, never by the look of their content."""

import pytest
from hypothesis import given, strategies as st

from budflow.expressions.compile import compile_template
from budflow.expressions.tokenize import (
    MARKERS,
    SOURCE_CHARS_MAX,
    ExpressionInvalid,
    Literal,
    Source,
    has_expression,
    original,
    split,
)


def texts(template: str) -> list[str]:
    return [part.text for part in split(template)]


def test_text_without_braces_is_one_literal() -> None:
    assert split("plain } text { $json") == (Literal("plain } text { $json"),)
    assert not has_expression("plain } text { $json")


def test_literals_and_expressions_alternate_in_order() -> None:
    assert texts("a {{ 1 }} b {{ 2 }}") == ["a ", " 1 ", " b ", " 2 "]
    assert [type(part) for part in split("a {{ 1 }}")] == [Literal, Source]


@pytest.mark.parametrize(
    "expression",
    [
        '{"a": {"b": {"c": 1}}}',
        '"}}"',
        "'}} {{'",
        '"""}}"""',
        r'"\"}}"',
        'f"{ {1: 2}[1] }}}"',
        "f'{$json.a:>{$json.width}}'",
        "[x for x in {1: {2: 3}}]",
        '{"a": 1}',
        "1 # }} in a comment\n",
        'r"\\\\"',
    ],
)
def test_closing_braces_inside_an_expression_do_not_end_it(expression: str) -> None:
    for template in ("{{ " + expression + " }}", "{{" + expression + "}}"):
        [part] = split(template)
        assert part.text.strip() == expression.strip()


def test_names_and_optional_keys_become_identifiers_and_read_back() -> None:
    [part] = split("{{ $json?.a.b }}")
    assert isinstance(part, Source)
    assert part.code.replace(" ", "").isidentifier() is False
    assert "$" not in part.code
    assert original(part.code) == " $json?.a.b "


def test_names_inside_of_strings_stay_text() -> None:
    [part] = split('{{ "costs $json?.a" }}')
    assert isinstance(part, Source)
    assert part.code == ' "costs $json?.a" '


def test_names_in_the_fields_of_an_f_string_are_names() -> None:
    [part] = split('{{ f"$json {$json.a}" }}')
    assert isinstance(part, Source)
    assert original(part.code) == part.text
    assert "$json {" in part.code
    assert "{$json" not in part.code


@pytest.mark.parametrize(
    ("template", "offset"),
    [
        ("ab {{ 1", 3),
        ("{{ (1 }}", 3),
        ("{{ 'x }}", 3),
        ("{{ }}", 0),
        ("{{ 1) }}", 4),
        ("{{ a ? b }}", 5),
        ("{{ $ }}", 3),
        ("{{ x; y }}", 4),
        ("{{ a\\\nb }}", 4),
        ("x\n{{ a\0 }}", 6),
        ("{{ 1if 1 else 2 }}", 3),
        ('{{ "\\d" }}', 4),
        ('{{ b"bytes" }}', 3),
        ("{{ _x }}", 3),
        ("{{ a.__class__ }}", 5),
        ("{{ \uff3f\uff3fclass\uff3f\uff3f }}", 3),
        ("{{ \ufb01 }}", 3),
        ("{{ $__class__ }}", 4),
        ('{{ f"{x=}" }}', 7),
        ('{{ f"{x " }}', 8),
        ('{{ f"}" }}', 5),
        ("{{ " + "(" * 60 + " }}", 53),
        ("{{ " + "1" * SOURCE_CHARS_MAX + "1 + 1 }}", 0),
    ],
)
def test_what_is_not_an_expression_is_refused_with_its_place(template: str, offset: int) -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        split(template)
    assert caught.value.details["offset"] == offset
    assert caught.value.code == "expression.invalid"


def test_markers_of_the_rewriting_cannot_be_written_by_hand() -> None:
    for marker in MARKERS:
        with pytest.raises(ExpressionInvalid):
            split("{{ " + marker + "json }}")


@given(st.text())
def test_splitting_loses_nothing(text: str) -> None:
    try:
        parts = split(text)
    except ExpressionInvalid:
        return
    assert "".join(part.text if isinstance(part, Literal) else "{{" + part.text + "}}" for part in parts) == text


@given(st.text(alphabet=st.characters(exclude_characters="\\", exclude_categories=["Cs"])))
def test_any_string_literal_survives(text: str) -> None:
    [part] = split("{{" + repr(text) + "}}")
    assert isinstance(part, Source)
    assert part.code == repr(text)


@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("$json.rows.map(r => r.n)", "for x in"),
        ("$json.a && $json.b", "and"),
        ("$json.a || 1", "or"),
        ("!$json.a", "not"),
        ("$json.a === 1", "=="),
        ("`Hello ${$json.name}`", 'f"'),
        ("$('fetch').item", "$node.KEY"),
        ("json.dumps($json)", "to_json"),
        ("JSON.stringify($json)", "to_json"),
        ("re.sub('a', 'b', $json.name)", "regex_replace"),
        ("$fetch.json.id", "$node.KEY"),
        ("$now.strftime('%Y')", ".format"),
    ],
)
def test_what_other_languages_write_so_is_told_how_it_is_written_here(expression: str, hint: str) -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        compile_template("{{ " + expression + " }}")

    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "expression", ["1 != 2", "1!=2", "f'{1!r}'", "f'{1 != 2}'", "f'{[1][0]!r:>3}'", "1 == 1", "5 >= 4"]
)
def test_signs_that_mean_something_are_left_alone(expression: str) -> None:
    compile_template("{{ " + expression + " }}")

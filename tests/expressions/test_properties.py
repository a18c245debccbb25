"""Whatever is written between the braces, only the two errors of expressions come out, or plain data."""

import gc
import json
import time
from datetime import date, timedelta

from hypothesis import given, settings, strategies as st

from budflow.expressions.compile import compile_template
from budflow.expressions.complete import Seen, complete
from budflow.expressions.evaluate import ExpressionFailed, Scope
from budflow.expressions.table import table
from budflow.expressions.tokenize import ExpressionInvalid, Literal, split
from tests.expressions.conftest import DATA, Secret

ATOMS = st.sampled_from(
    [
        *("$json", "$json.name", "$json.rows", "$json.none", "$json.numbers", "$item_index", "$now", "x", "len", "_x"),
        *("1", "0", "-1", "2.5", "1e308", "2**63", "None", "True", "'a'", "'é'", "''", "[]", "{}", "()", "{1}"),
        *("$node.fetch", "$secrets.token", "$nope", "$json?.zzz", "f'{$json.price:>4}'", "duration(days=1)"),
    ]
)
BINARY = st.sampled_from(
    [
        *[
            "+",
            "-",
            "*",
            "/",
            "//",
            "%",
            "**",
            "<<",
            ">>",
            "|",
            "&",
            "^",
            "@",
            "<",
            "<=",
            ">",
            ">=",
            "==",
            "!=",
            "in",
            "is",
            "and",
            "or",
        ],
        "not in",
        "is not",
    ]
)
METHODS = st.sampled_from(sorted(table().method_names))
FUNCTIONS = st.sampled_from(sorted(table().functions))
KEYS = st.sampled_from(["name", "n", "__class__", "from", "zzz", "items"])


def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arguments = st.lists(inner, max_size=3).map(", ".join)
    return st.one_of(
        st.tuples(inner, BINARY, inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, METHODS, arguments).map(lambda t: f"({t[0]}).{t[1]}({t[2]})"),
        st.tuples(FUNCTIONS, arguments).map(lambda t: f"{t[0]}({t[1]})"),
        st.tuples(inner, KEYS).map(lambda t: f"({t[0]}).{t[1]}"),
        st.tuples(inner, KEYS).map(lambda t: f"({t[0]})?.{t[1]}"),
        st.tuples(inner, inner).map(lambda t: f"({t[0]})[{t[1]}]"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]})[{t[1]}:{t[2]}]"),
        st.tuples(inner, inner, inner).map(lambda t: f"[{t[0]} for x in {t[1]} if {t[2]}]"),
        st.tuples(inner, inner, inner).map(lambda t: f"{{{t[0]}: {t[1]} for x in {t[2]}}}"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
        st.tuples(inner, inner).map(lambda t: f"{{{t[0]}: {t[1]}, **{t[1]}}}"),
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
        inner.map(lambda part: f"(not {part})"),
        inner.map(lambda part: f"(-{part})"),
        inner.map(lambda part: "f'''{" + part + "!r:>{" + part + "}}'''"),
    )


def assert_plain(value: object) -> None:
    json.dumps(value, default=lambda leaf: leaf.isoformat() if isinstance(leaf, date) else _refuse(leaf))


def _refuse(value: object) -> str:
    raise AssertionError(f"{value!r} left an expression")


def outcome(text: str, scope: Scope) -> object:
    try:
        return compile_template(text).evaluate(scope)
    except (ExpressionInvalid, ExpressionFailed):
        return None


@settings(max_examples=400, deadline=None)
@given(expression=st.recursive(ATOMS, grow, max_leaves=12))
def test_random_expressions_give_plain_data_or_an_error_of_theirs(expression: str) -> None:
    value = outcome("{{ " + expression + " }}", make_scope())
    if not isinstance(value, Secret):
        assert not isinstance(value, (timedelta, set, tuple))
        assert_plain(value)


@settings(max_examples=400, deadline=None)
@given(st.text())
def test_random_text_gives_a_value_or_an_error_of_theirs(text: str) -> None:
    outcome("{{ " + text + " }}", make_scope())
    outcome(text, make_scope())


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet="$json.a?[]{}()'\"f:!= \\#+1,\n_x", max_size=30))
def test_random_signs_give_a_value_or_an_error_of_theirs(text: str) -> None:
    outcome("{{" + text + "}}", make_scope())


@settings(max_examples=200, deadline=None)
@given(expression=st.recursive(ATOMS, grow, max_leaves=30))
def test_random_expressions_end_in_time(expression: str) -> None:
    gc.disable()  # It would look through all that other tests have left in this process.
    try:
        began = time.thread_time()
        outcome("{{ " + expression + " }}", make_scope())
        assert time.thread_time() - began < 0.2  # Four times what any may take.
    finally:
        gc.enable()


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(alphabet="$json.naode?[]{}()'\"f:, \\+1\n_x", max_size=40)
    | st.recursive(ATOMS, grow, max_leaves=4).map(lambda expression: "{{ " + expression),
    offset=st.integers(0, 60),
)
def test_completions_of_random_texts_are_inserted_before_the_cursor(text: str, offset: int) -> None:
    at = min(offset, len(text))
    found = complete(text, at, Seen([make_scope()], ["fetch"]))
    assert 0 <= found.start <= at
    assert all(one.label and one.insert for one in found.found)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="{}[]()'\"\\#$?.:!f a1\n", max_size=40))
def test_a_text_is_split_into_what_it_was(text: str) -> None:
    try:
        parts = split(text)
    except ExpressionInvalid:
        return
    whole = "".join(part.text if isinstance(part, Literal) else "{{" + part.text + "}}" for part in parts)
    assert whole == text


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(JSON)
def test_data_passes_through_unchanged(value: object) -> None:
    scope = Scope({"value": value}, 0, {})
    assert outcome("{{ $json.value }}", scope) == value
    assert outcome("{{ [$json.value][0] }}", scope) == value
    assert outcome("{{ [$json.value] }}", scope) == [value]


@given(JSON, st.lists(st.sampled_from(["a", "b"]) | st.integers(-2, 2), max_size=3))
def test_a_path_of_keys_reads_what_python_reads(value: object, path: list[str | int]) -> None:
    expected: object = {"value": value}
    try:
        for key in ("value", *path):
            expected = expected[key]  # type: ignore[index]  # what cannot be indexed raises, as it should
    except (KeyError, IndexError, TypeError):
        expected = None
    steps = "".join(f"[{key!r}]" for key in path)
    assert outcome("{{ $json.value" + steps + " }}", Scope({"value": value}, 0, {})) == expected


def make_scope() -> Scope:
    return Scope(DATA, 4, {"node": {"fetch": {"json": {"id": 1}, "items": []}}, "secrets": {"token": Secret()}})

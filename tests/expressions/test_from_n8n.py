"""Each function that n8n adds to data has its match here, which works as the docs say."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from budflow.expressions.budget import SEED
from budflow.expressions.compile import compile_template
from budflow.expressions.declare import EXAMPLE_NOW, EXAMPLE_SEED
from budflow.expressions.evaluate import Scope
from budflow.expressions.tokenize import ExpressionInvalid

DOCS = Path(__file__).parents[2] / "docs"
TYPES = ("String", "Array", "Number", "Boolean", "Object", "Date")
EXTENSIONS = 111  # Of n8n's six types, as of its release 2.


def _rows() -> dict[str, tuple[Any, ...]]:
    sys.path.insert(0, str(DOCS))
    try:
        return dict(importlib.import_module("generator.expressions_from_n8n").ROWS)
    finally:
        sys.path.remove(str(DOCS))


ROWS = _rows()


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"{kind}.{row.theirs}") for kind, rows in ROWS.items() for row in rows if row.ours]
)
def test_what_it_is_called_here_gives_what_the_docs_say(row: Any) -> None:
    scope = Scope(row.given, 0, {"now": EXAMPLE_NOW, SEED: EXAMPLE_SEED})

    assert compile_template("{{ " + row.ours + " }}").evaluate(scope) == row.value


def test_every_extension_of_its_types_is_there_once() -> None:
    names = [f"{kind}.{row.theirs}" for kind in TYPES for row in ROWS[kind]]
    assert len(names) == len(set(names)) == EXTENSIONS


def test_only_what_gives_nothing_there_has_no_match_here() -> None:
    assert {row.theirs for rows in ROWS.values() for row in rows if not row.ours} == {
        "toDateTime",
        "toBoolean",
        "toFloat",
        "toInt",
    }


@pytest.mark.parametrize(
    "name",
    sorted({row.theirs for kind in TYPES for row in ROWS[kind] if row.ours and not row.theirs.islower()}),
)
def test_who_writes_a_name_of_n8n_is_told_what_it_is_called_here(name: str) -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        compile_template("{{ $json.x." + name + "() }}")
    assert caught.value.hint.startswith(("Write ", "Did you mean "))

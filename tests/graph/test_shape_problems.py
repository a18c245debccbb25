"""What pydantic says, as Problems; with the shapes of models that the library's types do not have yet."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from budflow.graph.fields import fields_on, names_at
from budflow.graph.shape_problems import shape_problems
from budflow.model.node import Params, Static, StaticMark
from budflow.model.problem import Problem


class Form(Params):
    """A form."""

    fields: dict[str, int] = Field(description="The fields.")


class Text(Params):
    """A text."""

    text: Annotated[str, Static] = Field(description="The text.", max_length=3)


class Sample(Params):
    """Unions, mappings of models, nested lists."""

    body: Form | Text | int | None = Field(default=None, description="What is sent.")
    tagged: Annotated[Form | Text, Field(union_mode="left_to_right")] | None = None
    parts: dict[str, list[Text]] = Field(default={})
    mode: Literal["fast", "slow"] = "fast"


def problems(raw: Any) -> dict[str, Problem]:
    with pytest.raises(ValidationError) as caught:
        Sample.model_validate(raw)
    details = caught.value.errors(include_url=False)
    found = list(shape_problems(details, Sample, raw, prefix=("nodes", "a"), code="params", blocks="run"))
    assert len({(problem.code, problem.path) for problem in found}) == len(found)
    return {problem.path: problem for problem in found}


def test_the_alternatives_of_a_union_are_no_part_of_the_place_and_become_one_problem() -> None:
    [(path, problem)] = problems({"body": "x"}).items()

    assert path == "/nodes/a/body"
    assert problem.message == "`body` must be an object, not a text, or: `body` must be a whole number, not a text."
    assert "What is sent." in problem.hint


def test_inside_a_union_the_place_is_that_of_the_data() -> None:
    found = problems({"body": {"fields": {"n": "x"}}})

    assert found["/nodes/a/body/fields/n"].message == "`n` must be a whole number, not a text."


def test_a_name_that_no_alternative_has_is_told_with_all_names() -> None:
    found = problems({"body": {"txt": "x"}})

    assert found["/nodes/a/body/txt"].hint == "Did you mean `text`?"


def test_models_in_mappings_and_lists_are_found() -> None:
    found = problems({"parts": {"text": [{"text": "ok"}, {"texts": "no", "text": "long"}]}})

    assert found["/nodes/a/parts/text/1/texts"].hint == "Remove it: `text` is already there."
    assert found["/nodes/a/parts/text/1/text"].hint == "The text."
    assert found["/nodes/a/parts/text/1/text"].message.startswith("`text`: String should have at most 3")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (7, "`mode` may not be `7`."),
        (True, "`mode` may not be a boolean."),
        (["fast"], "`mode` may not be a list."),
        ("x" * 500, f"`mode` may not be `{'x' * 80}`."),
    ],
)
def test_a_choice_that_is_none_is_told_with_the_choices(given: Any, message: str) -> None:
    found = problems({"mode": given})["/nodes/a/mode"]

    assert (found.message, found.hint) == (message, "Allowed: `fast`, `slow`.")


def test_the_fields_on_the_way_are_found_through_unions_mappings_and_lists() -> None:
    [outer, inner] = fields_on(Sample, ("parts", "text", 3, "text"))

    assert outer.description is None
    assert any(isinstance(mark, StaticMark) for mark in inner.metadata)
    assert names_at(Sample, ("body",)) == ["fields", "text"]
    assert names_at(Sample, ("parts", "mode", 0)) == ["text"]
    assert names_at(Sample, ("nothing", "here")) == []

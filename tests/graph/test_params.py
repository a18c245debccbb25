"""Parameters with expressions: compiled once, evaluated for each item."""

import copy
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from pydantic import Field, field_validator

from budflow.expressions.evaluate import ExpressionFailed, Scope
from budflow.expressions.tokenize import ExpressionInvalid
from budflow.graph.params import ParamsInvalid, compile_params, expression_texts
from budflow.model.node import Params, Verbatim

CHECKS: list[Any] = []
NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Inner(Params):
    """A part."""

    n: int = 0
    rest: Any = None


class Sample(Params):
    """One of every shape."""

    any: Any = None
    count: int = Field(default=1, ge=0)
    inner: Inner = Inner()
    many: list[Inner] = Field(default=[])

    @field_validator("count")
    @classmethod
    def _seen(cls, count: int) -> int:
        CHECKS.append(count)
        return count


class Coded(Params):
    """One that is taken as it stands, beside one that is not."""

    code: Annotated[str, Verbatim] = ""
    given: Any = None


def scope(json: dict[str, Any], **names: Any) -> Scope:
    return Scope(json, 0, names)


def resolve(raw: dict[str, Any], json: dict[str, Any]) -> Sample:
    params = compile_params(Sample, raw).resolve(scope(json))
    assert isinstance(params, Sample)
    return params


def test_parameters_without_expressions_are_checked_once() -> None:
    CHECKS.clear()
    template = compile_params(Sample, {"count": 3})

    assert template.resolve(scope({})) is template.resolve(scope({})) is template.fixed
    assert CHECKS == [3]


def test_no_parameters_at_all_are_the_defaults() -> None:
    assert compile_params(Sample, {}).fixed == Sample()


def test_expressions_are_evaluated_wherever_they_stand() -> None:
    raw = {
        "any": {"z": 1, "a": ["{{ $json.x }}", {"deep": "n = {{ $json.n }}"}, 5], "m": None},
        "count": "{{ $json.n }}",
        "inner": {"n": "{{ $json.n + 1 }}"},
        "many": [{"n": 1}, {"n": "{{ $json.n }}", "rest": "{{ $json }}"}],
    }

    assert resolve(raw, {"x": [1], "n": 7}) == Sample(
        any={"z": 1, "a": [[1], {"deep": "n = 7"}, 5], "m": None},
        count=7,
        inner=Inner(n=8),
        many=[Inner(n=1), Inner(n=7, rest={"x": [1], "n": 7})],
    )


def test_the_order_of_keys_is_kept() -> None:
    built = resolve({"any": {"z": 1, "e": "{{ 2 }}", "a": 3, "b": "{{ 4 }}"}}, {})

    assert list(built.any.items()) == [("z", 1), ("e", 2), ("a", 3), ("b", 4)]


def test_what_is_written_in_the_workflow_is_never_changed() -> None:
    raw = {"any": {"fixed": {"list": [1]}, "e": ["{{ $json.x }}"]}}
    before = copy.deepcopy(raw)
    template = compile_params(Sample, raw)

    first = template.resolve(scope({"x": 1}))
    second = template.resolve(scope({"x": 2}))

    assert isinstance(first, Sample)
    assert isinstance(second, Sample)
    assert (first.any["e"], second.any["e"]) == ([1], [2])
    assert raw == before
    assert first.any is not second.any


def test_the_nodes_that_are_read_are_known() -> None:
    template = compile_params(Sample, {"any": ["{{ $node.a.json.x }}", {"k": "{{ $node.b.items }} {{ $json.c }}"}]})

    assert template.node_keys == {"a", "b"}
    assert template.fixed is None


def test_an_expression_that_does_not_compile_is_refused_at_once() -> None:
    with pytest.raises(ExpressionInvalid):
        compile_params(Sample, {"any": [{"x": "{{ 1 + }}"}]})


def test_a_fixed_value_that_does_not_fit_is_refused_at_once() -> None:
    with pytest.raises(ParamsInvalid) as caught:
        compile_params(Sample, {"inner": {"n": "x"}})

    assert caught.value.details == {"path": "inner.n"}


def test_a_value_that_does_not_fit_one_item_is_told_with_its_place() -> None:
    with pytest.raises(ParamsInvalid) as caught:
        resolve({"many": [{"n": "{{ $json.n }}"}]}, {"n": "many"})

    assert caught.value.details == {"path": "many.0.n"}
    assert caught.value.message.startswith("`many.0.n`: ")
    assert not caught.value.message.endswith("..")


def test_an_expression_that_fails_for_an_item_says_so() -> None:
    with pytest.raises(ExpressionFailed):
        resolve({"count": "{{ $json.n / 0 }}"}, {"n": 1})


def test_what_is_verbatim_is_no_expression_beside_others_that_are() -> None:
    raw = {"code": "{{ 1 + }} {{ $node.b.json.x }}", "given": "{{ $json.x }}"}

    template = compile_params(Coded, raw)

    assert template.resolve(scope({"x": 1})) == Coded(code=raw["code"], given=1)
    assert template.node_keys == frozenset()
    assert list(expression_texts(raw, Coded)) == [(("given",), "{{ $json.x }}")]
    assert compile_params(Coded, {"code": raw["code"]}).fixed == Coded(code=raw["code"])


def scopes(count: int) -> list[Scope]:
    """Of the items of one run."""
    made: dict[object, object] = {}
    names = {"now": NOW, "items": [{"n": n} for n in range(count)], "_seed": "exe_1/a"}
    return [Scope({"n": n}, n, names, made) for n in range(count)]


def test_parameters_that_are_the_same_for_every_item_are_evaluated_once_for_all() -> None:
    template = compile_params(Sample, {"any": "{{ $items.sum('n') }}", "count": "{{ $items.length() }}"})
    CHECKS.clear()

    first, *others = [template.resolve(scope) for scope in scopes(5)]

    assert (first.model_dump()["any"], CHECKS) == (10, [5])
    assert all(other is first for other in others)


def test_a_part_that_is_the_same_for_every_item_is_evaluated_once_beside_one_that_is_not() -> None:
    template = compile_params(Sample, {"any": ["{{ $items }}", "{{ $json.n }}"]})

    first, second = [template.resolve(scope).model_dump(mode="python")["any"] for scope in scopes(2)]

    assert [first[1], second[1]] == [0, 1]
    assert first[0] == second[0] == [{"n": 0}, {"n": 1}]


def test_random_values_differ_from_item_to_item_all_the_same() -> None:
    template = compile_params(Sample, {"any": "{{ uuid() }}"})

    assert len({str(template.resolve(scope).model_dump()["any"]) for scope in scopes(5)}) == 5


def test_another_run_evaluates_anew() -> None:
    template = compile_params(Sample, {"count": "{{ $items.length() }}"})

    counts = [template.resolve(scopes(count)[0]).model_dump()["count"] for count in (2, 3)]

    assert counts == [2, 3]

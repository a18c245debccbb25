"""code.function: one call an item, checked against the function's own parameters before anything runs."""

from typing import Any

import pytest

from budflow.graph.validate import check
from budflow.model.problem import Problem
from budflow.nodes.code import sandboxed
from tests.nodes.fake_sandbox import FakeSandbox
from tests.nodes.harness import LIBRARY, run

PRICE = "def main(net: float, vat: float = 0.19, note: str | None = None):\n    return net * (1 + vat)"


def problems(code: str, **arguments: Any) -> list[Problem]:
    params = {"code": code, "arguments": arguments}
    nodes = {"start": {"type": "trigger.manual"}, "code": {"type": "code.function", "params": params}}
    found = check({"format": 1, "name": "n", "nodes": nodes, "edges": [{"from": "start", "to": "code"}]}, LIBRARY)
    return list(found.problems)


def test_it_is_called_once_for_each_item_with_its_arguments() -> None:
    params = {"code": "def main(a, b):\n    return {'sum': a + b}", "arguments": {"a": "{{ $json.a }}", "b": 1}}
    sandbox = FakeSandbox()

    ran = run("code.function", params, [{"a": 1}, {"a": 2}], sandbox=sandbox)

    assert ran.ports == {"main": [{"sum": 2}, {"sum": 3}]}
    assert ran.lineage == {"main": [0, 1]}
    assert len(sandbox.tasks) == 1


def test_an_item_whose_arguments_or_call_fail_fails_alone() -> None:
    params = {"code": "def main(n: int):\n    return 6 / n", "arguments": {"n": "{{ $json.n }}"}}

    ran = run("code.function", params, [{"n": "six"}, {"n": 0}, {"n": 3}], sandbox=FakeSandbox())

    assert ran.ports["main"] == [{"value": 2}]
    assert ran.lineage["main"] == [2]
    assert (ran.failed[0].code, ran.failed[1].code) == ("node.params_invalid", "code.failed")
    assert "`n` is a text, and `main` takes `int`." in ran.failed[0].message


def test_many_calls_are_a_few_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandboxed, "CALLS_MAX", 2)
    params = {"code": "def main(n):\n    return n", "arguments": {"n": "{{ $json.n }}"}}
    sandbox = FakeSandbox()

    ran = run("code.function", params, [{"n": n} for n in range(5)], sandbox=sandbox)

    assert ran.ports == {"main": [{"value": n} for n in range(5)]}
    assert ran.lineage == {"main": [0, 1, 2, 3, 4]}
    assert [len(task.items) for task in sandbox.tasks] == [2, 2, 1]
    assert len({task.seed for task in sandbox.tasks}) == 3


def test_arguments_that_fit_are_no_problem() -> None:
    assert problems(PRICE, net=3, note=None) == []
    assert problems(PRICE, net="{{ $json.net }}", vat=0.07) == []


def test_an_argument_that_the_function_does_not_take_is_a_problem_with_what_was_meant() -> None:
    [problem] = problems(PRICE, nett=3)

    assert (problem.code, problem.path) == ("code.arguments_wrong", "/nodes/code/params/arguments")
    assert problem.message == "`main` has no parameter `nett`. Did you mean `net`? `main` needs `net`."


def test_a_value_of_the_wrong_kind_is_a_problem() -> None:
    [problem] = problems(PRICE, net="three")
    assert problem.message == "`net` is a text, and `main` takes `float`."

    [problem] = problems("def main(n: int): ...", n=True)
    assert "takes `int`" in problem.message


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        ("list[str]", ["a"], "a"),
        ("dict[str, int]", {}, []),
        ("Optional[int]", None, "a"),
        ("Union[int, str]", "a", []),
        ("'int | None'", None, 1.5),
        ("bool", True, 1),
    ],
)
def test_annotations_are_read_however_they_are_written(annotation: str, good: object, bad: object) -> None:
    code = f"from typing import Optional, Union\ndef main(x: {annotation}): ..."

    assert problems(code, x=good) == []
    assert [problem.code for problem in problems(code, x=bad)] == ["code.arguments_wrong"]


@pytest.mark.parametrize(
    "code",
    [
        "def main(x: Decimal): ...",
        "def main(x: 'not an annotation ('): ...",
        "def main(**rest): ...",
        "@wrapped\ndef main(): ...",
        "def only_one(x): ...",
        "def main(x, *, y=1): ...",
        "def _inner(): ...\ndef other(): ...\ndef main(x): ...",
    ],
)
def test_what_cannot_be_told_is_not_refused(code: str) -> None:
    assert problems(code, x=1) == []


@pytest.mark.parametrize("code", ["total = 1", "def _main(): ...", "def one(): ...\ndef two(): ..."])
def test_code_without_a_function_to_call_is_a_problem(code: str) -> None:
    assert [problem.code for problem in problems(code)] == ["code.no_function"]


def test_code_that_does_not_compile_is_one_problem_whatever_its_arguments() -> None:
    assert [problem.code for problem in problems("def main(:", x=1)] == ["code.invalid"]

"""code.python: what the code sees, what it gives, and which parameters the validator refuses."""

from typing import Any

import pytest

from budflow.graph.validate import check
from budflow.model.item import BlobRef, Item
from budflow.model.problem import Problem
from budflow.model.sandbox import CodeFailed, SandboxUnavailable
from tests.nodes.fake_sandbox import FakeSandbox
from tests.nodes.harness import LIBRARY, NOW, run, spec_of


def problems(**params: Any) -> list[Problem]:
    nodes = {"start": {"type": "trigger.manual"}, "code": {"type": "code.python", "params": params}}
    found = check({"format": 1, "name": "n", "nodes": nodes, "edges": [{"from": "start", "to": "code"}]}, LIBRARY)
    return list(found.problems)


def test_the_sandbox_is_given_the_code_and_all_that_the_parameters_say() -> None:
    sandbox = FakeSandbox()
    limits = {"timeout_seconds": 5, "memory_mb": 64, "requirements": ["polars>=1.9,<2"], "network": ["api.example"]}

    run("code.python", {"code": "return items", **limits}, [{"n": 1}], sandbox=sandbox)

    [task] = sandbox.tasks
    assert (task.mode, task.code, task.items) == ("all", "return items", [Item({"n": 1})])
    assert (task.timeout_seconds, task.memory_mb) == (5, 64)
    assert (task.requirements, task.network) == (("polars>=1.9,<2",), ("api.example",))
    assert (task.now, task.seed, task.name) == (NOW, "key", "flow/execution/node")


def test_braces_in_the_code_are_no_expression() -> None:
    code = "name = 'Ada'\nreturn {'set': str({1}), 'text': f'{{{name}}}', 'json': '{{ $json.x }}'}"

    ran = run("code.python", {"code": code}, [{}], sandbox=FakeSandbox())

    assert problems(code=code) == []
    assert ran.ports == {"main": [{"set": "{1}", "text": "{Ada}", "json": "{{ $json.x }}"}]}


def test_values_from_outside_come_in_as_params() -> None:
    given = {"limit": "{{ $json.limit }}", "names": ["{{ $json.name }}"]}

    ran = run(
        "code.python", {"code": "return params", "params": given}, [{"limit": 3, "name": "a"}], sandbox=FakeSandbox()
    )

    assert ran.ports == {"main": [{"limit": 3, "names": ["a"]}]}


def test_an_item_that_is_given_back_keeps_where_it_is_from() -> None:
    ran = run(
        "code.python", {"code": "return [items[2], {'new': 1}]"}, [{"n": 0}, {"n": 1}, {"n": 2}], sandbox=FakeSandbox()
    )

    assert ran.lineage == {"main": [2, -1]}


def test_in_mode_each_only_the_item_fails_that_the_code_fails_on() -> None:
    code = "log.info('at work')\nreturn {'share': 6 / item['n'], 'at': index}"

    ran = run("code.python", {"code": code, "mode": "each"}, [{"n": 1}, {"n": 0}, {"n": 3}], sandbox=FakeSandbox())

    assert ran.ports["main"] == [{"share": 6, "at": 0}, {"share": 2, "at": 2}]
    assert ran.lineage["main"] == [0, 2]
    assert ran.failed[1].code == "code.failed"


def test_in_mode_each_the_params_are_those_of_the_item() -> None:
    code = "return {'gross': item['net'] + params['tax'], 'at': index}"
    given = [{"net": 1, "tax": 2}, {"net": 10}, {"net": 100, "tax": 3}]
    sandbox = FakeSandbox()

    ran = run(
        "code.python", {"code": code, "mode": "each", "params": {"tax": "{{ $json.tax }}"}}, given, sandbox=sandbox
    )

    assert ran.ports["main"] == [{"gross": 3, "at": 0}, {"gross": 103, "at": 2}]
    assert ran.lineage["main"] == [0, 2]
    assert ran.failed.keys() == {1}
    assert len(sandbox.tasks) == 1


def test_params_that_do_not_depend_on_the_item_are_sent_once() -> None:
    sandbox = FakeSandbox()

    ran = run(
        "code.python",
        {"code": "return {'n': item['n'] * params['by']}", "mode": "each", "params": {"by": 2}},
        [{"n": 1}, {"n": 2}],
        sandbox=sandbox,
    )

    assert ran.ports["main"] == [{"n": 2}, {"n": 4}]
    assert [(task.mode, task.params) for task in sandbox.tasks] == [("each", {"by": 2})]


@pytest.mark.parametrize(
    ("mode", "code"), [("each", "return {'seen': item['n']}"), ("all", "return [items[1], items[0], {'new': 1}]")]
)
def test_what_an_item_carries_goes_on_with_what_was_made_of_it(mode: str, code: str) -> None:
    files = [{"scan": BlobRef(digit * 64, 3)} for digit in "ab"]
    given = [Item({"n": n}, files[n]) for n in range(2)]

    ran = run("code.python", {"code": code, "mode": mode}, given, sandbox=FakeSandbox())

    carried = [item.binary for item in ran.items["main"]]
    assert carried == (files if mode == "each" else [files[1], files[0], {}])


def test_what_the_code_prints_is_logged() -> None:
    ran = run("code.python", {"code": "print('so far', len(items))"}, [{}], sandbox=FakeSandbox())

    assert [(level, message) for level, _, message, _ in ran.logged] == [("info", "so far 1")]
    assert ran.ports == {}


def test_an_error_of_the_code_is_one_of_the_whole_list() -> None:
    sandbox = FakeSandbox()

    with pytest.raises(CodeFailed, match="ZeroDivisionError"):
        run("code.python", {"code": "return 1 / 0"}, [{}, {}], sandbox=sandbox)

    assert sandbox.closed == 1


def test_without_a_sandbox_no_code_runs() -> None:
    with pytest.raises(SandboxUnavailable):
        run("code.python", {"code": "return {}"}, [{}])


@pytest.mark.parametrize(("network", "effect"), [("none", "pure"), ([], "pure"), (["api.example"], "once")])
def test_only_code_without_a_network_may_be_repeated(network: object, effect: str) -> None:
    spec = spec_of("code.python")

    assert spec.effect_of(spec.params.model_validate({"code": "return", "network": network})) == effect


def test_code_that_does_not_compile_is_a_problem_at_its_line() -> None:
    [problem] = problems(code="total = 0\nfor item in items\n    total += 1")

    assert (problem.code, problem.path, problem.blocks) == ("code.invalid", "/nodes/code/params/code", "run")
    assert problem.message == "Line 2: expected ':'."


@pytest.mark.parametrize("code", ["-" * 100_000 + "1", "a" + ".b" * 60_000, "[" * 50_000, "x = '\0'"])
def test_code_that_no_parser_can_read_is_a_problem_too(code: str) -> None:
    assert [problem.code for problem in problems(code=code)] == ["code.invalid"]


def test_a_backslash_that_python_warns_of_is_no_problem() -> None:
    assert problems(code="return {'digits': '\\d+'}") == []


@pytest.mark.parametrize(
    "params",
    [
        {"requirements": ["polars @ https://files.example/x.whl"]},
        {"requirements": ["--trusted-host=other.example"]},
        {"requirements": ["-r /etc/passwd"]},
        {"requirements": ["./here"]},
        {"network": ["https://api.example"]},
        {"network": ["*"]},
        {"network": ["api.example/path"]},
        {"network": "all"},
        {"memory_mb": 1},
        {"timeout_seconds": 0},
        {"mode": "some"},
        {"requirements": ["{{ $json.package }}"]},
    ],
)
def test_what_the_sandbox_could_not_keep_is_refused(params: dict[str, Any]) -> None:
    assert problems(code="return {}", **params)


@pytest.mark.parametrize("requirement", ["polars", "polars==1.9.0", "polars[excel, sql] >= 1.9, < 2", "my-pkg~=1.4"])
def test_requirements_are_those_of_pip_by_name_and_version(requirement: str) -> None:
    assert problems(code="return {}", requirements=[requirement]) == []

"""The one validator: what it finds, what each problem forbids, and that its patches mend."""

from typing import Any

import pytest

from budflow.graph.validate import check
from budflow.model.problem import Problem, WorkflowInvalid
from budflow.model.workflow import EXPRESSIONS_MAX, PROBLEMS_MAX
from tests.graph.documents import REGISTRY, checked, codes, document, mended, only, valid_document


def steps(data: Any) -> list[str]:
    """What may be done with a document."""
    found = check(data, REGISTRY)
    return [step for step in ("save", "run", "publish") if not found.blocking(step)]  # type: ignore[arg-type]  # literals


def assert_mends(data: dict[str, Any], problem: Problem) -> None:
    assert check(mended(data, problem), REGISTRY).problems == ()


def test_a_good_document_has_no_problems() -> None:
    found = check(valid_document(), REGISTRY)

    assert found.problems == ()
    assert found.require("publish") is found.workflow


def test_a_broken_shape_gives_no_workflow_and_forbids_everything() -> None:
    found = check({"format": 1}, REGISTRY)

    assert found.workflow is None
    assert steps({"format": 1}) == []
    with pytest.raises(WorkflowInvalid) as caught:
        found.require("save")
    assert caught.value.problems == found.problems
    assert "/name" in caught.value.message
    assert "1 more" in caught.value.message


# --- node types ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("http.requests", "http.request"), ("webhook", "trigger.webhook"), ("HTTP.Request", "http.request")],
)
def test_an_unknown_type_names_the_one_that_was_meant(wrong: str, meant: str) -> None:
    params = {"url": "https://a.example"} if meant == "http.request" else {"path": "a"}
    edges = ["start > a"] if meant == "http.request" else []
    data = document({"a": {"type": wrong, "params": params}}, edges)

    problem = only(check(data, REGISTRY))

    assert (problem.code, problem.path) == ("node.unknown_type", "/nodes/a/type")
    assert problem.hint == f"Did you mean `{meant}`?"
    assert steps(data) == ["save"]
    assert_mends(data, problem)


def test_an_unknown_type_without_a_likeness_lists_types_and_where_to_search() -> None:
    problem = only(checked({"a": {"type": "zzzzzz"}}, ["start > a"]))

    assert "`data.set`" in problem.hint
    assert "search_nodes" in problem.hint
    assert problem.patch == ()


def test_a_misspelt_trigger_is_not_told_again_as_a_missing_one() -> None:
    data = {**document({"a": {"type": "flow.no_op"}}, ["start > a"])}
    data["nodes"]["start"]["type"] = "trigger.manul"

    assert_mends(data, only(check(data, REGISTRY)))


def test_an_unknown_version_names_the_newest() -> None:
    data = document({"a": {"type": "flow.no_op", "type_version": 99}}, ["start > a"])

    problem = only(check(data, REGISTRY))

    assert (problem.code, problem.path) == ("node.unknown_version", "/nodes/a/type_version")
    assert "newest version is 1" in problem.hint
    assert_mends(data, problem)


# --- edges and ports -----------------------------------------------------------------------------------------------

TWO = {
    "check": {"type": "flow.if", "params": {"condition": True}},
    "pair": {"type": "flow.merge", "params": {"mode": "by_position"}},
}


def test_a_misspelt_output_port_is_named_and_mended() -> None:
    data = document(TWO, ["start > check", "check.ture > pair.left"])

    problem = only(check(data, REGISTRY))

    assert (problem.code, problem.path, problem.blocks) == ("edge.unknown_port", "/edges/1/from", "save")
    assert problem.message == "`check` has no output port `ture`; it has `true`, `false`."
    assert problem.hint == "Write `check.true`."
    assert_mends(data, problem)


def test_a_misspelt_input_port_is_named_and_mended() -> None:
    data = document(TWO, ["start > check", "check.true > pair.lefft"])

    problem = only(check(data, REGISTRY))

    assert (problem.path, problem.hint) == ("/edges/1/to", "Write `pair.left`.")
    assert_mends(data, problem)


def test_a_port_that_was_left_out_is_told_with_every_choice() -> None:
    problem = only(checked(TWO, ["start > check", "check > pair.left"]))

    assert problem.hint == "Write one of `check.true`, `check.false`."
    assert problem.patch == ()


def test_a_port_of_a_node_with_only_one_is_mended_however_wrong() -> None:
    data = document({"a": {"type": "flow.no_op"}}, ["start.output > a.input"])

    first, second = check(data, REGISTRY).problems

    assert (first.hint, second.hint) == ("Write `start`.", "Write `a`.")
    assert_mends(mended(data, first), second)


def test_a_switch_without_cases_has_no_ports_to_choose_from() -> None:
    found = checked({"a": {"type": "flow.switch"}, "b": {"type": "flow.no_op"}}, ["start > a", "a.x > b"])

    assert [code.partition(".")[0] for code in codes(found)] == ["edge", "params"]
    assert "parameters of `a`" in found.problems[0].hint


def test_the_error_port_is_there_once_it_is_asked_for() -> None:
    data = document({"a": {"type": "flow.no_op"}, "b": {"type": "flow.no_op"}}, ["start > a", "a.error > b"])

    problem = only(check(data, REGISTRY))

    assert problem.code == "edge.unknown_port"
    assert '"on_error": "error_output"' in problem.hint
    assert_mends(data, problem)


def test_an_edge_to_nowhere_names_the_node_that_was_meant() -> None:
    data = document(TWO, ["start > chekc", "check.true > pear.right"])

    first, second = (problem for problem in check(data, REGISTRY).problems if problem.code == "edge.unknown_node")

    assert (first.path, first.hint, first.blocks) == ("/edges/0/to", "Did you mean `check`?", "save")
    assert (second.path, second.hint) == ("/edges/1/to", "Did you mean `pair`?")
    assert_mends(mended(data, first), second)


def test_an_edge_from_nowhere_is_not_told_again_as_unreachable() -> None:
    data = document({"a": {"type": "flow.no_op"}}, ["strat > a"])

    assert_mends(data, only(check(data, REGISTRY)))


def test_an_edge_that_stands_twice_is_told_also_when_written_otherwise() -> None:
    problem = only(checked({"a": {"type": "flow.no_op"}}, ["start > a", "start.main > a.main"]))

    assert (problem.code, problem.path) == ("edge.duplicate", "/edges/1")
    assert "/edges/0" in problem.message


def test_nothing_leads_into_a_trigger() -> None:
    problem = only(
        checked(
            {"a": {"type": "flow.no_op"}, "hook": {"type": "trigger.webhook", "params": {"path": "a"}}},
            ["start > a", "a > hook"],
        )
    )

    assert (problem.code, problem.path) == ("edge.into_trigger", "/edges/1/to")


def test_the_ends_of_a_body_do_not_exist_outside_of_one() -> None:
    found = checked({"a": {"type": "flow.no_op"}}, ["start > a", "$in > a", "a > $out"])

    assert [(problem.code, problem.path) for problem in found.problems] == [
        ("edge.outside_body", "/edges/1/from"),
        ("edge.outside_body", "/edges/2/to"),
    ]


# --- shape of the graph --------------------------------------------------------------------------------------------


def chain(*keys: str) -> dict[str, Any]:
    return {key: {"type": "flow.no_op"} for key in keys}


def test_a_cycle_is_told_with_its_way_at_the_edge_that_closes_it() -> None:
    problem = only(checked(chain("a", "b", "c"), ["start > a", "a > b", "b > c", "c > a"]))

    assert (problem.code, problem.path, problem.blocks) == ("graph.cycle", "/edges/3", "save")
    assert any(f" {way}." in problem.message for way in ("a → b → c → a", "b → c → a → b", "c → a → b → c"))


def test_an_edge_from_a_node_to_itself_is_a_cycle() -> None:
    problem = only(checked(chain("a"), ["start > a", "a > a"]))

    assert (problem.path, problem.message) == ("/edges/1", "These nodes lead back to themselves: a → a.")


def test_cycles_apart_from_each_other_are_all_told() -> None:
    found = checked(chain("a", "b", "c", "d"), ["start > a", "a > b", "b > a", "a > c", "c > d", "d > c"])

    assert [(problem.code, problem.path) for problem in found.problems] == [
        ("graph.cycle", "/edges/2"),
        ("graph.cycle", "/edges/5"),
    ]


def test_a_workflow_without_a_trigger_may_be_saved_but_neither_run_nor_published() -> None:
    data = document(chain("a"))
    del data["nodes"]["start"]

    problem = only(check(data, REGISTRY))

    assert (problem.code, problem.path, problem.blocks) == ("graph.no_trigger", "/nodes", "run")
    assert "trigger.manual" in problem.hint
    assert steps(data) == ["save"]


def test_an_empty_workflow_lacks_a_trigger() -> None:
    assert codes(check({"format": 1, "name": "empty", "nodes": {}}, REGISTRY)) == ["graph.no_trigger"]


def test_a_node_that_no_trigger_reaches_forbids_only_publishing() -> None:
    data = document(chain("a", "b", "c"), ["start > a", "b > c"])

    found = check(data, REGISTRY)

    assert [(problem.code, problem.path) for problem in found.problems] == [
        ("graph.unreachable", "/nodes/b"),
        ("graph.unreachable", "/nodes/c"),
    ]
    assert steps(data) == ["save", "run"]


def test_a_disabled_trigger_beside_another_is_fine() -> None:
    data = document({"hook": {"type": "trigger.webhook", "params": {"path": "a"}, "disabled": True}})

    assert check(data, REGISTRY).problems == ()


def test_a_workflow_whose_only_trigger_is_disabled_cannot_start() -> None:
    data = document(chain("a"), ["start > a"])
    data["nodes"]["start"]["disabled"] = True

    problem = only(check(data, REGISTRY))

    assert (problem.code, problem.path) == ("trigger.disabled", "/nodes/start/disabled")
    assert steps(data) == ["save"]
    assert_mends(data, problem)


# --- expressions ---------------------------------------------------------------------------------------------------


def expression(text: str, **nodes: Any) -> Any:
    given = {**chain("before", "other"), "a": {"type": "data.set", "params": {"values": {"x/y": [text]}}}, **nodes}
    return checked(given, ["start > before", "start > other", "before > a"])


def test_a_bad_expression_is_told_where_it_stands() -> None:
    problem = only(expression("{{ $json.a + }}"))

    assert (problem.code, problem.path) == ("expression.invalid", "/nodes/a/params/values/x~1y/0")
    assert problem.blocks == "run"


def test_a_node_that_is_not_there_is_told_with_the_one_that_was_meant() -> None:
    problem = only(expression("{{ $node.befor.json.x }}"))

    assert problem.code == "expression.unknown_node"
    assert problem.hint == "Did you mean `$node.before`?"


def test_a_node_that_does_not_run_before_is_told() -> None:
    problem = only(expression("{{ $node.other.json.x }}"))

    assert problem.code == "expression.node_not_before"
    assert "`$node.other`, which does not run before `a`" in problem.message
    assert "`other` to `a`" in problem.hint


def test_a_node_cannot_read_itself() -> None:
    problem = only(expression("{{ $node.a.json.x }}"))

    assert problem.code == "expression.node_not_before"
    assert problem.hint.startswith("Instead, read another node: Use one of these: `before`, `start`")


def test_nodes_before_may_be_read_from_any_distance() -> None:
    assert expression("{{ $node.start.items }} {{ $node.before.json.x }}").problems == ()


def test_a_name_that_nothing_fills_yet_forbids_running() -> None:
    problem = only(expression("{{ $loop.region }}"))

    assert (problem.code, problem.blocks) == ("expression.name_reserved", "run")


def test_the_sign_that_n8n_writes_before_an_expression_is_told_with_its_mend() -> None:
    problem = only(expression("={{ $json.x }}"))

    assert (problem.code, problem.blocks) == ("expression.foreign_prefix", "run")
    assert [mend["value"] for mend in problem.patch] == ["{{ $json.x }}"]


def test_a_parameter_that_is_fixed_at_save_takes_no_expression() -> None:
    problem = only(
        checked({"hook": {"type": "trigger.webhook", "params": {"path": "a", "signature": {"secret": "{{ 1 }}"}}}})
    )

    assert (problem.code, problem.path) == ("expression.not_allowed", "/nodes/hook/params/signature/secret")


def test_a_fixed_parameter_inside_a_list_takes_no_expression() -> None:
    cases = [{"port": "{{ $json.x }}", "when": True}]
    problem = only(checked({"a": {"type": "flow.switch", "params": {"cases": cases}}}, ["start > a"]))

    assert (problem.code, problem.path) == ("expression.not_allowed", "/nodes/a/params/cases/0/port")


def test_too_many_expressions_are_refused_before_they_are_compiled() -> None:
    values = {f"v{n}": f"{{{{ $json.a{n} + }}}}" for n in range(EXPRESSIONS_MAX + 1)}

    problem = only(checked({"a": {"type": "data.set", "params": {"values": values}}}, ["start > a"]))

    assert (problem.code, problem.blocks) == ("document.too_many_expressions", "save")


def long_expressions(count: int, tail: str = "") -> dict[str, str]:
    return {f"v{n}": "{{ [" + ", ".join(["1"] * 1_900) + f", {n}]{tail} }}" for n in range(count)}


@pytest.mark.parametrize("tail", ["", ".nothing()"])
def test_expressions_that_are_too_large_together_are_compiled_no_further(tail: str) -> None:
    sizes = [
        checked({"a": set_to(long_expressions(count, tail)), "b": set_to(long_expressions(1))}, ["start > a", "a > b"])
        for count in (5, 95)
    ]

    small, large = [codes(found) for found in sizes]
    assert "document.expressions_too_large" not in small
    assert large[-1] == "document.expressions_too_large"
    assert large.count("document.expressions_too_large") == 1
    assert sizes[1].blocking("run")


def set_to(values: dict[str, str]) -> dict[str, Any]:
    return {"type": "data.set", "params": {"values": values}}


# --- parameters ----------------------------------------------------------------------------------------------------


def params(type_name: str, given: Any) -> list[Problem]:
    found = checked({"a": {"type": type_name, "params": given}}, ["start > a"])
    assert all(problem.blocks == "run" for problem in found.problems)
    return list(found.problems)


def test_an_unknown_parameter_names_the_one_that_was_meant_also_when_it_is_an_expression() -> None:
    data = document({"a": {"type": "flow.if", "params": {"conditon": "{{ $json.x }}"}}}, ["start > a"])

    unknown = next(problem for problem in check(data, REGISTRY).problems if problem.code == "params.unknown_field")

    assert (unknown.path, unknown.hint) == ("/nodes/a/params/conditon", "Did you mean `condition`?")
    assert_mends(data, unknown)


def test_a_missing_parameter_is_told_with_what_it_is_for() -> None:
    [problem] = params("http.request", {})

    assert (problem.code, problem.path) == ("params.missing_field", "/nodes/a/params/url")
    assert "Absolute address" in problem.hint


def test_values_of_the_wrong_type_are_told_at_every_depth() -> None:
    found = params("data.sort", {"by": [{"field": "a", "order": "up"}, {"fild": "b"}, 7]})

    assert {(problem.code, problem.path) for problem in found} == {
        ("params.invalid_value", "/nodes/a/params/by/0/order"),
        ("params.missing_field", "/nodes/a/params/by/1/field"),
        ("params.unknown_field", "/nodes/a/params/by/1/fild"),
        ("params.invalid_value", "/nodes/a/params/by/2"),
    }
    assert next(problem for problem in found if problem.code == "params.unknown_field").hint == "Did you mean `field`?"


def test_a_value_that_is_an_expression_is_known_only_when_it_runs() -> None:
    assert params("data.limit", {"count": "{{ $json.n }}"}) == []
    assert params("http.request", {"url": "{{ $json.url }}", "timeout_seconds": "{{ $json.seconds }}"}) == []
    assert params("data.sort", {"by": "{{ $json.keys }}"}) == []
    assert params("data.sort", {"by": ["{{ $json.key }}", {"field": "{{ $json.f }}", "order": "{{ $json.o }}"}]}) == []


def test_a_value_beside_an_expression_is_checked() -> None:
    [problem] = params("http.request", {"url": "{{ $json.url }}", "timeout_seconds": "soon"})

    assert problem.path == "/nodes/a/params/timeout_seconds"
    assert problem.message == "`timeout_seconds` must be a number, not a text."


def test_a_key_is_checked_whatever_its_value() -> None:
    [problem] = params("data.set", {"values": {"a..b": "{{ $json.x }}"}})

    assert (problem.code, problem.path) == ("params.key_malformed", "/nodes/a/params/values/a..b")
    assert "Fields to set" in problem.hint


def test_what_a_type_says_of_its_parameters_together_is_told() -> None:
    [problem] = params("http.request", {"url": "https://a.example", "body": {}, "body_text": "x"})

    assert (problem.code, problem.path) == ("params.invalid_value", "/nodes/a/params")
    assert problem.message == "Give `body` or `body_text`, not both."


def test_what_a_type_says_of_its_parameters_together_is_told_where_others_are_expressions() -> None:
    [twice] = params(
        "flow.switch",
        {"cases": [{"port": "a", "when": "{{ $json.x }}"}, {"port": "a", "when": "{{ $json.y }}"}]},
    )
    [both] = params("flow.switch", {"route": "{{ $json.x }}", "cases": [{"port": "a", "when": "{{ $json.y }}"}]})

    assert (twice.code, twice.path) == ("params.invalid_value", "/nodes/a/params/cases")
    assert twice.message == "`cases`: Two cases have the same port; join their conditions with `or` instead."
    assert (both.path, both.message) == ("/nodes/a/params", "Give either `cases`, or `route` with `ports`.")


@pytest.mark.parametrize(
    ("type_name", "given"),
    [
        ("flow.parallel", {"join": "all", "quorum": "{{ $json.n }}"}),
        ("flow.switch", {"route": "{{ $json.x }}", "ports": ["a"], "all_matches": "{{ $json.all }}"}),
        ("flow.wait", {"mode": "duration", "seconds": "{{ $json.seconds }}"}),
        ("data.aggregate", {"operations": [{"operation": "{{ $json.how }}"}, {"operation": "{{ $json.how }}"}]}),
        ("data.aggregate", {"operations": "{{ $json.how }}", "group_by": ["{{ $json.path }}"]}),
    ],
)
def test_what_expressions_may_put_right_is_no_problem(type_name: str, given: Any) -> None:
    assert [problem for problem in params(type_name, given) if problem.code.startswith("params.")] == []


# --- the rest of a node and of the settings ------------------------------------------------------------------------


def test_resources_less_than_nothing_forbid_running() -> None:
    extra = {"type": "flow.no_op", "resources": {"a/b": -1}}
    data = document({"a": extra}, ["start > a"])

    found = check(data, REGISTRY)

    assert [(problem.code, problem.path) for problem in found.problems] == [
        ("node.resource_negative", "/nodes/a/resources/a~1b"),
    ]
    assert steps(data) == ["save"]


def test_a_control_node_takes_pinned_data_and_a_time_limit() -> None:
    sub = {"type": "flow.sub_workflow", "params": {"workflow": "wf_1"}, "pinned": [{"a": 1}], "timeout_seconds": 5}

    assert checked({"a": sub}, ["start > a"]).problems == ()


def test_a_control_node_takes_neither_resources_nor_retries() -> None:
    sub = {
        "type": "flow.sub_workflow",
        "params": {"workflow": "wf_1"},
        "resources": {"num_cpus": 1},
        "retry": {"tries": 2},
    }

    found = checked({"a": sub}, ["start > a"])

    assert [problem.path for problem in found.problems] == ["/nodes/a/resources", "/nodes/a/retry"]


# --- everything together -------------------------------------------------------------------------------------------


def test_every_problem_comes_in_one_answer() -> None:
    found = checked(
        {
            "a": {"type": "http.reqest"},
            "b": {"type": "flow.if", "params": {"condition": "{{ $json. }}", "extra": 1}},
            "c": {"type": "data.limit", "params": {"count": -1}},
            "d": {"type": "flow.no_op"},
        },
        ["start > a", "a > b", "b.yes > c", "c > e", "c > b"],
        settings={"timezone": "Mars"},
    )

    assert sorted(codes(found)) == sorted(
        [
            "node.unknown_type",
            "expression.invalid",
            "params.unknown_field",
            "params.invalid_value",
            "edge.unknown_port",
            "edge.unknown_node",
            "graph.cycle",
            "graph.unreachable",
            "settings.unknown_timezone",
        ]
    )


def test_the_problems_that_are_shown_are_bounded_and_what_is_left_out_still_forbids() -> None:
    data = document(chain(*(f"n{n}" for n in range(300))))

    found = check(data, REGISTRY)

    assert len(found.problems) == PROBLEMS_MAX + 1
    assert (found.problems[-1].code, found.problems[-1].blocks) == ("document.more_problems", "publish")
    assert steps(data) == ["save", "run"]
    broken = document({}, [f"start > x{n}" for n in range(300)])
    assert check(broken, REGISTRY).problems[-1].blocks == "save"
    misshapen = {**document(), "edges": [{"frm": "a"}] * 1000}
    assert len(check(misshapen, REGISTRY).problems) == PROBLEMS_MAX + 1
    unreal = document({"a": {"type": "flow.no_op", "params": {"x": [float("nan")] * 1000}}})
    assert len(check(unreal, REGISTRY).problems) == PROBLEMS_MAX + 1


@pytest.mark.parametrize(
    ("type_", "params", "field", "value"),
    [
        ("data.limit", {"count": 1}, "retry", {"tries": 2}),
        ("data.set", {}, "retry", {"tries": 2}),
        ("http.respond", {"body": 1}, "retry", {"tries": 2}),
        ("http.respond", {"body": 1}, "resources", {"num_cpus": 1}),
        ("flow.sub_workflow", {"workflow": "wf_1"}, "retry", {"tries": 2}),
    ],
)
def test_a_field_that_says_nothing_to_a_kind_of_node_is_told_and_not_passed_over(
    type_: str, params: dict[str, Any], field: str, value: object
) -> None:
    document = {
        "format": 1,
        "name": "n",
        "nodes": {"start": {"type": "trigger.manual"}, "a": {"type": type_, "params": params, field: value}},
        "edges": [{"from": "start", "to": "a"}],
    }

    [problem] = check(document, REGISTRY).problems

    assert (problem.code, problem.path, problem.blocks) == ("node.field_without_effect", f"/nodes/a/{field}", "run")


# --- problems that others find -------------------------------------------------------------------------------------


def test_what_others_find_is_told_where_it_forbids_as_much() -> None:
    found = check(document({"a": {"type": "flow.no_op"}}, ["a > nowhere"]), REGISTRY)
    kept = [problem.code for problem in found.problems]

    more = found.with_problems([Problem("x.run", "", "", "", "run"), Problem("x.publish", "", "", "", "publish")])

    assert found.with_problems([]) is found
    assert [problem.blocks for problem in more.problems] == sorted(
        (problem.blocks for problem in more.problems), key=["save", "run", "publish"].index
    )
    assert {problem.code for problem in more.problems} == {*kept, "x.run", "x.publish"}


def test_a_problem_that_forbids_more_takes_the_place_of_one_that_forbids_less() -> None:
    many = [Problem(f"x.{number}", "", "", "", "publish") for number in range(PROBLEMS_MAX + 5)]
    found = check(valid_document(), REGISTRY).with_problems(many)
    assert found.problems[-1].code == "document.more_problems"

    more = found.with_problems([Problem("x.run", "", "", "", "run")])

    assert len(more.problems) == PROBLEMS_MAX + 1
    assert [problem.code for problem in more.problems if not problem.code.startswith("x.")] == [
        "document.more_problems"
    ]
    assert more.blocking("run")

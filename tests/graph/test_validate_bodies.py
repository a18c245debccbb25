"""The validator inside of containers: their bodies, the edges and the expressions in them."""

import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import pytest

from budflow.graph.validate import Checked, check
from budflow.model.problem import Problem
from budflow.model.workflow import EXPRESSIONS_MAX, NODES_MAX
from tests.graph.documents import REGISTRY, checked, codes, document, graph, mended, nested_document, only

NO_OP = {"type": "flow.no_op"}
BODY = "/nodes/each/bodies/body"


def each(nodes: Mapping[str, Any], edges: Sequence[str], **rest: Any) -> dict[str, Any]:
    """`start` → `before` → `each` → `after`, with this graph as the body of `each`."""
    container = {"type": "flow.for_each", "bodies": {"body": graph(nodes, edges)}, **rest}
    return document(
        {"before": NO_OP, "each": container, "after": NO_OP, "aside": NO_OP},
        ["start > before", "start > aside", "before > each", "each > after"],
    )


def found_in(nodes: Mapping[str, Any], edges: Sequence[str]) -> Checked:
    return check(each(nodes, edges), REGISTRY)


def container(type_name: str, bodies: Mapping[str, Any], params: Mapping[str, Any] = MappingProxyType({})) -> Checked:
    return checked({"a": {"type": type_name, "bodies": bodies, "params": dict(params)}}, ["start > a"])


def setting(text: str) -> dict[str, Any]:
    return {"type": "data.set", "params": {"values": {"x": text}}}


def assert_mends(data: dict[str, Any], problem: Problem) -> None:
    assert check(mended(data, problem), REGISTRY).problems == ()


PASS = graph({}, ["$in > $out"])


def test_containers_in_one_another_may_be_published() -> None:
    found = check(nested_document(), REGISTRY)

    assert found.problems == ()
    assert found.require("publish") is found.workflow


def test_whatever_is_wrong_inside_is_told_where_it_stands() -> None:
    nodes = {
        "price": {"type": "http.request", "params": {"url": "{{ $json. }}", "methd": "GET"}},
        "check": {"type": "flow.if", "params": {"condition": True}},
        "old": {"type": "flow.no_op", "type_version": 99},
        "new": {"type": "flow.noop"},
        "big": {"type": "data.set", "retry": {"tries": 2}, "credentials": {"a": "b"}},
    }
    edges = [
        *("$in > price", "price.error > check", "check.ture > old", "old > new"),
        *("new > big", "big > $out", "big > $out", "check.true > nowhere"),
    ]

    found = found_in(nodes, edges)

    assert {(problem.code, problem.path) for problem in found.problems} == {
        ("edge.unknown_port", f"{BODY}/edges/1/from"),
        ("edge.unknown_port", f"{BODY}/edges/2/from"),
        ("edge.duplicate", f"{BODY}/edges/6"),
        ("edge.unknown_node", f"{BODY}/edges/7/to"),
        ("expression.invalid", f"{BODY}/nodes/price/params/url"),
        ("params.unknown_field", f"{BODY}/nodes/price/params/methd"),
        ("node.unknown_version", f"{BODY}/nodes/old/type_version"),
        ("node.unknown_type", f"{BODY}/nodes/new/type"),
        ("credential.slot_unknown", f"{BODY}/nodes/big/credentials"),
        ("node.field_without_effect", f"{BODY}/nodes/big/retry"),
    }
    port = next(problem for problem in found.problems if problem.path.endswith("1/from"))
    assert port.patch[0]["path"] == f"{BODY}/nodes/price/on_error"


def test_a_misspelt_field_inside_is_mended_by_its_patch() -> None:
    data = each({"a": {**NO_OP, "note": "x"}}, ["$in > a", "a > $out"])

    problem = only(check(data, REGISTRY))

    assert problem.path == f"{BODY}/nodes/a/note"
    assert_mends(data, problem)


# --- the bodies that a type takes ----------------------------------------------------------------------------------


def test_a_container_without_its_body_may_only_be_saved() -> None:
    problem = only(checked({"a": {"type": "flow.for_each"}}, ["start > a"]))

    assert (problem.code, problem.path, problem.blocks) == ("node.missing_body", "/nodes/a/bodies/body", "run")
    assert '"$in"' in problem.hint


def test_a_body_that_may_be_left_out_is_not_missed() -> None:
    assert container("flow.try_catch", {"body": PASS}).problems == ()


def test_a_container_whose_bodies_the_author_names_needs_one() -> None:
    assert container("flow.parallel", {"any_name": PASS}).problems == ()
    problem = only(container("flow.parallel", {}))
    assert (problem.code, problem.path, problem.blocks) == ("node.missing_body", "/nodes/a/bodies", "run")


@pytest.mark.parametrize("quorum", [2, 4])
def test_a_quorum_of_more_bodies_than_there_are_is_told(quorum: int) -> None:
    problem = only(container("flow.parallel", {"any_name": PASS}, {"join": "quorum", "quorum": quorum}))

    assert (problem.code, problem.path, problem.blocks) == ("node.missing_body", "/nodes/a/bodies", "run")
    assert problem.message == f"With these parameters `flow.parallel` needs {quorum} bodies, and there are 1."


def test_a_quorum_that_an_expression_gives_is_known_only_when_it_runs() -> None:
    assert container("flow.parallel", {"x": PASS}, {"join": "quorum", "quorum": "{{ $json.n }}"}).problems == ()
    assert container("flow.parallel", {"x": PASS, "y": PASS}, {"join": "quorum", "quorum": 2}).problems == ()


def test_a_misspelt_body_is_told_once_and_mended() -> None:
    data = document({"a": {"type": "flow.try_catch", "bodies": {"body": PASS, "finaly": graph({})}}}, ["start > a"])

    problem = only(check(data, REGISTRY))

    assert (problem.code, problem.path) == ("node.unknown_body", "/nodes/a/bodies/finaly")
    assert (problem.hint, problem.blocks) == ("Did you mean `finally`?", "run")
    assert_mends(data, problem)


def test_the_body_of_a_container_with_only_one_is_mended_however_wrong() -> None:
    data = document({"a": {"type": "flow.for_each", "bodies": {"do": PASS}}}, ["start > a"])

    assert_mends(data, only(check(data, REGISTRY)))


def test_a_body_too_many_is_told_with_those_there_are() -> None:
    problem = only(container("flow.for_each", {"body": PASS, "else": PASS}))

    assert (problem.path, problem.hint) == ("/nodes/a/bodies/else", "It takes `body`; remove `else`.")
    assert problem.patch == ()


def test_a_type_that_is_no_container_takes_no_bodies() -> None:
    data = document({"a": {"type": "flow.no_op", "bodies": {"body": {"nodes": {}}}}}, ["start > a"])

    problem = only(check(data, REGISTRY))

    assert (problem.code, problem.path, problem.blocks) == ("node.no_bodies", "/nodes/a/bodies", "save")
    assert_mends(data, problem)


def test_of_a_type_that_is_not_known_the_bodies_are_not_judged() -> None:
    assert codes(container("flow.for_eaches", {"bdy": PASS})) == ["node.unknown_type"]


def test_no_trigger_stands_in_a_body() -> None:
    nodes = {"hook": {"type": "trigger.webhook", "params": {"path": "a"}}, "b": NO_OP}

    problem = only(found_in(nodes, ["hook > b", "b > $out"]))

    assert (problem.code, problem.path, problem.blocks) == ("trigger.in_body", f"{BODY}/nodes/hook", "run")


def test_a_trigger_in_a_body_starts_no_workflow() -> None:
    data = each({"hook": {"type": "trigger.manual"}}, ["hook > $out"])
    del data["nodes"]["start"]
    data["edges"] = [edge for edge in data["edges"] if edge["from"] != "start"]

    assert "graph.no_trigger" in codes(check(data, REGISTRY))


# --- edges ---------------------------------------------------------------------------------------------------------


def test_items_may_pass_a_body_by_untouched() -> None:
    assert found_in({}, ["$in > $out"]).problems == ()


def test_the_ends_of_a_body_have_only_the_port_main() -> None:
    data = each({"a": NO_OP}, ["$in.items > a", "a > $out.done"])

    first, second = check(data, REGISTRY).problems

    assert (first.code, first.path, first.hint) == ("edge.unknown_port", f"{BODY}/edges/0/from", "Write `$in`.")
    assert (second.path, second.hint) == (f"{BODY}/edges/1/to", "Write `$out`.")
    assert_mends(mended(data, first), second)


def test_nothing_leads_into_in_and_nothing_out_of_out() -> None:
    found = found_in({"a": NO_OP}, ["$in > a", "a > $in", "$out > a", "a > $out"])

    assert [(problem.code, problem.path, problem.blocks) for problem in found.problems] == [
        ("edge.wrong_end", f"{BODY}/edges/1/to", "save"),
        ("edge.wrong_end", f"{BODY}/edges/2/from", "save"),
    ]
    assert found.problems[0].hint.startswith("Write `$out`")


def test_an_end_without_its_dollar_is_mended() -> None:
    data = each({"a": NO_OP}, ["in > a", "a > out"])

    first, second = check(data, REGISTRY).problems

    assert (first.code, first.hint) == ("edge.unknown_node", "Did you mean `$in`?")
    assert_mends(mended(data, first), second)


@pytest.mark.parametrize("edge", ["before > a", "a > after"])
def test_no_edge_leads_out_of_a_body_or_into_it_from_within(edge: str) -> None:
    problem = only(found_in({"a": NO_OP}, ["$in > a", "a > $out", edge]))

    assert (problem.code, problem.blocks) == ("edge.other_graph", "save")
    assert problem.path.startswith(f"{BODY}/edges/2/")
    assert "Items enter a body by `$in` and leave it by `$out`." in problem.hint


def test_no_edge_leads_to_a_node_inside_from_outside() -> None:
    data = each({"a": NO_OP}, ["$in > a", "a > $out"])
    data["edges"] += [{"from": "a", "to": "after"}]

    problem = only(check(data, REGISTRY))

    assert (problem.code, problem.path) == ("edge.other_graph", "/edges/4/from")
    assert problem.hint.endswith("Out here write `each`.")


def test_no_edge_leads_from_one_body_to_another() -> None:
    bodies = {"one": graph({"x": NO_OP}, ["$in > x", "x > $out"]), "two": graph({"y": NO_OP}, ["$in > y", "x > $out"])}

    problem = only(container("flow.parallel", bodies))

    assert (problem.code, problem.path) == ("edge.other_graph", "/nodes/a/bodies/two/edges/1/from")
    assert "another body" in problem.message


def test_a_cycle_inside_is_told_where_it_stands() -> None:
    problem = only(found_in({"a": NO_OP, "b": NO_OP}, ["$in > a", "a > b", "b > a", "b > $out"]))

    assert (problem.code, problem.path, problem.blocks) == ("graph.cycle", f"{BODY}/edges/2", "save")
    assert "flow.while" in problem.hint


# --- what would never run, and what never comes out ----------------------------------------------------------------


def test_a_node_that_in_does_not_lead_to_forbids_only_publishing() -> None:
    problem = only(found_in({"a": NO_OP, "b": NO_OP}, ["$in > a", "a > $out", "b > $out"]))

    assert (problem.code, problem.path, problem.blocks) == ("graph.unreachable", f"{BODY}/nodes/b", "publish")


def test_a_body_that_nothing_enters_is_one_problem_with_the_edge_to_add() -> None:
    problem = only(found_in({"b": NO_OP, "a": NO_OP}, ["a > b", "b > $out"]))

    assert (problem.code, problem.path, problem.blocks) == ("graph.unreachable", BODY, "publish")
    assert '{"from": "$in", "to": "a"}' in problem.hint


def test_a_body_that_gives_nothing_forbids_only_publishing() -> None:
    problem = only(found_in({"a": NO_OP, "b": NO_OP}, ["$in > a", "a > b"]))

    assert (problem.code, problem.path, problem.blocks) == ("graph.no_exit", BODY, "publish")
    assert '{"from": "b", "to": "$out"}' in problem.hint


def test_an_empty_body_gives_nothing() -> None:
    assert codes(found_in({}, [])) == ["graph.no_exit"]
    assert codes(container("flow.parallel", {"one": graph({})})) == ["graph.no_exit"]


def test_a_body_that_runs_for_what_it_does_needs_no_way_out() -> None:
    tidy = graph({"tidy": NO_OP}, ["$in > tidy"])

    assert container("flow.try_catch", {"body": PASS, "finally": tidy}).problems == ()


def test_an_edge_to_nowhere_is_not_told_again_as_a_missing_way() -> None:
    assert codes(found_in({"a": NO_OP}, ["$in > a", "a > outt"])) == ["edge.unknown_node"]
    assert codes(found_in({"a": NO_OP}, ["inn > a", "a > $out"])) == ["edge.unknown_node"]
    assert codes(found_in({"a": NO_OP}, ["$in > a", "a > after"])) == ["edge.other_graph"]


# --- expressions ---------------------------------------------------------------------------------------------------


def read(text: str) -> Checked:
    return found_in({"a": NO_OP, "b": setting(text), "c": NO_OP}, ["$in > a", "a > b", "a > c", "b > $out"])


def test_nodes_before_in_the_body_and_before_the_container_may_be_read() -> None:
    assert read("{{ $node.a.json.x }} {{ $node.before.json.x }} {{ $node.start.items }}").problems == ()


def test_nodes_before_every_container_around_may_be_read() -> None:
    deep = setting("{{ $node.before.items + $node.a.items }}")
    inner = {"type": "flow.for_each", "bodies": {"body": graph({"deep": deep}, ["$in > deep", "deep > $out"])}}

    assert found_in({"a": NO_OP, "inner": inner}, ["$in > a", "a > inner", "inner > $out"]).problems == ()


@pytest.mark.parametrize("key", ["c", "b", "after", "aside", "each"])
def test_what_does_not_run_before_cannot_be_read(key: str) -> None:
    problem = only(read(f"{{{{ $node.{key}.json.x }}}}"))

    assert (problem.code, problem.path) == ("expression.node_not_before", f"{BODY}/nodes/b/params/values/x")
    assert problem.blocks == "run"


def test_the_container_is_not_over_before_what_is_inside_it() -> None:
    problem = only(read("{{ $node.each.json.x }}"))

    assert problem.message.endswith("which ends only after `b` inside it.")
    assert problem.hint.startswith("Instead, read `$json`, or another node: Use one of these: `a`, `before`, `start`")


def test_a_node_inside_a_body_is_read_by_its_container() -> None:
    data = each({"a": NO_OP}, ["$in > a", "a > $out"])
    data["nodes"]["after"] = setting("{{ $node.a.json.x }}")

    problem = only(check(data, REGISTRY))

    assert (problem.code, problem.path) == ("expression.node_inside_body", "/nodes/after/params/values/x")
    assert "inside a body of `each`" in problem.message
    assert "`$node.each`" in problem.hint


def test_a_container_cannot_read_what_is_inside_it() -> None:
    data = each({"a": NO_OP}, ["$in > a", "a > $out"], params={"items": "{{ $node.a.json.x }}"})

    problem = only(check(data, REGISTRY))

    assert (problem.code, problem.path) == ("expression.node_inside_body", "/nodes/each/params/items")
    assert problem.hint.startswith("What is in a body can be read only there.")


def test_one_body_cannot_read_another() -> None:
    bodies = {
        "one": graph({"x": NO_OP}, ["$in > x", "x > $out"]),
        "two": graph({"y": setting("{{ $node.x.json.a }}")}, ["$in > y", "y > $out"]),
    }

    assert codes(container("flow.parallel", bodies)) == ["expression.node_inside_body"]


def test_a_node_that_is_nowhere_is_told_with_the_one_outside_that_was_meant() -> None:
    problem = only(read("{{ $node.befor.json.x }}"))

    assert (problem.code, problem.hint) == ("expression.unknown_node", "Did you mean `$node.before`?")


def test_a_body_may_read_the_round_it_is_in() -> None:
    assert read("{{ $run_index }}").problems == ()


# --- limits --------------------------------------------------------------------------------------------------------


def test_expressions_count_over_all_bodies() -> None:
    values = {f"v{n}": "{{ $json.a }}" for n in range(EXPRESSIONS_MAX // 2 + 1)}
    many = {"type": "data.set", "params": {"values": values}}
    data = each({"a": many}, ["$in > a", "a > $out"])
    data["nodes"]["after"] = many

    assert codes(check(data, REGISTRY)) == ["document.too_many_expressions"]


def test_what_forbids_saving_comes_before_what_forbids_less_however_deep_it_stands() -> None:
    data = each({f"n{n}": NO_OP for n in range(150)}, ["$in > n0", "n0 > $out", "n1 > nowhere"])
    data["nodes"]["aside"] = {"type": "gone"}

    blocks = [problem.blocks for problem in check(data, REGISTRY).problems]

    assert blocks == sorted(blocks, key=["save", "run", "publish"].index)
    assert blocks[:2] == ["save", "run"]


def deep_document(nodes: int) -> dict[str, Any]:
    """`nodes` nodes in sixteen loops inside one another, every one of which reads others."""
    a_level = nodes // 17 - 1

    def level(number: int) -> tuple[dict[str, Any], list[str]]:
        keys = [f"n{number}_{position}" for position in range(a_level)]
        inner: dict[str, Any] = {key: setting("{{ $node.start.json.x }} {{ $json.y }}") for key in keys}
        if number < 16:
            inner[f"loop{number}"] = {"type": "flow.for_each", "bodies": {"body": graph(*level(number + 1))}}
        way = [*(["$in"] if number else ["start"]), *inner, *(["$out"] if number else [])]
        return inner, [f"{source} > {target}" for source, target in pairwise(way)]

    return document(*level(0))


def test_the_time_grows_with_the_document_and_not_faster() -> None:
    def seconds(data: dict[str, Any]) -> float:
        assert check(data, REGISTRY).problems == ()
        best = 1e9
        for _ in range(5):
            began = time.process_time()
            check(data, REGISTRY)
            best = min(best, time.process_time() - began)
        return best

    half, whole = seconds(deep_document(NODES_MAX // 2)), seconds(deep_document(NODES_MAX))

    assert whole < 4 * half + 0.01  # Twice as much, and what other work on the machine adds.

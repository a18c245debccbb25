"""The plan: numbers, ports, sources in document order, fused chains."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from budflow.graph.params import ParamsInvalid
from budflow.graph.plan import NodeTypeMissing, Plan, Source, TriggerMissing, compile_plan
from budflow.graph.validate import check
from budflow.model.workflow import Graph, Node, Workflow
from tests.graph.documents import REGISTRY, document, valid_document

NO_OP = {"type": "flow.no_op"}
IF = {"type": "flow.if", "params": {"condition": True}}


def plan_of(nodes: Mapping[str, Any], edges: Sequence[str]) -> Plan:
    return compile_plan(check(document(nodes, edges), REGISTRY).require("run"), REGISTRY, workflow_id="wf", version=3)


def segments(plan: Plan) -> list[list[str]]:
    return [[plan.nodes[number].key for number in segment.nodes] for segment in plan.segments]


def test_a_chain_of_light_nodes_is_one_segment() -> None:
    assert segments(plan_of({"a": NO_OP, "b": NO_OP}, ["start > a", "a > b"])) == [["start", "a", "b"]]


def test_a_chain_ends_where_ways_part_and_where_they_meet() -> None:
    nodes = {"a": NO_OP, "b": NO_OP, "c": NO_OP, "d": NO_OP, "e": NO_OP}
    plan = plan_of(nodes, ["start > a", "a > b", "a > c", "b > d", "c > d", "d > e"])

    assert segments(plan) == [["start", "a"], ["b"], ["c"], ["d", "e"]]
    assert [plan.segment_of[plan.index[key]] for key in ("start", "a", "b", "c", "d", "e")] == [0, 0, 1, 2, 3, 3]


def test_two_edges_to_the_same_node_are_no_chain() -> None:
    assert segments(plan_of({"a": IF, "b": NO_OP}, ["start > a", "a.true > b", "a.false > b"])) == [
        ["start", "a"],
        ["b"],
    ]


def test_heavy_and_control_nodes_stand_alone() -> None:
    nodes = {
        "a": NO_OP,
        "big": {**NO_OP, "resources": {"num_cpus": 2}},
        "b": NO_OP,
        "sub": {"type": "flow.sub_workflow", "params": {"workflow": "wf_x"}},
        "c": NO_OP,
    }
    plan = plan_of(nodes, ["start > a", "a > big", "big > b", "b > sub", "sub > c"])

    assert segments(plan) == [["start", "a"], ["big"], ["b"], ["sub"], ["c"]]
    assert [segment.weight for segment in plan.segments] == ["light", "heavy", "light", "control", "light"]


def test_sources_of_a_port_stand_in_the_order_of_the_document() -> None:
    nodes = {
        "pair": {"type": "flow.merge", "params": {"mode": "by_position"}},
        "check": IF,
        "a": NO_OP,
    }
    plan = plan_of(
        nodes, ["start > check", "start > a", "check.false > pair.right", "a > pair.left", "check.true > pair.right"]
    )
    pair, check_node = plan.nodes[plan.index["pair"]], plan.nodes[plan.index["check"]]

    assert pair.input_names == ("left", "right")
    assert pair.inputs == (
        (Source(plan.index["a"], 0),),
        (Source(plan.index["check"], 1), Source(plan.index["check"], 0)),
    )
    assert pair.edges_in == 3
    assert check_node.output_names == ("true", "false")
    assert check_node.targets == ((pair.index,), (pair.index,))


def test_nodes_are_numbered_in_document_order_and_sinks_lead_nowhere() -> None:
    plan = plan_of({"z": NO_OP, "a": NO_OP, "m": NO_OP}, ["start > z", "z > a", "z > m"])

    assert [node.key for node in plan.nodes] == ["start", "z", "a", "m"]
    assert [node.index for node in plan.nodes] == [0, 1, 2, 3]
    assert [plan.nodes[number].key for number in plan.sinks] == ["a", "m"]
    assert (plan.workflow_id, plan.version, plan.name) == ("wf", 3, "test")


def test_the_error_port_comes_last() -> None:
    plan = plan_of({"a": {**IF, "on_error": "error_output"}, "b": NO_OP}, ["start > a", "a.error > b"])

    assert plan.nodes[1].output_names == ("true", "false", "error")
    assert plan.nodes[1].targets == ((), (), (2,))


def test_a_trigger_is_found_by_key_or_by_kind() -> None:
    hook = {"type": "trigger.webhook", "params": {"path": "a"}}
    plan = plan_of({"hook": hook, "off": {"type": "trigger.manual", "disabled": True}}, [])

    assert plan.trigger(None).key == "start"
    assert plan.trigger("hook").key == "hook"
    assert plan.trigger(None, "trigger.webhook").key == "hook"
    assert [plan.nodes[number].key for number in plan.triggers] == ["start", "hook"]
    for key in ("off", "nope"):
        with pytest.raises(TriggerMissing) as caught:
            plan.trigger(key)
        assert caught.value.details == {"triggers": ["start", "hook"]}


def test_a_type_that_this_server_lacks_is_told() -> None:
    with pytest.raises(NodeTypeMissing, match=r"`gone\.type`"):
        compile_plan(Workflow("x", Graph({"a": Node("a", "gone.type")})), REGISTRY)


def test_parameters_that_are_wrong_do_not_compile() -> None:
    with pytest.raises(ParamsInvalid):
        compile_plan(Workflow("x", Graph({"a": Node("a", "data.limit")})), REGISTRY)


def test_every_process_numbers_the_segments_alike() -> None:
    program = (
        "from tests.graph.documents import *\n"
        "from budflow.graph.plan import compile_plan\n"
        "plan = compile_plan(check(valid_document(), REGISTRY).require('run'), REGISTRY)\n"
        "print([segment.nodes for segment in plan.segments])"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    plan = compile_plan(check(valid_document(), REGISTRY).require("run"), REGISTRY)

    assert seen == {f"{[segment.nodes for segment in plan.segments]}\n"}

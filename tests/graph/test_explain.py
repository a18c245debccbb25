"""The plan in words: every node stands in one segment, with where it runs and why."""

from typing import Any

from hypothesis import given, strategies as st

from budflow.graph.explain import Explained, explain
from tests.graph.test_plan import NO_OP, plan_of

HEAVY = {"type": "data.set", "params": {"values": {}}, "resources": {"num_cpus": 2}}
CALL = {"type": "flow.sub_workflow", "params": {"workflow": "wf_other"}}
EACH = {
    "type": "flow.for_each",
    "bodies": {"body": {"nodes": {"a": NO_OP}, "edges": [{"from": "$in", "to": "a"}, {"from": "a", "to": "$out"}]}},
}


def explained(nodes: dict[str, Any], *edges: str) -> dict[str, Explained]:
    return {segment.nodes[0]: segment for segment in explain(plan_of(nodes, edges))}


def test_a_chain_of_light_nodes_is_fused_in_the_runner() -> None:
    [chain] = explained({"b": NO_OP, "c": NO_OP}, "start > b", "b > c").values()

    assert chain.nodes == ("start", "b", "c")
    assert chain.where == "runner"
    assert "no hop" in chain.why
    assert chain.ends is None


def test_what_ends_a_chain_is_named() -> None:
    nodes = {"b": NO_OP, "c": NO_OP, "join": NO_OP, "heavy": HEAVY}
    segments = explained(nodes, "start > b", "start > c", "b > join", "c > join", "join > heavy")

    assert segments["start"].ends == "2 edges leave `start`: what they lead to runs in parallel."
    assert segments["b"].ends == "`join` waits for 2 edges."
    assert segments["join"].ends == "`heavy` is heavy."


def test_a_node_that_asks_for_resources_runs_apart_with_them() -> None:
    heavy = explained({"heavy": HEAVY}, "start > heavy")["heavy"]

    assert (heavy.where, heavy.resources, heavy.why) == ("apart", {"num_cpus": 2}, "It asks for resources.")


def test_labels_of_a_ray_node_are_told_with_the_resources() -> None:
    labelled = {**HEAVY, "resources": {"num_cpus": 2, "labels": {"tier": "!cpu"}}}
    alone = {**HEAVY, "resources": {"labels": {"tier": "gpu"}}}
    segments = explained({"labelled": labelled, "alone": alone}, "start > labelled", "start > alone")

    assert str(segments["labelled"]).startswith("labelled: in a process or Ray task of its own, num_cpus=2, tier=!cpu.")
    assert segments["alone"].labels == {"tier": "gpu"}
    assert segments["alone"].why == "It asks for a Ray node with certain labels."


def test_a_called_workflow_is_an_execution_of_its_own() -> None:
    call = explained({"call": CALL, "b": NO_OP}, "start > call", "call > b")["call"]

    assert (call.where, call.ends) == ("execution", "Only light nodes are fused.")


def test_a_body_is_told_with_the_container_around_it() -> None:
    segments = explained({"each": EACH}, "start > each")

    assert segments["each"].why == "It only decides what happens next."
    assert segments["a"].path == ("each.body",)
    assert segments["a"].where == "by_cost"
    assert "many rounds" in segments["a"].why
    assert "measured" in segments["a"].why
    assert segments["a"].ends == "The body ends here."


def test_a_segment_is_told_in_a_line() -> None:
    segments = explained({"each": EACH, "heavy": HEAVY}, "start > each", "each > heavy")

    assert str(segments["heavy"]) == "heavy: in a process or Ray task of its own, num_cpus=2. It asks for resources."
    assert str(segments["a"]).startswith("each.body > a: in the runner, or in chunks in other processes or Ray tasks. ")


def test_how_many_heavy_rounds_run_at_once_is_told() -> None:
    body = {"nodes": {"a": HEAVY}, "edges": [{"from": "$in", "to": "a"}, {"from": "a", "to": "$out"}]}
    loop = {"type": "flow.for_each", "bodies": {"body": body}}

    alone = explained({"each": loop}, "start > each")["a"]
    several = explained({"each": {**loop, "params": {"concurrency": 4}}}, "start > each")["a"]

    assert alone.why == "It asks for resources. One round is open at once, as `concurrency` of `each` says."
    assert several.why == "It asks for resources. 4 rounds are open at once, as `concurrency` of `each` says."


def test_where_calls_go_is_told() -> None:
    call = explained({"call": CALL}, "start > call")["call"]

    assert "A single one is begun by the runner of its caller" in call.why


@given(st.lists(st.sampled_from([NO_OP, HEAVY, CALL, EACH]), max_size=6), st.randoms(use_true_random=False))
def test_every_node_stands_in_one_segment_and_every_segment_has_a_reason(kinds: list[Any], random: Any) -> None:
    nodes = {f"n{number}": kind for number, kind in enumerate(kinds) if kind is not EACH}
    names = ["start", *nodes]
    edges = [f"{random.choice(names[:number])} > {name}" for number, name in enumerate(names) if number]
    plan = plan_of(nodes, edges)

    segments = list(explain(plan))

    assert sorted(key for segment in segments for key in segment.nodes) == sorted(node.key for node in plan.nodes)
    assert all(segment.why for segment in segments)

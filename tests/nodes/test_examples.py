"""Every example of the whole library, replayed through the real expression engine."""

import pytest

from budflow.graph.validate_params import params_problems
from budflow.model.node import Example, NodeSpec
from budflow.model.workflow import Graph, Node, Workflow
from tests.nodes.harness import LIBRARY, run

EXAMPLES = [
    pytest.param(spec, example, id=f"{spec.name}: {example.title}")
    for spec in LIBRARY.types()
    for example in spec.examples
]


@pytest.mark.parametrize(("spec", "example"), EXAMPLES)
def test_an_example_gives_what_it_says(spec: NodeSpec, example: Example) -> None:
    ran = run(spec.name, example.params, example.given, answers=example.answers, callee=example.callee)

    assert ran.ports == {port: list(items) for port, items in example.expect.items()}
    assert ran.responds == example.responds
    assert len(ran.requests) == len(example.answers)


@pytest.mark.parametrize(("spec", "example"), EXAMPLES)
def test_the_validator_accepts_an_example_with_its_expressions(spec: NodeSpec, example: Example) -> None:
    node = Node("subject", spec.name, params=example.params)

    assert list(params_problems(Workflow("example", Graph({"subject": node})), node, spec, frozenset())) == []


@pytest.mark.parametrize(("spec", "example"), [case for case in EXAMPLES if case.values[0].kind == "batch"])
def test_a_batch_node_gives_the_same_however_its_items_are_sliced(spec: NodeSpec, example: Example) -> None:
    sliced = run(spec.name, example.params, example.given, slice_items=1)

    assert sliced == run(spec.name, example.params, example.given)

"""Every example of the whole library, replayed through the real expression engine."""

from typing import Any

import pytest

from budflow.graph.validate import check
from budflow.model.node import Example, NodeSpec
from tests.canaries.kept import first_that_fits, one_of
from tests.nodes.control_play import World
from tests.nodes.fake_files import FakeFiles
from tests.nodes.fake_sandbox import FakeSandbox
from tests.nodes.harness import LIBRARY, run
from tests.nodes.tables import Tables

EXAMPLES = [
    pytest.param(spec, example, id=f"{spec.name}: {example.title}")
    for spec in LIBRARY.types()
    for example in spec.examples
]


def required_slots(spec: NodeSpec) -> list[str]:
    """What a node of the type cannot do without: an example names no credentials."""
    return [name for name, slot in spec.credentials.items() if slot.required]


@pytest.mark.parametrize(("spec", "example"), EXAMPLES)
def test_an_example_gives_what_it_says(spec: NodeSpec, example: Example) -> None:
    files = FakeFiles({path: content.encode() for path, content in example.files.items()})
    tables = Tables()
    ran = run(
        spec.name,
        example.params,
        tables.carried_by(example),
        answers=example.answers,
        callee=example.callee,
        bodies=example.bodies,
        world=World(answered=example.answered),
        files=files,
        blobs=tables.blobs,
        sandbox=FakeSandbox(),
        credentials={slot: one_of(first_that_fits(spec.credentials[slot])).opened() for slot in required_slots(spec)},
    )

    assert ran.ports == {port: list(items) for port, items in example.expect.items()}
    assert ran.responds == example.responds
    assert len(ran.requests) == len(example.answers)
    if example.makes:
        assert [tables.rows(item) for item in ran.items[spec.output_ports(example.params)[0]]] == list(example.makes)
    assert {path: files.contents[path].decode() for path in example.writes} == dict(example.writes)


@pytest.mark.parametrize(("spec", "example"), EXAMPLES)
def test_the_validator_accepts_an_example_in_a_workflow(spec: NodeSpec, example: Example) -> None:
    subject = {"type": spec.name, "params": example.params, "bodies": example.bodies}
    nodes: dict[str, Any] = {"subject": {**subject, "credentials": dict.fromkeys(required_slots(spec), "crm")}}
    ports = spec.input_ports(example.params)
    if not spec.trigger:
        nodes["start"] = {"type": "trigger.manual"}
    edges = [{"from": "start", "to": f"subject.{port}"} for port in ports]

    found = check({"format": 1, "name": "example", "nodes": nodes, "edges": edges}, LIBRARY)

    assert found.problems == ()


@pytest.mark.parametrize(("spec", "example"), [case for case in EXAMPLES if case.values[0].kind == "batch"])
def test_a_batch_node_gives_the_same_however_its_items_are_sliced(spec: NodeSpec, example: Example) -> None:
    sliced = run(spec.name, example.params, example.given, slice_items=1)

    assert sliced == run(spec.name, example.params, example.given)

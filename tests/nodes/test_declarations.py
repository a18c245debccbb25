"""House rules that hold for every node type, so that people and agents can rely on its declaration."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from budflow.model.control import NO_BODIES
from budflow.model.node import ERROR_PORT, NodeSpec
from tests.nodes.harness import LIBRARY

TESTS = Path(__file__).parent
SOURCES = Path(importlib.import_module("budflow.nodes").__path__[0])
every_type = pytest.mark.parametrize("spec", [pytest.param(spec, id=spec.name) for spec in LIBRARY.types()])


def properties(schema: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property at every depth, with its place."""
    if isinstance(schema, dict):
        for name, declared in schema.get("properties", {}).items():
            yield f"{where}/{name}", declared
            yield from properties(declared, f"{where}/{name}")
        for keyword in ("items", "additionalProperties"):
            yield from properties(schema.get(keyword), where)
        for option in schema.get("anyOf", []):
            yield from properties(option, where)


@every_type
def test_the_id_names_the_file_and_its_test(spec: NodeSpec) -> None:
    family, _, name = spec.name.partition(".")

    assert (SOURCES / family / f"{name}.py").is_file()
    assert (TESTS / family / f"test_{name}.py").is_file()
    assert spec.call.__module__ == f"budflow.nodes.{spec.name}"


@every_type
def test_the_description_says_more_than_the_summary(spec: NodeSpec) -> None:
    assert spec.summary.endswith((".", ";")), spec.summary
    assert len(spec.summary) <= 120
    assert len(spec.description) > len(spec.summary)
    assert "\n    " not in spec.description, "the indentation of the source"


@every_type
def test_every_parameter_is_described_also_inside_others(spec: NodeSpec) -> None:
    silent = [where for where, declared in properties(LIBRARY.schema(spec)) if not declared.get("description")]

    assert silent == []


@every_type
def test_every_parameter_model_refuses_unknown_fields(spec: NodeSpec) -> None:
    def objects(schema: Any) -> Iterator[dict[str, Any]]:
        if isinstance(schema, dict):
            if "properties" in schema:
                yield schema
            for part in schema.values():
                yield from objects(part)
        elif isinstance(schema, list):
            for part in schema:
                yield from objects(part)

    assert all(found["additionalProperties"] is False for found in objects(LIBRARY.schema(spec)))


@every_type
def test_there_are_examples_and_they_name_declared_ports(spec: NodeSpec) -> None:
    assert spec.examples
    for example in spec.examples:
        assert set(example.expect) <= {*spec.output_ports(example.params), ERROR_PORT}
        assert isinstance(example.given, list) or set(example.given) <= set(spec.input_ports(example.params))


@every_type
def test_what_has_bodies_is_a_control_node_that_names_them_as_keys(spec: NodeSpec) -> None:
    names = (*spec.bodies.required, *spec.bodies.optional)

    assert spec.kind == "control" or (spec.bodies == NO_BODIES and spec.feed is None)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name) for name in names)
    assert not (names and spec.bodies.named_by_author)


@every_type
def test_the_feed_is_a_parameter_that_may_be_left_out(spec: NodeSpec) -> None:
    assert spec.feed is None or not spec.params.model_fields[spec.feed].is_required()


@every_type
def test_ports_are_told_from_faulty_parameters_without_an_error(spec: NodeSpec) -> None:
    for faulty in (
        {},
        {"cases": None},
        {"cases": [None, 3, {"port": 5}]},
        {"mode": ["x"]},
        {"ports": 3},
        {"ports": [None]},
    ):
        assert all(isinstance(port, str) for port in (*spec.input_ports(faulty), *spec.output_ports(faulty)))

"""The registry: found by walking, read-only, searchable, with did-you-mean."""

from importlib.metadata import EntryPoint

import pytest

from budflow.model.node import Batch, Example, NodeSpec, Outputs, Params, node
from budflow.nodes import registry
from budflow.nodes.registry import NodeExtensionBroken, NodeTypeDuplicate, Registry
from tests.nodes.harness import LIBRARY, spec_of


class GreetParams(Params):
    """Nothing."""


def declare(name: str, version: int = 1) -> NodeSpec:
    @node(name, kind="batch", version=version, params=GreetParams, examples=[Example("none", {}, [], {})])
    def call(batch: Batch[GreetParams]) -> Outputs:
        """Greet."""
        return Outputs()

    return call


greeter = declare("ext.greet")


def names(specs: tuple[NodeSpec, ...]) -> list[str]:
    return [spec.name for spec in specs]


def test_the_library_holds_every_type_sorted() -> None:
    found = names(LIBRARY.types())

    assert found == sorted(found)
    assert {"trigger.webhook", "flow.if", "flow.merge", "data.set", "http.request"} <= set(found)


def test_get_gives_the_newest_version_unless_one_is_named() -> None:
    old, new = declare("ext.a", 1), declare("ext.a", 10)
    both = Registry([new, old])

    assert both.get("ext.a") is new
    assert both.get("ext.a", 1) is old
    assert both.get("ext.a", 2) is None
    assert both.get("ext.b") is None
    assert both.types() == (new,)


def test_two_types_of_one_name_and_version_are_refused() -> None:
    with pytest.raises(NodeTypeDuplicate, match=r"ext\.a of version 1"):
        Registry([declare("ext.a"), declare("ext.a")])


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("flow.if", "flow.if"),
        ("if", "flow.if"),
        ("sort", "data.sort"),
        ("split out", "data.split_out"),
        ("call an API", "http.request"),
        ("join two lists", "flow.merge"),
        ("webhook", "trigger.webhook"),
        ("answer the webhook", "http.respond"),
        ("sub workflow", "flow.sub_workflow"),
        ("count by group", "data.aggregate"),
        ("condition branch", "flow.if"),
        ("route", "flow.switch"),
        ("fields", "data.set"),
        ("loop over items", "flow.for_each"),
        ("for each", "flow.for_each"),
        ("iterate", "flow.for_each"),
        ("repeat until done", "flow.while"),
        ("delay", "flow.wait"),
        ("human approval", "flow.wait"),
        ("catch an exception", "flow.try_catch"),
        ("throttle", "flow.rate_limit"),
        ("run in parallel", "flow.parallel"),
        ("error workflow", "trigger.error"),
    ],
)
def test_search_finds_what_is_meant(query: str, first: str) -> None:
    assert names(LIBRARY.search(query))[0] == first


def test_search_keeps_to_its_limit_and_gives_all_types_for_no_words() -> None:
    assert len(LIBRARY.search("item", limit=3)) == 3
    assert LIBRARY.search("  ", limit=100) == LIBRARY.types()
    assert LIBRARY.search("zzz qqq") == ()


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("http.requst", "http.request"),
        ("if", "flow.if"),
        ("Data.Set", "data.set"),
        ("core.webhook", "trigger.webhook"),
        ("flow.fliter", "flow.filter"),
        ("something.else_entirely", None),
    ],
)
def test_closest_tells_what_was_meant(misspelt: str, meant: str | None) -> None:
    assert LIBRARY.closest(misspelt) == meant


def test_a_schema_is_tidy() -> None:
    schema = LIBRARY.schema(spec_of("trigger.webhook"))

    assert list(schema)[:3] == ["type", "required", "properties"]
    assert schema["required"] == ["path"]
    assert schema["additionalProperties"] is False
    assert "$defs" not in schema
    assert schema["properties"]["methods"]["default"] == ["POST"]
    assert "title" not in str(schema)


def test_a_schema_says_which_parameters_take_no_expression() -> None:
    switch = LIBRARY.schema(spec_of("flow.switch"))["properties"]

    assert switch["fallback"]["x-static"] is True
    assert "x-static" not in switch["all_matches"]
    assert switch["cases"]["items"]["properties"]["port"]["x-static"] is True
    assert "x-static" not in switch["cases"]["items"]["properties"]["when"]


def test_a_schema_without_parameters_still_has_properties() -> None:
    schema = LIBRARY.schema(spec_of("flow.no_op"))

    assert schema == {"type": "object", "properties": {}, "additionalProperties": False}


def install(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    point = EntryPoint(name="ext", value=value, group=registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == point.group else [])


@pytest.mark.parametrize("value", [__name__, f"{__name__}:greeter"])
def test_an_extension_names_a_module_or_a_type(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    install(monkeypatch, value)

    found = registry.build()

    assert found.get("ext.greet") is greeter
    assert found.get("flow.if") is spec_of("flow.if")


@pytest.mark.parametrize("value", ["no_such_package.nodes", f"{__name__}:missing", f"{__name__}:names"])
def test_a_broken_extension_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    install(monkeypatch, value)

    with pytest.raises(NodeExtensionBroken, match=value):
        registry.build()

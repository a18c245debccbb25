"""Whatever the validator is given, it answers; what it lets pass compiles and survives a save, and its patches mend."""

import copy
import json
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

from budflow.graph.parse import read_json
from budflow.graph.pin import pin_types
from budflow.graph.plan import compile_plan
from budflow.graph.validate import Checked, check
from budflow.model.problem import WorkflowInvalid
from tests.graph.documents import REGISTRY, at, mended, nested_document, parts, valid_document

WORDS = st.sampled_from(
    [
        *(
            "format",
            "name",
            "nodes",
            "edges",
            "settings",
            "from",
            "to",
            "type",
            "params",
            "retry",
            "bodies",
            "on_error",
        ),
        *(
            "start",
            "check.true",
            "fetch.error",
            "$in",
            "flow.if",
            "flow.switch",
            "http.request",
            "data.set",
            "timezone",
        ),
        *("{{ $json.x }}", "{{ $node.start.json }}", "{{ $node.nope.json }}", "{{ 1 +", "{{ $secrets.x }}", "{{}}"),
        *("$out", "body", "finally", "finaly", "flow.for_each", "flow.try_catch", "flow.parallel", "trigger.manual"),
        *("price", "guard", "each", "{{ $node.price.json }}", "{{ $node.each.json }}", "concurrency_key", "retention"),
        *(
            "condition",
            "cases",
            "values",
            "port",
            "when",
            "mode",
            "by_key",
            "error_output",
            "",
            "[key]",
            "a/b~c",
            "UTC",
        ),
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=4),
    max_leaves=15,
)
RELAXED = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in plain data but the whole."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, inner in inside for found in [(*place, key), *places(inner, (*place, key))]]


@st.composite
def mutants(draw: st.DrawFn) -> Any:
    """A valid document with some places replaced, removed, renamed or swapped."""
    data: Any = draw(st.sampled_from([valid_document, nested_document]))()
    for _ in range(draw(st.integers(1, 4))):
        found = places(data)
        if not found:
            break
        *way, last = draw(st.sampled_from(found))
        holder = at(data, way)
        match draw(st.sampled_from(["replace", "remove", "rename", "swap"])):
            case "replace":
                holder[last] = draw(ANYTHING)
            case "remove":
                del holder[last]
            case "rename" if isinstance(holder, dict):
                holder[draw(WORDS)] = holder.pop(last)
            case _:
                *other, end = draw(st.sampled_from(found))
                value = copy.deepcopy(holder[last])
                if other != way and parts_exist(data, other):
                    at(data, other)[end] = value
    return data


def parts_exist(data: Any, way: list[Any]) -> bool:
    try:
        return isinstance(at(data, way), dict)
    except (LookupError, TypeError, ValueError):
        return False


def assert_sound(data: Any, found: Checked) -> None:
    """What holds of every answer."""
    for problem in found.problems:
        assert problem.code
        assert problem.message.endswith((".", "?", "!", ")"))
        assert problem.hint
        place = parts(problem.path)
        try:
            # What is missing stands in something that is there; what holds it may be missing too.
            at(data, place[: -2 if problem.code in ("params.missing_field", "node.missing_body") else -1])
        except (LookupError, ValueError) as error:
            raise AssertionError(f"{problem} points nowhere") from error
        if problem.patch:
            again = check(mended(data, problem), REGISTRY)
            assert problem not in again.problems
    for step in ("save", "run", "publish"):
        try:
            found.require(step)  # type: ignore[arg-type]  # literals
        except WorkflowInvalid as invalid:
            assert invalid.problems == found.problems
        else:
            assert not found.blocking(step)  # type: ignore[arg-type]  # literals


@given(ANYTHING)
@RELAXED
def test_the_validator_answers_whatever_it_is_given(data: Any) -> None:
    assert_sound(data, check(data, REGISTRY))


@given(st.text() | st.binary() | ANYTHING.map(json.dumps))
@RELAXED
def test_reading_gives_json_or_problems(text: bytes | str) -> None:
    try:
        data = read_json(text)
    except WorkflowInvalid as invalid:
        assert invalid.problems
    else:
        assert json.loads(json.dumps(data)) == data


@given(mutants())
@RELAXED
def test_what_may_run_compiles_and_stays_the_same_once_saved(data: Any) -> None:
    before = copy.deepcopy(data)
    found = check(data, REGISTRY)

    assert_sound(data, found)
    assert repr(data) == repr(before)
    if found.blocking("save"):
        return
    pinned = pin_types(data, REGISTRY)
    stored = json.loads(json.dumps(pinned))
    assert pin_types(stored, REGISTRY) == stored
    again = check(stored, REGISTRY)
    assert [problem.code for problem in again.problems] == [problem.code for problem in found.problems]
    if not found.blocking("run"):
        plan, stored_plan = compile_plan(found.require("run"), REGISTRY), compile_plan(again.require("run"), REGISTRY)
        assert plan.segments == stored_plan.segments
        assert [node.inputs for node in plan.nodes] == [node.inputs for node in stored_plan.nodes]
        assert sorted(member for segment in plan.segments for member in segment.nodes) == list(range(len(plan.nodes)))

"""From bytes to a workflow, or every fault of the shape."""

import json
from typing import Any

import pytest

from budflow.graph.parse import endpoint, parse, read_json
from budflow.model.problem import Problem, WorkflowInvalid
from budflow.model.workflow import DOCUMENT_BYTES_MAX, NESTING_MAX, NODES_MAX, Edge, Endpoint, Retry, Settings
from tests.graph.documents import at, document, mended, parts, valid_document


def problems_of(data: Any) -> list[Problem]:
    with pytest.raises(WorkflowInvalid) as caught:
        parse(data)
    return list(caught.value.problems)


def text_problems(text: bytes | str) -> list[Problem]:
    with pytest.raises(WorkflowInvalid) as caught:
        read_json(text)
    return list(caught.value.problems)


def test_a_whole_document_becomes_a_workflow() -> None:
    workflow = parse(read_json(json.dumps(valid_document())))

    assert list(workflow.graph.nodes)[:3] == ["start", "hook", "check"]
    assert workflow.graph.nodes["fetch"].retry == Retry(tries=3, wait_seconds=0.5)
    assert workflow.graph.nodes["fetch"].position == (10.0, 20.5)
    assert workflow.graph.nodes["fetch"].notes == "Größe ✓"
    assert workflow.graph.edges[4] == Edge(Endpoint("fetch"), Endpoint("pair", "left"))
    assert workflow.settings == Settings(timeout_seconds=60, priority=5)


def test_an_endpoint_without_a_port_means_main() -> None:
    assert endpoint("check") == Endpoint("check", "main")
    assert endpoint("check.true") == Endpoint("check", "true")


def test_every_fault_is_told_at_once_with_its_place_and_a_hint() -> None:
    found = problems_of(
        {
            "format": 2,
            "name": "",
            "nodes": {
                "Fetch Orders": {"type": "http.request"},
                "retry": {"type": 7, "parms": {}, "retry": {"tris": 3, "tries": 0}, "on_error": "stopp"},
                "b": {},
                "c": "flow.if",
            },
            "edges": [{"source": "a", "to": "b c"}, "a > b"],
            "setings": {},
            "settings": {"timezon": "UTC", "priority": "high", "timeout_seconds": 1.5},
        }
    )

    told = {(problem.code, problem.path): problem for problem in found}
    assert set(told) == {
        ("document.invalid_value", "/format"),
        ("document.invalid_value", "/name"),
        ("document.key_malformed", "/nodes/Fetch Orders"),
        ("document.invalid_value", "/nodes/retry/type"),
        ("document.unknown_field", "/nodes/retry/parms"),
        ("document.unknown_field", "/nodes/retry/retry/tris"),
        ("document.invalid_value", "/nodes/retry/retry/tries"),
        ("document.invalid_value", "/nodes/retry/on_error"),
        ("document.missing_field", "/nodes/b/type"),
        ("document.invalid_value", "/nodes/c"),
        ("document.unknown_field", "/edges/0/source"),
        ("document.missing_field", "/edges/0/from"),
        ("document.invalid_value", "/edges/0/to"),
        ("document.invalid_value", "/edges/1"),
        ("document.unknown_field", "/setings"),
        ("document.unknown_field", "/settings/timezon"),
        ("document.invalid_value", "/settings/priority"),
    }
    assert all(problem.message.endswith(".") and problem.hint and problem.blocks == "save" for problem in found)
    assert told["document.invalid_value", "/format"].message == "`format` may not be `2`."
    assert "`fetch_orders`" in told["document.key_malformed", "/nodes/Fetch Orders"].hint
    assert told["document.invalid_value", "/nodes/retry/type"].message == "`type` must be a text, not a number."
    assert told["document.unknown_field", "/nodes/retry/parms"].hint == "Did you mean `params`?"
    assert told["document.unknown_field", "/nodes/retry/retry/tris"].hint == "Remove it: `tries` is already there."
    assert told["document.invalid_value", "/nodes/retry/on_error"].hint.startswith("Did you mean `stop`? Allowed:")
    assert "http.request" in told["document.missing_field", "/nodes/b/type"].hint
    assert told["document.invalid_value", "/nodes/c"].message == "`c` must be an object, not a text."
    assert told["document.unknown_field", "/edges/0/source"].hint == "It is called `from` here."
    assert "`key.port`" in told["document.invalid_value", "/edges/0/to"].hint
    assert told["document.unknown_field", "/setings"].hint == "Remove it: `settings` is already there."
    assert told["document.unknown_field", "/settings/timezon"].hint == "Did you mean `timezone`?"
    assert told["document.invalid_value", "/settings/priority"].hint.startswith("Write a whole number.")


@pytest.mark.parametrize(
    ("change", "path", "to"),
    [
        (("edges", "edgs"), "/edgs", "edges"),
        (("nodes/start/type", "typ"), "/nodes/start/typ", "type"),
        (("nodes/fetch/retry/tries", "try_s"), "/nodes/fetch/retry/try_s", "tries"),
        (("nodes/fetch/timeout_seconds", "timeoutSeconds"), "/nodes/fetch/timeoutSeconds", "timeout_seconds"),
        (("edges/3/from", "form"), "/edges/3/form", "from"),
        (("settings/timezone", "time_zone"), "/settings/time_zone", "timezone"),
    ],
)
def test_a_misspelt_name_is_mended_by_its_patch_at_every_level(change: tuple[str, str], path: str, to: str) -> None:
    data = valid_document()
    *holder, name = change[0].split("/")
    inner = at(data, holder)
    inner[change[1]] = inner.pop(name)

    found = next(problem for problem in problems_of(data) if problem.code == "document.unknown_field")

    assert (found.path, found.hint) == (path, f"Did you mean `{to}`?")
    assert parse(mended(data, found)) == parse(valid_document())


def test_a_wrong_choice_is_mended_by_its_patch() -> None:
    data = document({"a": {"type": "flow.no_op", "on_error": "error-output"}}, ["start > a"])
    [found] = problems_of(data)

    assert parse(mended(data, found)).graph.nodes["a"].on_error == "error_output"


@pytest.mark.parametrize("key", ["A", "1a", "", "a-b", "a b", "ä", "a" * 65, "$in", "a.b", "a\n", "__proto__", "[key]"])
def test_a_key_that_expressions_could_not_read_is_refused(key: str) -> None:
    [found] = problems_of(document({key: {"type": "flow.no_op"}}))

    assert found.code == "document.key_malformed"
    assert parts(found.path) == ["nodes", key]


def test_the_longest_key_is_accepted() -> None:
    assert "a" * 64 in parse(document({"a" * 64: {"type": "flow.no_op"}})).graph.nodes


def test_keys_that_look_like_fields_are_only_keys() -> None:
    found = problems_of(
        document({"settings": {"type": "flow.no_op", "retry": {"backof": "fixed"}}, "retry": {"typ": 1}})
    )

    assert {problem.path: problem.hint for problem in found if problem.code == "document.unknown_field"} == {
        "/nodes/settings/retry/backof": "Did you mean `backoff`?",
        "/nodes/retry/typ": "Did you mean `type`?",
    }


@pytest.mark.parametrize("data", [None, [], "x", 1, True, [{"format": 1}]])
def test_what_is_no_object_is_no_document(data: Any) -> None:
    [found] = problems_of(data)

    assert (found.code, found.path) == ("document.malformed", "")
    assert '"format": 1' in found.hint


def test_an_empty_object_lacks_what_every_document_has() -> None:
    assert [problem.path for problem in problems_of({})] == ["/format", "/name", "/nodes"]


@pytest.mark.parametrize("text", ["", " ", "{", '{"a": }', "{'a': 1}", "nul", "[1,]", b"\xff\xfe\xff", '"\\x"'])
def test_what_is_not_json_is_refused(text: bytes | str) -> None:
    [found] = text_problems(text)

    assert (found.code, found.path) == ("document.malformed", "")


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_constants_that_are_not_json_are_refused(constant: str) -> None:
    [found] = text_problems(f'{{"a": {constant}}}')

    assert found.code == "document.malformed"
    assert constant in found.message


@pytest.mark.parametrize("number", ["1e999", "-1e999"])
def test_a_number_that_overflows_is_refused_with_its_place(number: str) -> None:
    [found] = text_problems(f'{{"a": [0, {number}]}}')

    assert (found.code, found.path) == ("document.not_json", "/a/1")


@pytest.mark.parametrize("digits", [str(2**64), str(-(2**63) - 1), "9" * 5000, "-" + "9" * 1_000_000])
def test_an_integer_past_64_bits_is_refused_with_its_place(digits: str) -> None:
    [found] = text_problems(f'{{"a": {{"b/c": {digits}}}}}')

    assert (found.code, found.path) == ("document.number_too_large", "/a/b~1c")


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 0])
def test_an_integer_of_64_bits_is_kept(number: int) -> None:
    assert read_json(str(number)) == number


def test_half_a_surrogate_pair_is_refused_as_value_and_in_keys() -> None:
    assert [problem.path for problem in text_problems('{"a": "\\ud800", "b": {"\\udc00": 1}}')] == ["/a", "/b"]
    assert [problem.path for problem in text_problems('"\\udead"')] == [""]
    assert read_json('"\\ud83d\\ude00"') == "😀"


@pytest.mark.parametrize("value", [(1,), {1}, b"x", object(), float("nan"), float("inf"), 2**64, "\ud800", {1: 2}])
def test_plain_data_that_json_cannot_hold_is_refused(value: Any) -> None:
    [found] = problems_of(document({"a": {"type": "flow.no_op", "params": {"x": [value]}}}))

    assert found.path == "/nodes/a/params/x/0"


def test_every_key_that_stands_twice_is_told_with_its_place() -> None:
    found = text_problems('{"a": 1, "b": [{"c/d": 1, "c/d": 2}], "a": {"e~": 1, "e~": 1, "e~": 1}, "f": 0}')

    assert {(problem.code, problem.path) for problem in found} == {
        ("document.duplicate_key", "/a"),
        ("document.duplicate_key", "/b/0/c~1d"),
        ("document.duplicate_key", "/a/e~0"),
    }


def test_the_size_is_measured_in_bytes_and_not_in_characters() -> None:
    wide = '"' + "€" * (DOCUMENT_BYTES_MAX // 3) + '"'
    assert len(wide) < DOCUMENT_BYTES_MAX < len(wide.encode())

    assert [problem.code for problem in text_problems(wide)] == ["document.too_large"]
    assert [problem.code for problem in text_problems(wide.encode())] == ["document.too_large"]
    assert read_json('"' + "x" * (DOCUMENT_BYTES_MAX - 2) + '"')


def test_the_size_holds_for_plain_data_too() -> None:
    [found] = problems_of(document(description="x" * (5 * 1024 * 1024)))

    assert found.code == "document.too_large"


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000]
)
def test_a_depth_bomb_is_a_problem_and_no_crash(text: str) -> None:
    [found] = text_problems(text)

    assert found.code in ("document.too_deep", "document.malformed")


def test_plain_data_that_is_too_deep_is_a_problem() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]

    [found] = problems_of(document({"a": {"type": "x", "params": {"deep": deep}}}))

    assert found.code == "document.too_deep"


def test_the_depth_that_is_allowed_is_parsed() -> None:
    assert read_json("[" * 100 + "]" * 100)
    [found] = text_problems("[" * 101 + "]" * 101)
    assert found.code == "document.too_deep"


def nested(levels: int, leaves: int = 1) -> dict[str, Any]:
    """A document whose bodies stand `levels` deep in one another, with `leaves` nodes in the innermost."""
    inner: dict[str, Any] = {f"leaf{n}": {"type": "flow.no_op"} for n in range(leaves)}
    for level in range(levels):
        inner = {f"n{level}": {"type": "flow.for_each", "bodies": {"body": {"nodes": inner, "edges": []}}}}
    return {"format": 1, "name": "deep", "nodes": inner}


def test_bodies_may_stand_sixteen_levels_deep() -> None:
    assert parse(nested(NESTING_MAX)).graph.nodes

    [found] = problems_of(nested(NESTING_MAX + 1))
    assert (found.code, found.path) == ("document.too_deep", "/nodes")
    assert "17 levels" in found.message


def test_nodes_of_bodies_count_too() -> None:
    assert parse(nested(2, leaves=NODES_MAX - 2)).graph.nodes

    [found] = problems_of(nested(2, leaves=NODES_MAX - 1))
    assert found.code == "document.too_many_nodes"
    assert "501" in found.message


def test_bodies_without_nodes_count_too() -> None:
    bodies: dict[str, Any] = {f"b{number}": {"nodes": {}} for number in range(NODES_MAX + 1)}

    [found] = problems_of(document({"a": {"type": "flow.parallel", "bodies": bodies}}))

    assert (found.code, found.path) == ("document.too_many_bodies", "/nodes")


def test_a_key_is_unique_in_the_whole_workflow() -> None:
    data = document({"outer": {"type": "x", "bodies": {"body": {"nodes": {"start": {"type": "flow.no_op"}}}}}})

    [found] = problems_of(data)

    assert (found.code, found.path) == ("node.duplicate_key", "/nodes/outer/bodies/body/nodes/start")


@pytest.mark.parametrize("name", ["two\nlines", "nul\x00", "x" * 201])
def test_a_name_is_one_line(name: str) -> None:
    [found] = problems_of({**document(), "name": name})

    assert found.path == "/name"


@pytest.mark.parametrize("position", [[1], [1, 2, 3], ["1", 2], [True, 1], {"x": 1}])
def test_a_position_is_two_numbers(position: Any) -> None:
    assert problems_of(document({"a": {"type": "flow.no_op", "position": position}}))


def test_names_in_any_script_are_kept() -> None:
    assert parse({**document(), "name": "注文 / größe 😀"}).name == "注文 / größe 😀"

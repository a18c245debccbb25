"""Expressions tried and completed over HTTP, against an execution's items or data that is brought along."""

from typing import Any

import pytest

from tests.http_server import HttpServer, workflow

EVALUATE, COMPLETE = "/api/v1/expressions/evaluate", "/api/v1/expressions/complete"
ORDERS = workflow(
    {
        "start": ("trigger.manual", {}),
        "double": ("data.set", {"values": {"twice": "{{ $json.n * 2 }}"}}),
        "each": ("flow.for_each", {"batch_size": 2}),
    },
    ("start", "double"),
    ("double", "each"),
)
ORDERS["nodes"]["each"]["bodies"] = {
    "body": {
        "nodes": {"inner": {"type": "data.set", "params": {"values": {"seen": True}}}},
        "edges": [{"from": "$in", "to": "inner"}, {"from": "inner", "to": "$out"}],
    }
}
ITEMS = [{"n": 1, "first-name": "Ada"}, {"n": 2}, {"n": 3}]


async def evaluated(server: HttpServer, expression: str, **context: Any) -> dict[str, Any]:
    answer = await server.client.post(EVALUATE, json={"expression": expression, **context})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def value(server: HttpServer, expression: str, **context: Any) -> Any:
    found = await evaluated(server, expression, **context)
    assert found["error"] is None, found
    return found["value"]


async def labels(server: HttpServer, marked: str, **context: Any) -> list[str]:
    """What may stand at the `|` in the text."""
    offset = marked.index("|")
    answer = await server.client.post(COMPLETE, json={"text": marked.replace("|", "", 1), "offset": offset, **context})
    assert answer.status_code == 200, answer.text
    return [one["label"] for one in answer.json()["completions"]]


async def run_of(server: HttpServer) -> str:
    """An execution that has ended."""
    workflow_id = await server.create(ORDERS)
    path = f"/api/v1/workflows/{workflow_id}/executions"
    answer = await server.client.post(path, json={"items": ITEMS, "wait_seconds": 30})
    execution_id: str = answer.json()["execution"]["id"]
    await server.ended(execution_id)
    return execution_id


@pytest.mark.parametrize(
    ("expression", "expected", "kind"),
    [
        ("$json.n + 1", 3, "a number"),
        ("{{ $json.n + 1 }}", 3, "a number"),
        ("n is {{ $json.n }}!", "n is 2!", "a text"),
        ("$node.fetch.json.id", 8, "a number"),
        ("$node.fetch.items.length()", 2, "a number"),
        ("$vars.rate", 0.5, "a number"),
        ("$now.year()", 2026, "a number"),
        ("len(uuid())", 36, "a number"),
        ("$today", "2026-02-03T00:00:00+01:00", "a datetime"),
        ("{'a': {1}}", {"a": [1]}, "a dict"),
    ],
)
async def test_data_that_is_brought_along_is_seen(
    server: HttpServer, expression: str, expected: object, kind: str
) -> None:
    data = {
        "items": [{"n": 1}, {"n": 2}],
        "nodes": {"fetch": [{"id": 7}, {"id": 8}]},
        "names": {"vars": {"rate": 0.5}, "now": "2026-02-03T04:05:06+01:00"},
    }

    found = await evaluated(server, expression, data=data, item_index=1)

    assert (found["value"], found["type"], found["error"]) == (expected, kind, None)


async def test_what_it_reads_is_told(server: HttpServer) -> None:
    found = await evaluated(server, "$json.a?.b or $node.fetch.json.id", data={"items": [{"a": None}]})

    assert found["uses"] == ["$json", "$node.fetch"]


async def test_a_place_is_told_once_and_in_the_text_as_it_was_given(server: HttpServer) -> None:
    found = await evaluated(server, "$json.a ? 1 : 2", data={"items": [{"a": None}]})

    assert found["error"]["message"] == "`?` has no meaning here."
    assert found["error"]["position"]["column"] == 9


async def test_all_items_are_made_once_for_all_that_read_them(server: HttpServer) -> None:
    data = {"items": [{"n": n} for n in range(1_000)], "nodes": {"fetch": [{"n": n} for n in range(20_000)]}}
    for read in ("$input.all", "$input.items", "$node.fetch.all", "$node.fetch.items", "$node.fetch.last"):
        assert await value(server, f"len([1 for x in range(2000) if {read}])", data=data) == 2_000


@pytest.mark.parametrize(
    ("expression", "code", "place"),
    [
        ("$json.a +", "expression.invalid", None),
        ("$jsn", "expression.invalid", (0, 1, 1)),
        ("1 +\n  $jsn", "expression.invalid", (6, 2, 3)),
        ("ab {{ $jsn }}", "expression.invalid", (6, 1, 7)),
        ("{{ 1 }} {{ $json.zzz }}", "expression.failed", (11, 1, 12)),
        ("9 ** 9 ** 9", "expression.budget_exceeded", (0, 1, 1)),
        ("$secrets.auth.token", "expression.failed", (0, 1, 1)),
        ("$item + 1", "expression.invalid", (0, 1, 1)),
    ],
)
async def test_an_error_has_a_code_a_hint_and_a_place(
    server: HttpServer, expression: str, code: str, place: tuple[int, int, int] | None
) -> None:
    found = await evaluated(server, expression, data={"items": [{"a": 1}]})

    error = found["error"]
    assert (found["value"], error["code"]) == (None, code)
    assert error["message"] and error["hint"]
    if place is not None:
        assert tuple(error["position"].values()) == place


@pytest.mark.parametrize("expression", ["'\\ud800'", "{'\\ud800': 1}", "$json['\\ud800']", "$node['\\ud800'].json"])
async def test_half_a_character_is_no_value_and_breaks_no_answer(server: HttpServer, expression: str) -> None:
    found = await evaluated(server, expression, data={"items": [{}]})

    assert found["error"]["code"] == "expression.failed"
    assert await labels(server, "{{ {'\\ud800': 1, 'a': 1}.| }}", data={}) != []


@pytest.mark.parametrize(
    ("node", "expression", "expected"),
    [
        ("double", "$json.n, $item_index, $item.index", [2, 1, 1]),
        ("double", "$input.first.json.n, $input.last().json.n, $input.all().length()", [1, 3, 3]),
        ("double", "$trigger.items.length(), $trigger.json.n", [3, 2]),
        ("each", "$json.twice, $node.double.json.twice, $node.start.json.n", [4, 4, 2]),
        ("each", "$node.double.params['values'].twice", "{{ $json.n * 2 }}"),
        ("each", "$node.start.first().json.n, $node.start.last.json.n, $node.start.runs[0].items.length()", [1, 3, 3]),
        ("each", "$node.double.error is None", True),
        ("each", "$execution.workflow_version, $workflow.name", [1, "Test"]),
        ("each", "$batch.size, $batch.index", [3, 0]),
    ],
)
async def test_the_items_that_reached_a_node_of_an_execution_are_seen(
    server: HttpServer, node: str, expression: str, expected: object
) -> None:
    execution_id = await run_of(server)

    assert await value(server, expression, execution_id=execution_id, node=node, item_index=1) == expected


@pytest.mark.parametrize(
    ("node", "expression", "expected"),
    [
        ("inner", "$json.n, $item_index", [2, 1]),
        ("inner[1]", "$json.n, $run_index, $batch.size, $items.length()", [3, 1, 1, 1]),
        ("inner[1]", "$node.double.json.twice, $node.start.items.length()", [6, 3]),
        ("inner[7]", "$items", []),
    ],
)
async def test_what_a_round_of_a_body_saw_is_seen(
    server: HttpServer, node: str, expression: str, expected: object
) -> None:
    execution_id = await run_of(server)
    index = 0 if node == "inner[1]" else 1

    assert await value(server, expression, execution_id=execution_id, node=node, item_index=index) == expected


async def test_an_unknown_node_or_execution_is_refused(server: HttpServer) -> None:
    execution_id = await run_of(server)
    for context, code in (
        ({"execution_id": execution_id, "node": "doubel"}, "execution.node_not_found"),
        ({"execution_id": "exe_none", "node": "double"}, "execution.not_found"),
        ({"execution_id": execution_id}, "expression.context_incomplete"),
        ({"node": "double"}, "expression.context_incomplete"),
        ({"execution_id": execution_id, "node": "double", "item_index": 3}, "expression.item_not_found"),
        ({"data": {"items": [{}]}, "item_index": 1}, "expression.item_not_found"),
    ):
        answer = await server.client.post(EVALUATE, json={"expression": "1", **context})
        assert answer.json()["code"] == code


@pytest.mark.parametrize(
    ("marked", "among", "first"),
    [
        ("{{ $js| }}", ["$json"], "$json"),
        ("{{ $| }}", ["$json", "$node", "$now"], "$json"),
        ("{{ $json.| }}", ["n", "first-name", "get"], None),
        ("{{ $json.fi| }}", [], None),
        ("{{ $json.name.up| }}", ["upper"], "upper"),
        ("{{ $json.name.upper().lo| }}", ["lower"], None),
        ("{{ $json.rows[0].| }}", ["k"], "k"),
        ('{{ $json["fir|"] }}', ["first-name"], "first-name"),
        ("{{ $node.| }}", ["fetch"], "fetch"),
        ("{{ $node.fetch.json.| }}", ["id"], "id"),
        ("{{ $item.| }}", ["json", "index", "binary"], "json"),
        ("{{ $input.fi| }}", ["first"], "first"),
        ("{{ $now.ye| }}", ["year"], "year"),
        ("{{ le| }}", ["len"], "len"),
        ("$json.name.up|", ["upper"], "upper"),
        ("{{ $json. }} and {{ $json.n| }}", ["n", "name"], "n"),
        ("{{ 'a]'.up| }}", ["upper"], "upper"),
        ("{{ [1, 2].su| }}", ["sum"], None),
    ],
)
async def test_what_may_stand_at_the_cursor_is_told(
    server: HttpServer, marked: str, among: list[str], first: str | None
) -> None:
    data = {
        "items": [{"n": 1, "name": "Ada", "first-name": "Ada", "rows": [{"k": 1}]}, {"n": 2, "late": 1}],
        "nodes": {"fetch": [{"id": 7}]},
    }

    found = await labels(server, marked, data=data)

    assert set(among) <= set(found)
    assert first is None or found[0] == first


@pytest.mark.parametrize(
    "marked", ["te|xt", "a {{ 1 }} b.|", "{{ 'a.|' }}", "{{ 1.| }}", "{{ $secrets.| }}", "{{ .| }}"]
)
async def test_where_nothing_may_stand_nothing_is_told(server: HttpServer, marked: str) -> None:
    found = await labels(server, marked, data={"items": [{"n": 1}]})

    assert [label for label in found if label in ("n", "$json")] == []


async def test_fields_are_those_of_the_execution(server: HttpServer) -> None:
    execution_id = await run_of(server)

    assert (await labels(server, "{{ $json.t| }}", execution_id=execution_id, node="each"))[0] == "twice"
    assert (await labels(server, "{{ $node.| }}", execution_id=execution_id, node="each"))[:2] == ["start", "double"]


async def test_a_key_that_is_no_name_takes_the_place_of_the_dot(server: HttpServer) -> None:
    answer = await server.client.post(
        COMPLETE, json={"text": "{{ $json. }}", "offset": 9, "data": {"items": [{"a b": 1, "c": 2}]}}
    )

    found = answer.json()
    assert found["start"] == 8
    assert [one["insert"] for one in found["completions"]][:2] == ['["a b"]', ".c"]

"""What the `$names` of a node's expressions stand for, in executions that really run."""

from typing import Any

import pytest

from tests.http_server import HttpServer, open_http_server, workflow

VARS = {"rate": 0.5, "limits": {"max": 10}}


async def outcome(
    expression: str, *, items: list[dict[str, Any]] | None = None, server_settings: Any = None, **settings: Any
) -> list[Any]:
    """What an expression in the second node gives for each item, or the code of its failure."""
    nodes = {
        "start": ("trigger.manual", {}),
        "first": ("data.set", {"values": {"twice": "{{ $json.n * 2 }}"}}),
        "it": ("data.set", {"values": {"x": expression}, "keep": False}),
    }
    document = workflow(nodes, ("start", "first"), ("first", "it"), **settings)
    async with open_http_server(expression_vars=VARS, expression_env=("BUD_REGION", "BUD_UNSET")) as server:
        return await _run(server, document, items or [{"n": 1}, {"n": 2}, {"n": 3}])


async def _run(server: HttpServer, document: dict[str, Any], items: list[dict[str, Any]]) -> list[Any]:
    workflow_id = await server.create(document)
    answer = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions", json={"items": items})
    detail = await server.ended(answer.json()["execution"]["id"])
    failed = [node["failure"] for node in detail["nodes"] if node["failure"]]
    if failed:
        return [failed[0]["code"], failed[0]["message"], failed[0]["hint"]]
    return [item["json"]["x"] for item in detail["result"]["items"]]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUD_REGION", "north")
    monkeypatch.setenv("BUD_SECRET", "hidden")


async def test_a_concurrency_key_reads_what_the_settings_of_the_server_let_it() -> None:
    assert await outcome("{{ $json.n }}", concurrency_key="{{ $vars.rate }}/{{ $env.BUD_REGION }}") == [1, 2, 3]


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ("{{ $item_index }}", [0, 1, 2]),
        ("{{ $item.index }}/{{ $item.json.n }}", ["0/1", "1/2", "2/3"]),
        ("{{ $item.error }}", [None] * 3),
        ("{{ $binary }}", [{}] * 3),
        ("{{ $items.pluck('n') }}", [[1, 2, 3]] * 3),
        ("{{ $input.first.json.n + $input.last().json.n }}", [4] * 3),
        ("{{ $input.item.json.n }}", [1, 2, 3]),
        ("{{ [x.json.twice for x in $input.all()] }}", [[2, 4, 6]] * 3),
        ("{{ $input.items.length() }}", [3] * 3),
        ("{{ $node.start.item.json.n }}", [1, 2, 3]),
        ("{{ $node.start.first.json.n }}", [1] * 3),
        ("{{ $node.start.last().index }}", [2] * 3),
        ("{{ $node.start.all.length() }}", [3] * 3),
        ("{{ $node.start.error }}", [None] * 3),
        ("{{ $node.first.params['values'].keys() }}", [["twice"]] * 3),
        ("{{ $node.first.runs[0].items.length() }}", [3] * 3),
        ("{{ $trigger.json.n }}", [1, 2, 3]),
        ("{{ $trigger.first.json.n }}", [1] * 3),
        ("{{ $vars.rate }}", [0.5] * 3),
        ("{{ $vars.limits?.max }}", [10] * 3),
        ("{{ $env.BUD_REGION }}", ["north"] * 3),
        ("{{ $env?.BUD_UNSET }}", [None] * 3),
        ("{{ $env?.BUD_SECRET }}", [None] * 3),
        ("{{ $execution.mode }} {{ $execution.workflow_version }}", ["api 1"] * 3),
        ("{{ $execution.started_at <= $now }}", [True] * 3),
        ("{{ $execution.started_at.year() == $now.year() }}", [True] * 3),
        ("{{ $today <= $now and $now - $today < duration(days=1, hours=1) }}", [True] * 3),
        ("{{ [$today.hour(), $today.minute(), $today.second()] }}", [[0, 0, 0]] * 3),
        ("{{ [$batch.index, $batch.size, $run_index] }}", [[0, 3, 0]] * 3),
    ],
)
async def test_a_name_stands_for_what_its_description_says(expression: str, values: list[Any]) -> None:
    assert await outcome(expression) == values


async def test_the_day_is_that_of_the_workflows_time_zone() -> None:
    [zone] = set(await outcome("{{ str($today)[-6:] }}", timezone="Asia/Kolkata"))

    assert zone == "+05:30"


@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        ("{{ $node.start.jsno }}", 'no "jsno"', 'Did you mean "json"?'),
        ("{{ $node.start.json.m }}", "$node.start.json.m", "n"),
        ("{{ $vars.rte }}", 'no "rte"', 'Did you mean "rate"?'),
        ("{{ $env.BUD_SECRET }}", 'no "BUD_SECRET"', "expression_env"),
        ("{{ $item.n }}", 'no "n"', "json"),
    ],
)
async def test_a_missing_key_is_named_with_what_may_have_been_meant(expression: str, message: str, hint: str) -> None:
    code, told, advice = await outcome(expression)

    assert code == "expression.failed"
    assert message in told
    assert hint in advice


@pytest.mark.parametrize("expression", ["{{ $item }}", "{{ $item + 1 }}", "row {{ $item }}"])
async def test_who_takes_the_item_for_its_index_is_told(expression: str) -> None:
    nodes = {"start": ("trigger.manual", {}), "it": ("data.set", {"values": {"x": expression}})}
    async with open_http_server() as server:
        answer = await server.client.post(
            "/api/v1/workflows/validate", json={"document": workflow(nodes, ("start", "it"))}
        )

    [problem] = answer.json()["problems"]
    assert (problem["code"], problem["blocks"]) == ("expression.invalid", "run")
    assert "$item_index" in problem["hint"]


@pytest.mark.parametrize("light", [True, False])
async def test_in_a_body_the_round_and_what_is_outside_can_be_read(light: bool) -> None:
    values = {
        "x": "{{ [$batch.index, $batch.size, $batch.items, $run_index, $input.first.json.n, $trigger.items.length(), "
        "$node.start.params, $vars.rate, $node.start.item.json.n] }}"
    }
    inner: dict[str, Any] = {"inner": {"type": "data.set", "params": {"values": values, "keep": False}}}
    edges = [{"from": "$in", "to": "inner"}, {"from": "inner", "to": "$out"}]
    if not light:  # Then each round is settled by itself.
        inner["wait"] = {"type": "flow.wait", "params": {"mode": "duration", "seconds": 0.001}}
        edges = [{"from": "$in", "to": "wait"}, {"from": "wait", "to": "inner"}, {"from": "inner", "to": "$out"}]
    document = workflow(
        {"start": ("trigger.manual", {}), "each": ("flow.for_each", {"batch_size": 2})}, ("start", "each")
    )
    document["nodes"]["each"]["bodies"] = {"body": {"nodes": inner, "edges": edges}}
    async with open_http_server(expression_vars=VARS) as server:
        found = await _run(server, document, [{"n": 1}, {"n": 2}, {"n": 3}])

    first, third = [0, 2, [{"n": 1}, {"n": 2}], 0, 1, 3, {}, 0.5], [1, 1, [{"n": 3}], 1, 3, 3, {}, 0.5]
    assert found == [[*first, 1], [*first, 2], [*third, 3]]

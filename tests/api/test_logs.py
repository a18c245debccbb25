"""The logs of an execution through the HTTP API: in order, filtered, page by page, and as they come."""

import asyncio
from typing import Any

import orjson
import pytest

from budflow.execution import node_log
from tests.api.test_events import parse
from tests.exchange import Exchange
from tests.gate import Gate
from tests.http_server import KEY, HttpServer, owner_key_of, workflow

START: tuple[str, dict[str, Any]] = ("trigger.manual", {})
NOTE = ("flow.log", {"message": "Order {{ $json.n }}", "fields": {"twice": "{{ $json.n * 2 }}"}})


async def run(server: HttpServer, document: dict[str, Any], items: Any = ({},), wait_seconds: float = 10) -> str:
    workflow_id = await server.create(document)
    body = {"items": list(items), "wait_seconds": wait_seconds}
    started = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions", json=body)
    execution_id: str = started.json()["execution"]["id"]
    return execution_id


async def logs(server: HttpServer, execution_id: str, **params: Any) -> dict[str, Any]:
    answer = await server.client.get(f"/api/v1/executions/{execution_id}/logs", params=params)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def told(page: dict[str, Any]) -> list[tuple[str, str | None, str]]:
    return [(line["level"], line["node"], line["message"]) for line in page["lines"]]


async def test_what_nodes_and_engine_logged_is_told_in_order(server: HttpServer) -> None:
    execution_id = await run(server, workflow({"start": START, "note": NOTE}, ("start", "note")), [{"n": 1}, {"n": 2}])

    page = await logs(server, execution_id)
    begun, first, second, ended = page["lines"]
    assert begun["message"].startswith("Begun by run_")
    assert {key: first[key] for key in ("level", "source", "node", "item", "attempt", "message", "fields")} == {
        "level": "info",
        "source": "node",
        "node": "note",
        "item": 0,
        "attempt": 1,
        "message": "Order 1",
        "fields": {"twice": 2},
    }
    assert (second["item"], second["message"]) == (1, "Order 2")
    assert (ended["source"], ended["node"], ended["message"]) == ("engine", None, "Succeeded")
    assert [line["at"] for line in page["lines"]] == sorted(line["at"] for line in page["lines"])
    assert page["next_cursor"] is None


async def test_each_attempt_of_a_request_has_a_line_without_path_query_and_bodies(
    server: HttpServer, gate: Gate
) -> None:
    gate.release.set()
    ask = ("http.request", {"url": f"{gate.url}secret/path?token=in-the-query", "headers": {"X-Key": "in-a-header"}})
    execution_id = await run(server, workflow({"start": START, "ask": ask}, ("start", "ask")))

    page = await logs(server, execution_id, node="ask")
    [line] = [line for line in page["lines"] if line["source"] == "node"]
    assert line["message"] == "GET 127.0.0.1: 200 OK"
    assert line["fields"].keys() == {"status", "duration_ms"}
    text = orjson.dumps(page).decode()
    assert "in-the-query" not in text
    assert "in-a-header" not in text
    assert "secret/path" not in text


async def test_retries_and_failures_have_the_engines_lines(server: HttpServer) -> None:
    ask = ("http.request", {"url": "http://127.0.0.1:1/"})
    document = workflow({"start": START, "ask": ask}, ("start", "ask"))
    document["nodes"]["ask"]["retry"] = {"tries": 2, "wait_seconds": 0.001, "jitter": False}
    execution_id = await run(server, document)

    lines = (await logs(server, execution_id, level="warning"))["lines"]
    assert [(line["source"], line["level"], line["attempt"]) for line in lines] == [
        ("engine", "warning", None),
        ("node", "warning", 1),
        ("node", "warning", 2),
        ("engine", "error", None),
        ("engine", "error", None),
    ]
    assert lines[0]["fields"] == {"tries": 1, "failed": 1, "delay_seconds": 0.001, "code": "http.connect_failed"}
    assert lines[3]["fields"] == {"code": "http.connect_failed"}
    assert lines[4]["message"].startswith("Failed: ")


async def test_items_that_failed_and_pass_on_are_told(server: HttpServer) -> None:
    document = workflow({"start": START, "ask": ("http.request", {"url": "http://127.0.0.1:1/"})}, ("start", "ask"))
    document["nodes"]["ask"]["on_error"] = "error_output"
    execution_id = await run(server, document, [{}, {}])

    lines = (await logs(server, execution_id, level="warning", node="ask"))["lines"]
    assert lines[-1]["fields"] == {"failed": 2, "port": "error", "code": "http.connect_failed"}


async def test_a_log_is_read_page_by_page_by_level_and_by_time(server: HttpServer) -> None:
    items = [{"n": number} for number in range(10)]
    execution_id = await run(server, workflow({"start": START, "note": NOTE}, ("start", "note")), items)
    whole = (await logs(server, execution_id, level="debug"))["lines"]

    found, cursor = [], None
    while True:
        page = await logs(server, execution_id, level="debug", limit=3, **({"cursor": cursor} if cursor else {}))
        found += page["lines"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert len(page["lines"]) == 3
    assert found == whole
    assert len(whole) > len((await logs(server, execution_id))["lines"]) == 12
    behind = await logs(server, execution_id, cursor=whole[-2]["id"], level="debug")
    assert behind["lines"] == whole[-1:]
    assert (await logs(server, execution_id, after="2999-01-01T00:00:00Z"))["lines"] == []
    assert (await logs(server, execution_id, after="2000-01-01T00:00:00Z", level="debug"))["lines"] == whole


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_lines_of_a_loop_that_only_computes_name_their_round(server: HttpServer, concurrency: int) -> None:
    each = {
        "type": "flow.for_each",
        "params": {"items": "{{ [1, 2, 3, 4] }}", "concurrency": concurrency},
        "bodies": {
            "body": {
                "nodes": {"note": {"type": "flow.log", "params": {"message": "{{ $json.value }}"}}},
                "edges": [{"from": "$in", "to": "note"}, {"from": "note", "to": "$out"}],
            }
        },
    }
    document = workflow({"start": START, "each": ("flow.no_op", {})}, ("start", "each"))
    document["nodes"]["each"] = each
    execution_id = await run(server, document)

    lines = (await logs(server, execution_id, node="note"))["lines"]
    assert sorted((line["node"], line["message"]) for line in lines) == [(f"note[{n}]", f"{n + 1}") for n in range(4)]
    [second] = (await logs(server, execution_id, node="note[1]"))["lines"]
    assert second["message"] == "2"


async def test_lines_come_while_the_node_runs(server: HttpServer, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_log, "FLUSH_SECONDS", 0.02)
    url = "{{ $json.url }}"
    document = workflow({"start": START, "ask": ("http.request", {"url": url})}, ("start", "ask"))
    document["nodes"]["ask"]["on_error"] = "continue"
    execution_id = await run(server, document, [{"url": "http://127.0.0.1:1/"}, {"url": gate.url}], wait_seconds=0)
    shown = {"Host": "localhost", KEY: f"Bearer {owner_key_of(server.runtime)}"}
    path = f"/api/v1/executions/{execution_id}/logs?follow=true&level=warning"
    exchange = Exchange(server.app, "GET", path, shown)
    assert await exchange.status() == 200
    async with asyncio.timeout(5):
        frame = parse((await exchange.chunk()).decode())[0]
    assert frame["event"] == "log"
    first = orjson.loads(frame["data"])
    assert (first["item"], first["source"], first["id"]) == (0, "node", frame["id"])

    gate.release.set()
    [frame] = parse((await exchange.chunk()).decode())
    last = orjson.loads(frame["data"])
    assert (last["source"], last["fields"]["failed"]) == ("engine", 1)
    again = await server.client.get(
        f"/api/v1/executions/{execution_id}/logs?follow=true&level=warning", headers={"Last-Event-ID": first["id"]}
    )
    assert [orjson.loads(frame["data"]) for frame in parse(again.text)] == [last]


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"cursor": "garbage"}, 422, "execution.log_cursor_invalid"),
        ({"cursor": "99999999999999.0"}, 422, "execution.log_cursor_invalid"),
        ({"cursor": "1.²"}, 422, "execution.log_cursor_invalid"),
        ({"cursor": "1" * 40}, 422, "request.invalid"),
        ({"level": "loud"}, 422, "request.invalid"),
        ({"after": "yesterday"}, 422, "request.invalid"),
        ({"limit": 0}, 422, "request.invalid"),
        ({"node": "nonexistent"}, 404, "execution.node_not_found"),
        ({"node": "note[1][2]"}, 404, "execution.node_not_found"),
        ({"node": "\ud7ff' OR 1=1", "follow": True}, 404, "execution.node_not_found"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    server: HttpServer, params: dict[str, Any], status: int, code: str
) -> None:
    execution_id = await run(server, workflow({"start": START, "note": NOTE}, ("start", "note")), [{"n": 1}])

    answer = await server.client.get(f"/api/v1/executions/{execution_id}/logs", params=params)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_an_execution_that_nobody_knows_has_no_log(server: HttpServer) -> None:
    answer = await server.client.get("/api/v1/executions/exe_unknown/logs")

    assert (answer.status_code, answer.json()["code"]) == (404, "execution.not_found")


async def test_a_million_lines_leave_a_small_journal(server: HttpServer) -> None:
    split = ("data.split_out", {"field": "many"})
    note = ("flow.log", {"message": "{{ 'x' * 1000 }}"})
    document = workflow({"start": START, "split": split, "note": note}, ("start", "split"), ("split", "note"))
    execution_id = await run(server, document, [{"many": [{}] * 3_000}], wait_seconds=30)

    lines = (await logs(server, execution_id, limit=1000, node="note"))["lines"]
    cursor = lines[-1]["id"]
    [last] = (await logs(server, execution_id, node="note", cursor=cursor))["lines"]
    assert (last["level"], last["fields"]) == ("warning", {"dropped": 2_000})


async def test_a_retry_begins_with_an_empty_log(server: HttpServer) -> None:
    stop = ("flow.stop_and_error", {"message": "No stock."})
    document = workflow({"start": START, "note": NOTE, "stop": stop}, ("start", "note"), ("note", "stop"))
    execution_id = await run(server, document, [{"n": 1}])
    again = await server.client.post(f"/api/v1/executions/{execution_id}/retry", json={})
    retried = again.json()["execution"]["id"]
    await server.client.get(f"/api/v1/executions/{retried}/wait", params={"wait_seconds": 10})

    assert any(line["source"] == "node" for line in (await logs(server, execution_id))["lines"])
    lines = (await logs(server, retried))["lines"]
    assert not any(line["source"] == "node" for line in lines)
    assert [line["message"] for line in lines if line["node"] == "stop"] == ["Failed: No stock."]

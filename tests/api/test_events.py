"""Events of an execution reach who follows it as they become durable, and anew from where it was left."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from budflow.api.events import frames
from budflow.services.watch_execution import EventView
from budflow.storage.errors import StorageUnavailable
from budflow.storage.memory.store import MemoryStore
from tests.exchange import Exchange
from tests.gate import Gate
from tests.http_server import KEY, HttpServer, owner_key_of, workflow


def parse(text: str) -> list[dict[str, str]]:
    """The frames of a stream, each as its fields."""
    return [
        dict(line.split(": ", 1) for line in frame.splitlines() if not line.startswith(":"))
        for frame in text.split("\n\n")
        if frame
    ]


async def start(server: HttpServer, document: dict[str, Any], wait_seconds: float = 0) -> str:
    workflow_id = await server.create(document)
    body = {"wait_seconds": wait_seconds}
    started = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions", json=body)
    execution_id: str = started.json()["execution"]["id"]
    return execution_id


def follow(server: HttpServer, execution_id: str, **headers: str) -> Exchange:
    shown = {"Host": "localhost", KEY: f"Bearer {owner_key_of(server.runtime)}", **headers}
    return Exchange(server.app, "GET", f"/api/v1/executions/{execution_id}/events", shown)


MANUAL = workflow({"start": ("trigger.manual", {})})


async def test_the_journal_is_told_from_its_beginning_to_its_end(server: HttpServer) -> None:
    execution_id = await start(server, MANUAL, wait_seconds=10)

    answer = await server.client.get(f"/api/v1/executions/{execution_id}/events")

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    told = parse(answer.text)
    assert [frame["id"] for frame in told] == [str(n) for n in range(len(told))]
    assert [told[0]["event"], told[-1]["event"]] == ["execution.admitted", "execution.finished"]
    last = orjson.loads(told[-1]["data"])
    assert (last["seq"], last["type"], last["data"]["status"]) == (len(told) - 1, "execution.finished", "succeeded")


async def test_a_stream_is_resumed_after_the_last_event_that_was_seen(server: HttpServer) -> None:
    execution_id = await start(server, MANUAL, wait_seconds=10)
    url = f"/api/v1/executions/{execution_id}/events"

    by_header = await server.client.get(url, headers={"Last-Event-ID": "1"})
    by_query = await server.client.get(url, params={"after": 1})
    both = await server.client.get(url, params={"after": 0}, headers={"Last-Event-ID": "1"})

    assert parse(by_header.text)[0]["id"] == "2"
    assert by_query.text == by_header.text == both.text


async def test_events_come_while_the_execution_runs(server: HttpServer, gate: Gate) -> None:
    execution_id = await start(
        server,
        workflow({"start": ("trigger.manual", {}), "fetch": ("http.request", {"url": gate.url})}, ("start", "fetch")),
    )
    await gate.arrived.wait()
    exchange = follow(server, execution_id)
    assert await exchange.status() == 200

    [first] = parse((await exchange.chunk()).decode())
    assert first["event"] == "execution.admitted"
    gate.release.set()
    told = ""
    while "execution.finished" not in told:
        told += (await exchange.chunk()).decode()
    await exchange.task


async def test_who_hangs_up_is_no_longer_served(server: HttpServer, gate: Gate) -> None:
    execution_id = await start(
        server,
        workflow({"start": ("trigger.manual", {}), "fetch": ("http.request", {"url": gate.url})}, ("start", "fetch")),
    )
    await gate.arrived.wait()
    exchange = follow(server, execution_id)
    assert await exchange.status() == 200
    exchange.hang_up()

    async with asyncio.timeout(10):
        await exchange.task


async def test_an_unknown_execution_is_a_problem_and_no_stream(server: HttpServer) -> None:
    answer = await server.client.get("/api/v1/executions/exe_unknown/events")

    assert (answer.status_code, answer.json()["code"]) == (404, "execution.not_found")


@pytest.mark.parametrize("last", ["x", "-2", "1.5"])
async def test_a_malformed_last_event_id_is_refused(server: HttpServer, last: str) -> None:
    answer = await server.client.get("/api/v1/executions/exe_1/events", headers={"Last-Event-ID": last})

    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")


async def test_silence_is_filled_with_comments_and_no_event_is_lost_by_it() -> None:
    happened = asyncio.Event()

    async def events() -> AsyncIterator[EventView]:
        await happened.wait()
        yield EventView(0, "execution.admitted", datetime(2026, 1, 5, tzinfo=UTC), {"a": "line\nbreak"})

    stream = frames(events(), 0.001)

    assert await anext(stream) == b": keep-alive\n\n"
    assert await anext(stream) == b": keep-alive\n\n"
    happened.set()
    told = [frame async for frame in stream if not frame.startswith(b":")]
    [frame] = parse(told[0].decode())
    assert orjson.loads(frame["data"])["data"] == {"a": "line\nbreak"}


async def test_an_error_in_the_middle_ends_the_stream_as_an_event() -> None:
    async def events() -> AsyncIterator[EventView]:
        yield EventView(0, "execution.admitted", datetime(2026, 1, 5, tzinfo=UTC), {})
        raise StorageUnavailable

    told = [parse(frame.decode())[0] async for frame in frames(events(), 10)]

    assert told[1]["event"] == "error"
    assert orjson.loads(told[1]["data"])["code"] == "storage.unavailable"


@pytest.mark.parametrize("damage", ["malformed", "missing"])
async def test_a_row_that_cannot_be_read_ends_the_stream_as_an_event(server: HttpServer, damage: str) -> None:
    execution_id = await start(server, MANUAL, wait_seconds=10)
    store = server.runtime.services.store
    assert isinstance(store, MemoryStore)
    rows = store._tables.journals[execution_id]
    rows[1:2] = [replace(rows[1], payload=b"{")] if damage == "malformed" else []

    told = parse((await server.client.get(f"/api/v1/executions/{execution_id}/events")).text)

    assert [frame["event"] for frame in told] == ["execution.admitted", "error"]
    problem = orjson.loads(told[1]["data"])
    assert (problem["code"], problem["details"]["seq"]) == ("journal.unreadable", 1)

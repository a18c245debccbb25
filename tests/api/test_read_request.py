"""Whatever is wrong with a request is told at once, each fault at its place and with a hint."""

from typing import Any

import orjson
import pytest

from budflow.api.read_request import BODY_BYTES_MAX, DOCUMENT_BODY_BYTES_MAX
from budflow.model.workflow import DOCUMENT_BYTES_MAX
from tests.exchange import Exchange
from tests.http_server import KEY, HttpServer, owner_key_of

WORKFLOWS = "/api/v1/workflows"
START = "/api/v1/workflows/wf_1/executions"


async def refused(server: HttpServer, path: str, content: bytes, method: str = "POST") -> dict[str, Any]:
    answer = await server.client.request(method, path, content=content)
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    return problem


def places(problem: dict[str, Any]) -> dict[str, str]:
    return {one["path"]: one["code"] for one in problem["problems"]}


async def test_every_fault_of_a_body_is_listed(server: HttpServer) -> None:
    problem = await refused(server, START, b'{"itmes": [], "wait_seconds": 1000, "version": "x", "items": [1]}')

    assert (problem["status"], problem["code"]) == (422, "request.invalid")
    assert places(problem) == {
        "/itmes": "request.unknown_field",
        "/wait_seconds": "request.invalid_value",
        "/version": "request.invalid_value",
        "/items/0": "request.invalid_value",
    }
    assert "and 3 more" in problem["detail"]
    hints = {one["path"]: one["hint"] for one in problem["problems"]}
    assert hints["/itmes"] == "Did you mean `items`?"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "request.malformed"),
        (b"\xff\xfe", "request.malformed"),
        (b'{"items": [], "items": []}', "request.duplicate_key"),
        (b'{"wait_seconds": NaN}', "request.malformed"),
        (b"[" * 200 + b"]" * 200, "request.too_deep"),
        (b"[" * 100_000, "request.too_deep"),
        (b"[]", "request.unexpected"),
        (b'"text"', "request.unexpected"),
        (b'{"workflow_id": "wf_2"}', "request.unexpected"),
    ],
)
async def test_a_body_that_is_no_plain_json_object_is_refused(server: HttpServer, body: bytes, code: str) -> None:
    problem = await refused(server, START, body)

    assert (problem["status"], problem["code"]) == (422, "request.invalid")
    assert [one["code"] for one in problem["problems"]] == [code]


async def test_faults_of_a_document_are_told_by_their_place_in_it(server: HttpServer) -> None:
    problem = await refused(server, WORKFLOWS, b'{"document": {"nodes": {"a": {}, "a": {}}}}')

    assert (problem["status"], problem["code"]) == (422, "workflow.invalid")
    assert places(problem) == {"/nodes/a": "document.duplicate_key"}


@pytest.mark.parametrize("document", [b"[]", b'"x"', b"null", b"1"])
async def test_a_document_of_another_type_is_refused(server: HttpServer, document: bytes) -> None:
    problem = await refused(server, WORKFLOWS, b'{"document": ' + document + b"}")

    assert places(problem) == {"/document": "request.invalid_value"}


async def test_a_missing_field_is_named(server: HttpServer) -> None:
    problem = await refused(server, WORKFLOWS + "/wf_1", b"{}", "PUT")

    assert places(problem) == {"/document": "request.missing_field", "/expected_version": "request.missing_field"}


async def test_an_empty_body_is_an_empty_object(server: HttpServer) -> None:
    assert (await refused(server, START, b" "))["code"] == "workflow.not_found"


async def test_a_document_that_is_too_large_is_a_problem_and_one_far_too_large_is_not_read(server: HttpServer) -> None:
    large = orjson.dumps({"document": {"name": "x" * DOCUMENT_BYTES_MAX}})
    huge = orjson.dumps({"document": {"name": "x" * DOCUMENT_BODY_BYTES_MAX}})

    assert places(await refused(server, WORKFLOWS, large)) == {"": "document.too_large"}
    assert (await refused(server, WORKFLOWS, huge))["status"] == 413


async def test_a_body_beyond_the_limit_is_refused_whatever_its_length_says(server: HttpServer) -> None:
    announced = await refused(server, START, b" " * (BODY_BYTES_MAX + 1))
    assert (announced["status"], announced["code"]) == (413, "request.too_large")

    key = f"Bearer {owner_key_of(server.runtime)}"
    lying = Exchange(server.app, "POST", START, {"Host": "localhost", KEY: key, "Content-Length": "3"})
    lying.send(b" " * BODY_BYTES_MAX, more=True)
    lying.send(b" ", more=True)  # Refused without waiting for more.
    assert await lying.status() == 413


async def test_query_parameters_are_checked_like_fields(server: HttpServer) -> None:
    wrong = await server.client.get("/api/v1/executions?limt=1&status=done&limit=0")

    assert places(wrong.json()) == {
        "/limt": "request.unknown_field",
        "/status": "request.invalid_value",
        "/limit": "request.invalid_value",
    }
    hints = {one["path"]: one["hint"] for one in wrong.json()["problems"]}
    assert hints["/limt"] == "Did you mean `limit`?"
    assert "succeeded" in hints["/status"]


@pytest.mark.parametrize(
    "target", ["/api/v1/executions?limit=1&limit=2", "/api/v1/executions/exe_1?execution_id=exe_2"]
)
async def test_a_value_that_comes_twice_is_refused(server: HttpServer, target: str) -> None:
    answer = await server.client.get(target)

    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")


async def test_where_a_body_is_taken_the_query_is_not(server: HttpServer) -> None:
    answer = await server.client.post(f"{START}?wait_seconds=5")

    assert places(answer.json()) == {"/wait_seconds": "request.unexpected"}


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (f"/api/v1/workflows/wf_1/versions/{2**31}", "/version"),
        (f"/api/v1/workflows/wf_1/versions/{10**30}", "/version"),
        (f"/api/v1/executions/exe_1/events?after={2**64}", "/after"),
        ("/api/v1/executions?cursor=wf_0192f0c1a2b37c3d8e4f5a6b7c8d9e0f", "/cursor"),
        ("/api/v1/workflows?cursor=garbage", "/cursor"),
        ("/api/v1/workflows?cursor=", "/cursor"),
    ],
)
async def test_numbers_and_cursors_that_were_never_given_out_are_refused(
    server: HttpServer, path: str, place: str
) -> None:
    assert places(await refused(server, path, b"", "GET")) == {place: "request.invalid_value"}

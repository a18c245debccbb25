"""Credentials over HTTP: written and never read, changed in part, tried, requested by a link, and used by workflows."""

import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import orjson
import pytest

from budflow.api.read_request import BODY_BYTES_MAX
from budflow.credentials.find_kinds import find_kinds
from budflow.model.principal import OWNER, Door, Principal
from budflow.services.keys import Keys
from tests.api.test_app import problem
from tests.canaries.canary import Search
from tests.gate import Gate
from tests.http_server import HttpServer, open_http_server, workflow

CANARY = "canary-4f1d9b7e02a6"
URL = "/api/v1/credentials"
BEARER: Mapping[str, Any] = {
    "kind": "bearer",
    "name": "crm-token",
    "values": {"token": CANARY},
    "hosts": ["http://127.0.0.1:9", "crm.example"],
}


class Heard:
    """Every answer and every line of the log, to be searched for what must not be in them."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog, self.answers = caplog, list[str]()

    async def hear(self, answer: httpx2.Response) -> None:
        await answer.aread()
        self.answers.append(f"{answer.headers}\n{answer.text}")

    def leaks(self) -> list[str]:
        search = Search([CANARY])
        search.data("the answers", "\n".join(self.answers).encode())
        search.data("the log", self._caplog.text.encode())
        return search.hits


@pytest.fixture
async def server(caplog: pytest.LogCaptureFixture) -> AsyncIterator[HttpServer]:
    """A server no answer of which, and no line of whose log, may hold a value."""
    caplog.set_level(logging.DEBUG)
    heard = Heard(caplog)
    async with open_http_server(http_allow=("127.0.0.1",), public_url="https://flows.example") as opened:
        opened.client.event_hooks["response"].append(heard.hear)
        opened.stranger.event_hooks["response"].append(heard.hear)
        yield opened
    assert heard.answers
    assert heard.leaks() == []


async def create(server: HttpServer, **different: Any) -> dict[str, Any]:
    answer = await server.client.post(URL, json={**BEARER, **different})
    assert answer.status_code == 201, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def test_a_credential_from_its_making_to_its_end(server: HttpServer) -> None:
    api = server.client
    made = await create(server)
    assert (made["fields"], made["grants"]["principals"], made["revision"]) == (["token"], ["owner"], 1)

    listed = (await api.get(URL, params={"kind": "bearer", "name": "crm"})).json()
    assert [one["id"] for one in listed["credentials"]] == [made["id"]]
    for reference in (made["name"], made["id"]):
        assert (await api.get(f"{URL}/{reference}")).json() == made

    changed = await api.patch(f"{URL}/crm-token", json={"hosts": ["crm.example"], "expected_revision": 1})
    assert (changed.status_code, changed.json()["revision"], changed.json()["hosts"]) == (200, 2, ["crm.example"])
    problem(await api.patch(f"{URL}/crm-token", json={"expected_revision": 1}), 409, "credential.conflict")
    needed = problem(await api.patch(f"{URL}/crm-token", json={"hosts": ["*"]}), 422, "credential.values_needed")
    assert needed["details"] == {"fields": ["token"]}
    renamed = await api.patch(f"{URL}/crm-token", json={"name": "crm", "grants": {"project": True}})
    assert renamed.json()["grants"] == {"project": True, "principals": [], "workflows": []}
    single = {"grant": {"principals": ["ann"]}, "revoke": {"project": True}}
    granted = await api.patch(f"{URL}/crm", json=single)
    assert granted.json()["grants"] == {"project": False, "principals": ["ann"], "workflows": []}
    problem(await api.patch(f"{URL}/crm", json={**single, "grants": {}}), 422, "request.invalid")

    assert (await api.delete(f"{URL}/crm")).json() == {"deleted": made["id"]}
    for again in (api.get(f"{URL}/crm"), api.delete(f"{URL}/{made['id']}"), api.patch(f"{URL}/crm", json={})):
        problem(await again, 404, "credential.not_found")


async def test_a_name_that_is_taken_is_a_conflict(server: HttpServer) -> None:
    await create(server)

    problem(await server.client.post(URL, json=BEARER), 409, "credential.name_taken")


async def test_a_workflow_uses_it_and_the_audit_says_so(server: HttpServer, gate: Gate) -> None:
    made = await create(server, hosts=[gate.url.removesuffix("/")], name="gate")
    document = workflow(
        {"start": ("trigger.manual", {}), "fetch": ("http.request", {"url": gate.url})}, ("start", "fetch")
    )
    document["nodes"]["fetch"]["credentials"] = {"auth": "gate"}
    workflow_id = await server.create(document)
    gate.release.set()

    started = await server.client.post(f"/api/v1/workflows/{workflow_id}/executions", json={})
    execution_id = started.json()["execution"]["id"]
    ended = await server.ended(execution_id)
    uses = (await server.client.get(f"{URL}/gate/uses")).json()

    assert ended["execution"]["status"] == "succeeded", ended
    assert ended["nodes"][1]["credentials"] == {"auth": made["id"]}
    [use] = uses["uses"]
    assert (use["execution_id"], use["workflow_id"], use["node"], use["slot"]) == (
        *(execution_id, workflow_id, "fetch", "auth"),
    )
    assert (use["author"], use["principal"], uses["next_cursor"]) == ("owner", "owner", None)


async def test_what_a_document_may_not_use_is_told_and_forbids_publishing(server: HttpServer) -> None:
    document = workflow(
        {"hook": ("trigger.webhook", {"path": "a"}), "fetch": ("http.request", {"url": "https://crm.example/"})},
        ("hook", "fetch"),
    )
    document["nodes"]["fetch"]["credentials"] = {"auth": "crm-token"}
    saved = await server.client.post("/api/v1/workflows", json={"document": document})
    url = f"/api/v1/workflows/{saved.json()['workflow']['id']}/publish"
    [told] = saved.json()["problems"]
    assert (told["code"], told["blocks"]) == ("credential.unknown", "run")
    problem(await server.client.post(url), 422, "workflow.invalid")

    await create(server)
    assert (await server.client.post(url)).status_code == 200
    await server.client.patch(f"{URL}/crm-token", json={"grants": {}})
    refused = problem(await server.client.post(url), 422, "workflow.invalid")
    assert [one["code"] for one in refused["problems"]] == ["credential.not_granted"]


async def test_a_node_type_shows_its_slots(server: HttpServer) -> None:
    request = (await server.client.get("/api/v1/nodes/http.request")).json()
    hook = (await server.client.get("/api/v1/nodes/trigger.webhook")).json()

    assert (request["credentials"]["auth"]["kinds"], request["credentials"]["auth"]["required"]) == ([], False)
    assert hook["credentials"]["signature"]["kinds"] == ["hmac"]
    assert (await server.client.get("/api/v1/nodes/flow.no_op")).json()["credentials"] == {}


async def test_it_is_tried_by_a_real_call(server: HttpServer, gate: Gate) -> None:
    await create(server, hosts=[gate.url.removesuffix("/")])
    gate.release.set()

    tried = await server.client.post(f"{URL}/crm-token/test", json={"probe": {"url": gate.url}})
    assert tried.json()["works"] is True, tried.text
    problem(
        await server.client.post(f"{URL}/crm-token/test", json={"probe": {"url": "https://evil.example/"}}),
        403,
        "credential.host_refused",
    )
    unknown = await server.client.post(f"{URL}/crm-token/test")
    assert unknown.json()["works"] is None


async def test_the_kinds_are_told(server: HttpServer) -> None:
    kinds = (await server.client.get("/api/v1/credential-kinds")).json()["kinds"]

    assert [kind["name"] for kind in kinds] == sorted(find_kinds())


async def test_a_person_enters_what_was_asked_for_by_a_link(server: HttpServer) -> None:
    asked = await server.client.post(
        "/api/v1/credential-requests",
        json={"kind": "bearer", "name": "crm-token", "hosts": ["crm.example"], "reason": "To read prices."},
    )
    assert asked.status_code == 201, asked.text
    path = asked.json()["url"].removeprefix("https://flows.example")

    shown = await server.stranger.get(path)
    assert (shown.status_code, shown.json()["reason"]) == (200, "To read prices.")
    entered = await server.stranger.post(path, json={"values": {"token": CANARY}})
    assert entered.status_code == 200, entered.text
    assert (await server.client.get(f"{URL}/crm-token")).json()["id"] == entered.json()["id"]
    assert (await server.stranger.get(path)).status_code == 410


async def test_the_key_is_rotated_while_credentials_stay_in_use(server: HttpServer) -> None:
    await create(server)

    rotated = await server.client.post("/api/v1/encryption-keys/rotate")

    assert (rotated.status_code, rotated.json()["rewrapped"], rotated.json()["left"]) == (200, 1, [])
    assert (await server.client.get(f"{URL}/crm-token")).json()["fields"] == ["token"]


# --- what is refused -----------------------------------------------------------------------------------------------


async def test_every_fault_of_the_values_is_told_and_none_of_them_is_quoted(server: HttpServer) -> None:
    body = {**BEARER, "values": {"tokn": CANARY, "token": f"Bearer {CANARY}"}, "hosts": []}

    told = problem(await server.client.post(URL, json=body), 422, "credential.invalid")

    assert {one["path"]: one["code"] for one in told["problems"]} == {
        "/values/tokn": "credential.unknown_field",
        "/values/token": "credential.invalid_value",
        "/hosts": "credential.hosts_missing",
    }


@pytest.mark.parametrize("kind", sorted(find_kinds()))
async def test_the_values_of_another_kind_are_refused_unquoted(server: HttpServer, kind: str) -> None:
    """Each kind, given every field that any kind has."""
    fields = {name for other in find_kinds().values() for name in other.model_fields}

    answer = await server.client.post(URL, json={**BEARER, "kind": kind, "values": dict.fromkeys(fields, CANARY)})

    problem(answer, 422, "credential.invalid")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**BEARER, "values": CANARY},
        {**BEARER, "values": [CANARY]},
        {**BEARER, "values": None},
        {**BEARER, "hosts": CANARY},
        {**BEARER, "hosts": [f"{CANARY}/"]},
        {**BEARER, "name": f"{CANARY} "},
        {**BEARER, "name": CANARY.upper()},
        {**BEARER, "kind": [CANARY]},
        {**BEARER, "grants": {"project": CANARY}},
        {**BEARER, "grants": {"principals": [f"{CANARY} "]}},
        {**BEARER, "probe": {"url": CANARY}},
        {**BEARER, "probe": {"url": f"https://ada:{CANARY}@crm.example/"}},
        {**BEARER, "probe": {"url": "https://crm.example/", "method": CANARY}},
        {**BEARER, "token": CANARY},
    ],
)
async def test_a_faulty_body_is_refused_unquoted(server: HttpServer, body: dict[str, Any]) -> None:
    problem(await server.client.post(URL, json=body), 422, "request.invalid")
    problem(await server.client.patch(f"{URL}/crm-token", json={**body, "more": CANARY}), 422, "request.invalid")


@pytest.mark.parametrize(
    "content",
    [
        f'{{"values": {{"token": "{CANARY}"',
        f'{{"values": {{"token": "{CANARY}"}}, "values": {{"token": "{CANARY}"}}}}',
        f'{{"values": {{"token": "{CANARY}\\ud800"}}}}',
        f'{{"values": {{"token": {CANARY}}}}}',
        f'"{CANARY}"',
        f'["{CANARY}"]',
        "",
        "[" * 500,
    ],
)
async def test_what_is_no_json_object_is_refused_unquoted(server: HttpServer, content: str) -> None:
    problem(await server.client.post(URL, content=content.encode()), 422, "request.invalid")


async def test_a_huge_value_is_refused(server: HttpServer) -> None:
    large = {**BEARER, "values": {"token": "t" * (BODY_BYTES_MAX + 1)}}
    problem(await server.client.post(URL, content=orjson.dumps(large)), 413, "request.too_large")

    wide = {**BEARER, "values": {"token": "t" * 100_000}}
    told = problem(await server.client.post(URL, json=wide), 422, "credential.invalid")
    assert [one["code"] for one in told["problems"]] == ["credential.values_too_large"]


@pytest.mark.parametrize("reference", ["A", "crd_1", "%00", "%C3%A4", "a%20b", "x" * 100])
async def test_a_reference_that_no_credential_has_is_not_found(server: HttpServer, reference: str) -> None:
    problem(await server.client.get(f"{URL}/{reference}"), 404, "credential.not_found")


async def test_each_operation_needs_its_permission(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    await create(server)
    request = {"kind": "bearer", "name": "b", "hosts": ["b.example"], "reason": "Why not."}
    operations = [
        ("POST", URL, BEARER, "credential:write"),
        ("GET", URL, None, "credential:read"),
        ("GET", f"{URL}/crm-token", None, "credential:read"),
        ("PATCH", f"{URL}/crm-token", {"values": {"token": CANARY}}, "credential:write"),
        ("POST", f"{URL}/crm-token/test", {}, "credential:write"),
        ("GET", f"{URL}/crm-token/uses", None, "credential:read"),
        ("DELETE", f"{URL}/crm-token", None, "credential:write"),
        ("GET", "/api/v1/credential-kinds", None, "credential:read"),
        ("POST", "/api/v1/credential-requests", request, "credential:request"),
        ("POST", "/api/v1/encryption-keys/rotate", {}, "server:rotate_keys"),
    ]
    for method, path, body, _ in operations:
        problem(await server.stranger.request(method, path, json=body), 401, "auth.key_refused")

    holding = frozenset[str]()
    monkeypatch.setattr(Keys, "principal", lambda _keys, _key, door: principal_with(holding, door))
    for method, path, body, permission in operations:
        holding = OWNER.permissions - {permission}
        refused = problem(await server.client.request(method, path, json=body), 403, "auth.permission_missing")
        assert refused["details"] == {"permission": permission}


def principal_with(permissions: frozenset[str], door: Door) -> Principal:
    return Principal("carl", permissions=permissions, door=door)


async def test_another_project_sees_nothing(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await create(server)
    elsewhere = Principal("eve", project_id="elsewhere", permissions=OWNER.permissions)
    monkeypatch.setattr(Keys, "principal", lambda *_: elsewhere)

    assert (await server.client.get(URL)).json() == {"credentials": [], "next_cursor": None}
    for reference in (made["name"], made["id"]):
        for method, path, body in (
            ("GET", "", None),
            ("GET", "/uses", None),
            ("PATCH", "", {"grants": {"project": True}}),
            ("POST", "/test", {}),
            ("DELETE", "", None),
        ):
            answer = await server.client.request(method, f"{URL}/{reference}{path}", json=body)
            problem(answer, 404, "credential.not_found")

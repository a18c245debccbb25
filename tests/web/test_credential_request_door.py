"""The link of a credential request: a person sees who asks for what and enters the value once; nobody sees it again."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from budflow.asgi.page import MEDIA_TYPE
from budflow.model.credential import CredentialRecord
from budflow.model.identity import utc_now
from budflow.services import credential_links
from budflow.services.credential_seal import values_of
from budflow.storage.errors import StorageUnavailable
from budflow.storage.memory.store import MemoryStore
from tests.http_server import HttpServer, open_http_server

PUBLIC = "https://flows.example"
PAGE = {"Accept": "text/html,application/xhtml+xml", "Host": "flows.example"}
VALUE = "canary-51c0ffee"


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with open_http_server(public_url=PUBLIC) as server:
        yield server


async def path_of(server: HttpServer, **asked: Any) -> str:
    """The path of the link of a new request."""
    body = {"kind": "bearer", "name": "crm", "hosts": ["*.crm.example", "mail.example"], "reason": "For <b>prices</b>."}
    made = await server.client.post("/api/v1/credential-requests", json={**body, **asked})
    assert made.status_code == 201, made.text
    url: str = made.json()["url"]
    return url.removeprefix(PUBLIC)


async def stored(server: HttpServer, name: str = "crm") -> CredentialRecord | None:
    return await server.runtime.services.store.get_credential("default", name)


async def sealed_values(server: HttpServer, name: str = "crm") -> dict[str, Any]:
    record = await stored(server, name)
    assert record is not None
    return values_of(record, server.runtime.services.cipher)


def refused(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    shape: dict[str, Any] = answer.json()
    assert (answer.status_code, shape["code"], shape["instance"]) == (status, code, "/credential-request/")
    assert shape["hint"]
    return shape


async def test_the_page_says_in_words_where_a_value_is_in_danger(server: HttpServer) -> None:
    path = await path_of(server, hosts=["crm.example", "*", "http://*:8080", "http://crm.internal", "*.crm.example"])

    page = (await server.stranger.get(path, headers=PAGE)).text

    assert (
        "<dd>crm.example, * (every server there is), http://*:8080 (every server there is, not encrypted on the way), "
        "http://crm.internal (not encrypted on the way), *.crm.example</dd>"
    ) in page


async def test_looking_shows_what_is_asked_and_uses_nothing_up(server: HttpServer) -> None:
    path = await path_of(server, grants={"project": True})

    for _ in range(3):
        asked = (await server.stranger.get(path)).json()
        assert (asked["name"], asked["kind"]["name"], asked["asked_by"]) == ("crm", "bearer", "owner")
        assert (await server.stranger.head(path)).content == b""
    page = await server.stranger.get(path, headers=PAGE)

    assert page.headers["content-type"] == MEDIA_TYPE
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "For &lt;b&gt;prices&lt;/b&gt;." in page.text
    assert "*.crm.example, mail.example" in page.text
    assert "every workflow of the project" in page.text
    assert '<input type="password" name="value.token"' in page.text
    assert "<script" not in page.text
    assert await stored(server) is None


async def test_a_form_stores_the_value_and_the_link_ends(server: HttpServer) -> None:
    path = await path_of(server)

    thanks = await server.stranger.post(path, data={"value.token": VALUE, "hosts": "api.crm.example\r\n"}, headers=PAGE)

    assert (thanks.status_code, "<h1>Thank you</h1>" in thanks.text) == (200, True)
    record = await stored(server)
    assert record is not None
    assert (record.hosts, record.created_by) == (("api.crm.example",), "owner")
    assert await sealed_values(server) == {"token": VALUE}
    refused(await server.stranger.get(path), 410, "credential.request_used")
    again = await server.stranger.post(path, data={"value.token": "another"}, headers=PAGE)
    assert (again.status_code, again.headers["content-type"]) == (410, MEDIA_TYPE)
    assert await sealed_values(server) == {"token": VALUE}


async def test_a_program_may_answer_with_json(server: HttpServer) -> None:
    path = await path_of(server)

    entered = await server.stranger.post(path, json={"values": {"token": VALUE}})

    assert entered.json()["name"] == "crm"
    record = await stored(server)
    assert record is not None
    assert record.hosts == ("*.crm.example", "mail.example")


async def test_of_many_answers_at_once_one_is_taken(server: HttpServer) -> None:
    path = await path_of(server)

    answers = await asyncio.gather(
        *(server.stranger.post(path, json={"values": {"token": f"{VALUE}{number}"}}) for number in range(20))
    )

    assert sorted(answer.status_code for answer in answers) == [200] + [410] * 19
    [taken] = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    assert await sealed_values(server) == {"token": f"{VALUE}{taken}"}


async def test_what_does_not_fit_is_asked_again_without_what_was_entered(server: HttpServer) -> None:
    path = await path_of(server)
    wrong = {"value.token": f"{VALUE} with spaces", "hosts": "api.crm.example"}

    page = await server.stranger.post(path, data=wrong, headers=PAGE)

    assert page.status_code == 422
    assert "Please enter it once more" in page.text
    assert "without spaces" in page.text
    assert VALUE not in page.text
    assert ">api.crm.example</textarea>" in page.text  # What was cut down does not become wide again unnoticed.
    shape = refused(await server.stranger.post(path, data=wrong), 422, "credential.invalid")
    assert shape["problems"][0]["path"] == "/values/token"
    assert await stored(server) is None
    assert (await server.stranger.post(path, data={"value.token": VALUE}, headers=PAGE)).status_code == 200


@pytest.mark.parametrize("hosts", ["*", "evil.example", "http://mail.example", "mail.example:8443", "no host at all"])
async def test_hosts_can_only_become_fewer(server: HttpServer, hosts: str) -> None:
    path = await path_of(server)

    page = await server.stranger.post(path, data={"value.token": VALUE, "hosts": hosts}, headers=PAGE)

    assert page.status_code == 422
    assert "*.crm.example\nmail.example</textarea>" in page.text
    assert VALUE not in page.text
    assert await stored(server) is None


async def test_a_field_that_nobody_asked_for_is_refused_without_its_name(server: HttpServer) -> None:
    path = await path_of(server)

    answer = await server.stranger.post(path, json={"values": {"token": "x"}, VALUE: 1, "hosts": [VALUE * 100]})

    refused(answer, 422, "credential.invalid")
    assert VALUE not in answer.text


async def test_a_name_that_was_taken_meanwhile_is_told(server: HttpServer) -> None:
    path = await path_of(server)
    await server.stranger.post(await path_of(server), json={"values": {"token": VALUE}})

    page = await server.stranger.post(path, data={"value.token": VALUE}, headers=PAGE)

    assert page.status_code == 409
    assert "credential" in page.text and VALUE not in page.text
    refused(await server.stranger.post(path, json={"values": {"token": VALUE}}), 409, "credential.name_taken")


async def test_unknown_and_expired_links_do_not_work(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    path = await path_of(server)

    for wrong in (path + "x", path[:-1], "/credential-request/", "/credential-request/" + "x" * 5000, path + "/"):
        refused(await server.stranger.get(wrong), 410, "credential.request_used")
        refused(await server.stranger.post(wrong, json={"values": {"token": VALUE}}), 410, "credential.request_used")
    later = utc_now() + timedelta(days=1)
    monkeypatch.setattr(credential_links, "utc_now", lambda: later)
    page = await server.stranger.get(path, headers=PAGE)
    assert (page.status_code, "credential.request_used" in page.text) == (410, True)
    refused(await server.stranger.post(path, json={"values": {"token": VALUE}}), 410, "credential.request_used")


async def test_a_link_reaches_no_other_server(server: HttpServer) -> None:
    path = await path_of(server)

    async with open_http_server(public_url=PUBLIC) as other:
        refused(await other.stranger.get(path), 410, "credential.request_used")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_page_of_another_site_cannot_send_the_form(server: HttpServer, site: str) -> None:
    path = await path_of(server)

    sent = await server.stranger.post(path, data={"value.token": VALUE}, headers={"Sec-Fetch-Site": site})

    refused(sent, 403, "credential.request_cross_site")
    own = {"Sec-Fetch-Site": "same-origin", "Origin": "null"}
    assert (await server.stranger.post(path, data={"value.token": VALUE}, headers=own)).status_code == 200


async def test_other_methods_and_bodies_are_refused(server: HttpServer) -> None:
    path = await path_of(server)

    wrong = await server.stranger.put(path, json={})
    refused(wrong, 405, "credential.request_method_not_allowed")
    assert wrong.headers["allow"] == "GET, HEAD, POST"
    json = {"Content-Type": "application/json"}
    for body, headers in ((b"{", json), (b"[1]", json), (VALUE.encode(), {}), (b"", {})):
        answer = await server.stranger.post(path, content=body, headers=headers)
        refused(answer, 400, "webhook.body_malformed")
        assert VALUE not in answer.text
    refused(await server.stranger.post(path, content=b"x" * 300_000), 413, "webhook.body_too_large")


async def test_a_fault_of_ours_tells_neither_the_value_nor_the_link(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = await path_of(server)

    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    async def unavailable(*_: object, **__: object) -> None:
        raise StorageUnavailable

    with caplog.at_level(logging.DEBUG):
        monkeypatch.setattr(MemoryStore, "add_credential", broken)
        failed = await server.stranger.post(path, json={"values": {"token": VALUE}})
        assert (failed.status_code, failed.json()["code"]) == (500, "server.internal_error")
        monkeypatch.setattr(MemoryStore, "add_credential", unavailable)
        page = await server.stranger.post(path, data={"value.token": VALUE}, headers=PAGE)
        assert (page.status_code, page.headers["retry-after"]) == (503, "2")

    ours = [record for record in caplog.records if record.name.startswith("budflow")]  # The test's client logs, too.
    told = failed.text + page.text + str([(record.__dict__, record.getMessage()) for record in ours])
    assert failed.json()["details"]["error_id"] in told
    assert VALUE not in told
    assert path.rpartition("/")[2] not in told


async def test_every_kind_can_be_entered_by_its_form(server: HttpServer) -> None:
    for name, kind in server.runtime.services.credential_kinds.items():
        path = await path_of(server, kind=name, name=name, hosts=["crm.example"] if kind.signs() else [])

        page = await server.stranger.get(path, headers=PAGE)

        assert page.status_code == 200
        for field, info in kind.model_fields.items():
            assert f'name="value.{info.alias or field}' in page.text


async def test_keys_keep_their_lines_and_names_their_values(server: HttpServer) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    path = await path_of(server, kind="ssh_key", name="key", hosts=[])
    sent = {"value.user": "ada", "value.private_key": pem.replace("\n", "\r\n"), "value.passphrase": ""}
    assert (await server.stranger.post(path, data=sent, headers=PAGE)).status_code == 200
    assert await sealed_values(server, "key") == {"user": "ada", "private_key": pem}

    path = await path_of(server, kind="custom_headers", name="headers", hosts=["crm.example"])
    pairs = {"value.headers.name": ["X-App", "X-Key", ""], "value.headers.value": ["app-17", f"{VALUE} 2", ""]}
    assert (await server.stranger.post(path, data=pairs, headers=PAGE)).status_code == 200
    assert await sealed_values(server, "headers") == {"headers": {"X-App": "app-17", "X-Key": f"{VALUE} 2"}}

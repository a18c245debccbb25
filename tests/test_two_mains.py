"""Two real servers on one PostgreSQL: what one publishes the other serves, and what one runs the other can stop."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.processes import Serving, asking, eventually, serving, silence

pytestmark = [pytest.mark.process, pytest.mark.postgres]


@pytest.fixture
def mains(tmp_path: Path, postgres_url: str) -> Iterator[tuple[Serving, Serving]]:
    shared = {"BUDFLOW_DATABASE_URL": postgres_url, "BUDFLOW_BLOB_URL": f"file://{tmp_path}/blobs"}
    with serving(tmp_path / "one", **shared) as one, serving(tmp_path / "two", **shared) as two:
        yield one, two


def hook(path: str) -> dict[str, Any]:
    return {
        "format": 1,
        "name": "Greeter",
        "nodes": {
            "hook": {"type": "trigger.webhook", "params": {"path": path, "respond": "last_node"}},
            "greet": {
                "type": "data.set",
                "params": {"keep": False, "values": {"hello": "{{ $json.body.name }}"}},
            },
        },
        "edges": [{"from": "hook", "to": "greet"}],
    }


def test_a_webhook_published_at_one_main_is_answered_by_the_other(mains: tuple[Serving, Serving]) -> None:
    one, two = mains
    workflow_id = one.create(hook("greet"))
    one.client.post(f"/workflows/{workflow_id}/publish", json={}).raise_for_status()

    def answer() -> httpx2.Response | None:
        response = httpx2.post(f"{two.url}/webhook/greet", json={"name": "Ada"})
        return response if response.status_code == 200 else None

    response = eventually(answer, "the other main serves the webhook")
    assert response.json() == {"hello": "Ada"}
    assert one.status_of(response.headers["X-Budflow-Execution"]) == "succeeded"

    one.client.post(f"/workflows/{workflow_id}/unpublish", json={}).raise_for_status()
    eventually(
        lambda: httpx2.post(f"{two.url}/webhook/greet", json={}).status_code == 404, "the other main stops serving it"
    )


def test_two_mains_refuse_to_serve_one_path_for_two_workflows(mains: tuple[Serving, Serving]) -> None:
    one, two = mains
    first, second = one.create(hook("same/{a}")), two.create(hook("same/{b}"))
    one.client.post(f"/workflows/{first}/publish", json={}).raise_for_status()

    refused = two.client.post(f"/workflows/{second}/publish", json={})

    assert refused.status_code == 409
    assert refused.json()["code"] == "webhook.taken"


def test_an_execution_that_runs_at_one_main_is_cancelled_through_the_other(mains: tuple[Serving, Serving]) -> None:
    one, two = mains
    with silence() as service:
        execution_id = one.start(one.create(asking(service.url)))
        service.asked()
        two.client.post(f"/executions/{execution_id}/cancel", json={}).raise_for_status()
        eventually(lambda: two.status_of(execution_id) == "cancelled", "the execution is cancelled")


def test_both_mains_say_what_they_use(mains: tuple[Serving, Serving]) -> None:
    for main in mains:
        status = main.client.get("/status").json()
        assert status["database"] == "postgresql"
        assert status["executor"]["name"] == "inprocess"


def encryption_key(byte: int) -> str:
    return base64.b64encode(bytes([byte]) * 32).decode()


def test_mains_with_one_encryption_key_share_credentials_and_one_with_another_does_not_start(
    tmp_path: Path, postgres_url: str
) -> None:
    shared = {
        "BUDFLOW_DATABASE_URL": postgres_url,
        "BUDFLOW_BLOB_URL": f"file://{tmp_path}/blobs",
        "BUDFLOW_ENCRYPTION_KEYS": encryption_key(1),
    }
    with serving(tmp_path / "one", **shared) as one, serving(tmp_path / "two", **shared) as two:
        credential = {"kind": "bearer", "name": "crm", "hosts": ["crm.example"], "values": {"token": "crm-4f1b9a6e"}}
        one.client.post("/credentials", json=credential).raise_for_status()

        assert two.client.get("/credentials/crm").json()["fields"] == ["token"]  # It is decrypted to know them.

    other = {**shared, "BUDFLOW_ENCRYPTION_KEYS": encryption_key(2)}
    with pytest.raises(AssertionError, match=r"encryption\.key_missing"), serving(tmp_path / "three", **other):
        pass

    with serving(tmp_path / "three", BUDFLOW_ENCRYPTION_KEYS_LOST="true", **other) as three:
        assert three.client.get("/credentials/crm").json()["fields"] is None
        anew = {"values": {"token": "crm-9c27d1"}}
        assert three.client.patch("/credentials/crm", json=anew).json()["fields"] == ["token"]

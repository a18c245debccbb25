"""The log of an execution whose server is killed in the middle of a node."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.http_server import workflow
from tests.processes import Serving, Silence, eventually, serving, silence

pytestmark = pytest.mark.process


def lines_of(server: Serving, execution_id: str) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = server.client.get(f"/executions/{execution_id}/logs").json()["lines"]
    return lines


def begin(server: Serving, quiet: Silence) -> str:
    """An execution of which one request is answered at once, and the other is not."""
    urls = [f"{server.url}/healthz", quiet.url]
    document = workflow(
        {"start": ("trigger.manual", {}), "ask": ("http.request", {"url": "{{ $json.url }}", "method": "GET"})},
        ("start", "ask"),
    )
    body = {"items": [{"url": url} for url in urls]}
    answer = server.client.post(f"/workflows/{server.create(document)}/executions", json=body)
    execution_id: str = answer.json()["execution"]["id"]
    return execution_id


def test_what_was_logged_before_a_kill_is_kept_and_nothing_done_is_logged_again(tmp_path: Path) -> None:
    with silence() as quiet:
        with serving(tmp_path) as server:
            execution_id = begin(server, quiet)
            quiet.asked()
            eventually(
                lambda: [line for line in lines_of(server, execution_id) if line["item"] == 0],
                "the line of the first item is there while the second waits",
            )
            before = lines_of(server, execution_id)
            server.tell(signal.SIGKILL)
            server.process.wait()
        quiet.close()
        with serving(tmp_path) as server:
            quiet.asked()
            quiet.answer()
            eventually(lambda: server.status_of(execution_id) == "succeeded", "it goes on")
            lines = lines_of(server, execution_id)

    assert lines[: len(before)] == before
    assert [(line["source"], line["item"], line["message"].partition(" by ")[0]) for line in lines] == [
        ("engine", None, "Begun"),
        ("node", 0, "GET 127.0.0.1: 200 OK"),
        ("engine", None, "Taken up"),
        ("node", 1, "GET 127.0.0.1: 200 OK"),
        ("engine", None, "Succeeded"),
    ]

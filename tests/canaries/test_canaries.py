"""No secret is found anywhere after it went through every node, error, retry, crash, answer, log and file."""

import hashlib
import hmac
import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from budflow.nodes.registry import build
from tests.canaries.canary import Search, forms_of, new_canary
from tests.canaries.documents import ask, chain, through, travelling
from tests.canaries.echo import Echo, echo_servers
from tests.canaries.kept import Kept, one_of_every_kind
from tests.processes import BUDFLOW, SECONDS, Serving, environment, eventually, mcp_client

pytestmark = pytest.mark.process

ON_RAY = pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.xdist_group("own_ray")])


@dataclass
class Captured:
    """Everything that was said to somebody, by whom it was asked."""

    parts: list[tuple[str, bytes]] = field(default_factory=list)

    def add(self, where: str, what: bytes | str) -> None:
        self.parts.append((where, what if isinstance(what, bytes) else what.encode()))


@pytest.mark.parametrize("executor", ["inprocess", ON_RAY])
def test_no_canary_is_found_anywhere_afterwards(tmp_path: Path, executor: str) -> None:
    credentials = one_of_every_kind()
    captured = Captured()
    data_dir, files, log = tmp_path / "data", tmp_path / "files", tmp_path / "server.log"
    files.mkdir()
    with echo_servers() as (echo, away):
        settings = {"BUDFLOW_LOG_LEVEL": "debug", "BUDFLOW_FILE_ROOTS": str(files), "BUDFLOW_EXECUTOR": executor}
        with _server(data_dir, log, captured, **settings) as server:
            _await_executor(server, executor)
            held = _live(server, credentials, echo, captured, files, data_dir)
            dashboard = server.client.get("/status").json()["executor"].get("dashboard")
            search = Search([canary for kept in credentials for canary in kept.canaries])
            if executor == "ray":
                _look_at_ray(dashboard, (data_dir / "ray-token").read_text(), captured)
                search.files(data_dir / "ray")
            server.tell(signal.SIGKILL)
            server.process.wait(SECONDS)
        echo.released.set()
        with _server(data_dir, log, captured, **settings) as server:
            for execution_id in held:
                eventually(lambda: server.status_of(execution_id) in ("succeeded", "failed"), "it went on")  # noqa: B023 - called at once
            _read_everything(server, captured, data_dir)
            search.files(data_dir / "ray")
        for part in captured.parts:
            search.data(*part)
        for directory in (data_dir, files):
            search.files(directory)
        search.data("the log", log.read_bytes())
        for kept in credentials:
            if kept.is_sent:
                forms = [form for canary in kept.canaries for form in forms_of(canary).values()]
                assert any(form in request for form in forms for request in echo.received), f"{kept.name} was not sent"
        assert away.received, "nothing was redirected away"
        for request in away.received:
            search.data("what was redirected away", request)
    assert search.hits == []
    assert search.searched > 10_000_000


def test_a_canary_is_found_in_every_form(tmp_path: Path) -> None:
    canary = new_canary("bird", '/"=+ä\\')
    for name, form in forms_of(canary).items():
        (tmp_path / name.replace(" ", "_")).write_bytes(b"before" + form + b"after")
    search = Search([canary])
    search.files(tmp_path)
    assert {hit.rpartition(" as ")[2] for hit in search.hits} == set(forms_of(canary))


# --- what is done ------------------------------------------------------------------------------------------------


def _live(
    server: Serving, credentials: list[Kept], echo: Echo, captured: Captured, files: Path, data_dir: Path
) -> list[str]:
    """Store every credential by some door, use it wherever one can be used; the executions that still wait."""
    for number, kept in enumerate(credentials):
        _store(server, kept, number, echo, captured, data_dir)
        _refused(server, kept, captured)
        captured.add("test", server.client.post(f"/credentials/{kept.name}/test", json={}).content)
    callee = server.create(
        chain("Callee", {"start": {"type": "trigger.manual"}, "in": ask(f"{echo.url}/echo", "bearer")})
    )
    told = {"told": {"type": "trigger.error"}, "keep": {"type": "data.set", "params": {"values": {"a": "{{ $json }}"}}}}
    error_workflow = server.create(chain("Errors", told))
    for workflow in (callee, error_workflow):
        server.client.post(f"/workflows/{workflow}/publish", json={}).raise_for_status()
    held = []
    for kept in credentials:
        if not kept.kind.signs():
            continue
        document = travelling(
            echo.url, kept.name, callee=callee, error_workflow=error_workflow, file=f"{kept.name}.jsonl"
        )
        ended = server.client.post(f"/workflows/{server.create(document)}/executions", json={"wait_seconds": 60}).json()
        assert ended["execution"]["status"] == "failed", ended
        assert ended["execution"]["failure"]["node"] == "stop", ended["execution"]["failure"]
        waiting = {"start": {"type": "trigger.manual"}, "hold": ask(f"{echo.url}/hold", kept.name)}
        held.append(server.start(server.create(chain("Held", waiting))))
    _through_every_node(server, echo, captured)
    _call_signed(server, next(kept for kept in credentials if kept.name == "hmac"), captured)
    eventually(lambda: sum(b"/hold" in one for one in echo.received) >= len(held), "all are held")
    return held


def _store(server: Serving, kept: Kept, number: int, echo: Echo, captured: Captured, data_dir: Path) -> None:
    hosts = [echo.url] if kept.kind.signs() else []
    asked = {"kind": kept.kind.name, "name": kept.name, "hosts": hosts}
    grants = {"project": True}
    if number % 3 == 0:
        answer = server.client.post("/credentials", json={**asked, "grants": grants, "values": kept.values})
        assert answer.status_code == 201, answer.text
        captured.add("create", answer.content)
    elif number % 3 == 1:
        link = server.client.post("/credential-requests", json={**asked, "grants": grants, "reason": "A test."}).json()
        page = httpx2.get(link["url"], headers={"Accept": "text/html"})
        answered = httpx2.post(link["url"], json={"values": kept.values})
        assert answered.status_code == 200, answered.text
        again = httpx2.post(link["url"], json={"values": kept.values})
        assert again.status_code == 410, again.text
        for one in (page, answered, again):
            captured.add("the request's page", one.content)
    else:
        command = [BUDFLOW, "credential", "add", "--kind", kept.kind.name, "--name", kept.name, "--file", "-", "--json"]
        options = [part for host in hosts for part in ("--host", host)]
        done = subprocess.run(
            [*command, "--grant", "project", *options],
            input=orjson.dumps(kept.values),
            env=environment(data_dir),
            capture_output=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stderr
        captured.add("the command", done.stdout + done.stderr)


def _refused(server: Serving, kept: Kept, captured: Captured) -> None:
    """Ask for what is refused, with the secret in it: the refusal must not repeat it."""
    lists = {key: [kept.canaries[0]] for key in kept.values}
    spoilt: list[Mapping[str, Any]] = [
        {
            "kind": kept.kind.name,
            "name": "spoilt",
            "hosts": ["*"],
            "values": {**kept.values, "surplus": kept.canaries[0]},
        },
        {"kind": kept.kind.name, "name": "spoilt", "hosts": ["*"], "values": lists},
        {"kind": "bearer", "name": kept.canaries[0], "hosts": ["*"], "values": kept.values},
        {"kind": kept.kind.name, "name": "spoilt", "hosts": ["*"], "values": f"{kept.canaries[0]}"},
    ]
    for body in spoilt:
        answer = server.client.post("/credentials", json=body)
        assert answer.status_code == 422, answer.text
        if body["name"] == "spoilt":  # A name is no secret: it is shown, so that it can be mended.
            captured.add("a refusal", answer.content)


def _through_every_node(server: Serving, echo: Echo, captured: Captured) -> None:
    """Run each node type of this release on what the server says of a credential."""
    for spec in build().types():
        if spec.trigger:
            continue
        document, items = through(spec, echo.url, "bearer")
        asked = {"items": items, "wait_seconds": 3}
        ended = server.client.post(f"/workflows/{server.create(document)}/executions", json=asked).json()
        execution_id = ended["execution"]["id"]
        reached = {node["key"] for node in ended["nodes"] if node["status"] != "skipped"}
        assert reached >= {"ask", "node"}, (spec.name, ended)
        captured.add(spec.name, server.client.post(f"/executions/{execution_id}/cancel").content)


def _call_signed(server: Serving, kept: Kept, captured: Captured) -> None:
    """Call a webhook that checks signatures, with a right one and with the secret itself in its place."""
    signed = {"path": "signed", "respond": "last_node"}
    hook = {"type": "trigger.webhook", "params": signed, "credentials": {"signature": kept.name}}
    copy = {"type": "data.set", "params": {"values": {"a": "{{ $json }}"}}}
    workflow = server.create(chain("Signed", {"hook": hook, "copy": copy}))
    server.client.post(f"/workflows/{workflow}/publish", json={}).raise_for_status()
    digest = hmac.new(kept.values["secret"].encode(), b"{}", hashlib.sha256).hexdigest()
    for signature, status in ((digest, 200), (kept.values["secret"], 401)):
        answer = httpx2.post(f"{server.url}/webhook/signed", content=b"{}", headers={"X-Signature": signature})
        assert answer.status_code == status, answer.text
        captured.add("the webhook", answer.content)


def _read_everything(server: Serving, captured: Captured, data_dir: Path) -> None:
    """Read all that the server shows, by HTTP, as a stream, over MCP and by commands."""
    for path in ("/credentials?limit=50", "/credential-kinds", "/status", "/waits", "/openapi.json", "/workflows"):
        captured.add(path, server.client.get(path).content)
    for shown in server.client.get("/credentials?limit=50").json()["credentials"]:
        for path in (f"/credentials/{shown['id']}", f"/credentials/{shown['id']}/uses"):
            captured.add(path, server.client.get(path).content)
    executions = server.client.get("/executions?limit=200").json()["executions"]
    for execution in executions:
        path = f"/executions/{execution['id']}"
        captured.add(path, server.client.get(path, params={"detail": "items"}).content)
        captured.add(path, server.client.get(f"/workflows/{execution['workflow_id']}").content)
        captured.add(f"{path}/logs", _whole_log(server, f"{path}/logs"))
        if execution["status"] in ("failed", "succeeded"):
            captured.add(f"{path}/events", server.client.get(f"{path}/events").content)
    with mcp_client(data_dir) as client:
        for tool in ("list_credentials", "list_executions", "list_workflows"):
            captured.add(f"the tool {tool}", json.dumps(client.tool(tool)))
        for execution in executions:
            answer = client.tool("get_execution", execution_id=execution["id"], detail="items")
            captured.add("the tool get_execution", json.dumps(answer))
        client.process.stdin.close()  # type: ignore[union-attr] # it has one
        captured.add("the MCP process", client.process.stderr.read())  # type: ignore[union-attr] # as above
    for command in (
        ("credential", "list", "--json"),
        ("credential", "show", "bearer"),
        ("credential", "uses", "bearer", "--json"),
        ("execution", "show", executions[0]["id"]),
        ("execution", "logs", executions[0]["id"], "--level", "debug"),
        ("status", "--json"),
    ):
        done = subprocess.run([BUDFLOW, *command], env=environment(data_dir), capture_output=True, timeout=SECONDS)
        assert done.returncode == 0, (command, done.stderr)
        captured.add(" ".join(command), done.stdout + done.stderr)


def _whole_log(server: Serving, path: str) -> bytes:
    """Every line of a log; some of them are of the node that was given a credential."""
    answer = server.client.get(path, params={"level": "debug", "limit": 1000})
    assert answer.status_code == 200, answer.text
    assert answer.json()["lines"], path
    return answer.content


def _look_at_ray(dashboard: str, token: str, captured: Captured) -> None:
    """What Ray's dashboard and state API show of tasks, actors, objects, workers and environments."""
    for path in ("tasks", "actors", "objects", "workers", "runtime_envs"):
        url = f"{dashboard}/api/v0/{path}?detail=1&limit=1000"
        answer = httpx2.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=SECONDS)
        assert answer.status_code == 200, (path, answer.text)
        assert len(answer.content) > 100, (path, answer.text)
        captured.add(f"Ray's {path}", answer.content)


# --- the server --------------------------------------------------------------------------------------------------


@contextmanager
def _server(data_dir: Path, log: Path, captured: Captured, **settings: str) -> Iterator[Serving]:
    """A `budflow serve` that writes its log to a file, which a pipe would hold up."""
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [BUDFLOW, "serve", "--port", "0", "--json"],
            env=environment(data_dir, **settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, log.read_text()[-2000:]
            captured.add("stdout", line)
            server = Serving(process, orjson.loads(line), data_dir)
            with server.client:
                yield server
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(SECONDS)
            captured.add("stdout", process.stdout.read())
            process.stdout.close()


def _await_executor(server: Serving, name: str) -> None:
    eventually(lambda: server.client.get("/status").json()["executor"]["name"] == name, f"{name} is up", 120)

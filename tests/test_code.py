"""Code nodes through the real doors: a server with its sandboxd, agents, a single run, a sandboxd by itself."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from budflow.model.sandbox import REDUCED_ISOLATION
from tests.certificate import self_signed
from tests.docker_engine import DockerServer
from tests.processes import BUDFLOW, Serving, command, environment, eventually, mcp_client, serving

pytestmark = pytest.mark.process

GRADES = Path(__file__).parents[1] / "examples" / "code.json"
STUDENTS = [{"name": "Ada", "marks": [90, 95]}, {"name": "Bo", "marks": [70, 75]}]
BEST = {"name": "Ada", "mean": 92.5, "passed": True}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def sandbox(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """The settings of each way of isolation."""
    if request.param == "process":
        return by_process()
    server: DockerServer = request.getfixturevalue("docker_server")
    return {"BUDFLOW_SANDBOX": "docker", "BUDFLOW_SANDBOX_DOCKER_URL": server.url}


def by_process() -> Mapping[str, str]:
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    return {"BUDFLOW_SANDBOX": "process", "BUDFLOW_SANDBOX_DOCKER_URL": "unix:///nonexistent/docker.sock"}


def workflow(code: str, **node: Any) -> dict[str, Any]:
    params = {"code": code, **node.pop("params", {})}
    nodes = {"start": {"type": "trigger.manual"}, "code": {"type": "code.python", "params": params, **node}}
    return {"format": 1, "name": "code", "nodes": nodes, "edges": [{"from": "start", "to": "code"}]}


def ran(server: Serving, document: Mapping[str, Any], items: list[dict[str, Any]]) -> dict[str, Any]:
    """Run a workflow to its end; the execution, its nodes and its result."""
    workflow_id = server.create(document)
    answer = server.client.post(f"/workflows/{workflow_id}/executions", json={"items": items}).json()
    execution_id = answer["execution"]["id"]
    eventually(lambda: server.status_of(execution_id) in ("succeeded", "failed"), "its end")
    shown: dict[str, Any] = server.client.get(f"/executions/{execution_id}").json()
    return shown


def logged(server: Serving, shown: Mapping[str, Any]) -> list[dict[str, Any]]:
    path = f"/executions/{shown['execution']['id']}/logs"
    lines: list[dict[str, Any]] = server.client.get(path, params={"level": "debug"}).json()["lines"]
    return lines


def test_code_runs_in_the_sandbox_of_a_server_which_says_how_it_isolates(
    data_dir: Path, sandbox: Mapping[str, str]
) -> None:
    way = sandbox["BUDFLOW_SANDBOX"]
    with serving(data_dir, **sandbox) as server:
        assert server.client.get("/status").json()["sandbox"]["state"] == "idle"

        shown = ran(server, orjson.loads(GRADES.read_bytes()), STUDENTS)

        assert shown["result"]["items"] == [{"json": BEST}]
        lines = logged(server, shown)
        place = shown["nodes"][1]["place"]
        assert (place["isolation"], place["label"]) == (way, REDUCED_ISOLATION if way == "process" else None)
        assert (place["image"] or "").startswith("sha256:") is (way == "docker")
        assert "2 were graded" in [line["message"] for line in lines]
        assert {line["fields"]["isolation"] for line in lines if "isolation" in line["fields"]} == {way}
        status = server.client.get("/status").json()["sandbox"]
        assert (status["state"], status["isolation"], status["tasks_done"]) == ("running", way, 2)
        assert status["label"] == (REDUCED_ISOLATION if way == "process" else None)
        assert (status["image"] or "").startswith("sha256:") is (way == "docker")
        told = orjson.loads(command(data_dir, "sandbox", "status", "--json", exits=0, **sandbox).stdout)
        assert told["isolation"] == way
        assert (REDUCED_ISOLATION in command(data_dir, "status").stdout) is (way == "process")


def test_what_is_wrong_with_code_is_told_with_its_line(data_dir: Path, sandbox: Mapping[str, str]) -> None:
    with serving(data_dir, **sandbox) as server:
        shown = ran(server, workflow("rows = []\nreturn rows[len(items)]"), [{}])
        late = ran(server, workflow("while True: pass", params={"timeout_seconds": 0.5}), [{}])
        greedy = ran(server, workflow("x = bytearray(400 << 20)\nx[::4096] = b'1' * len(x[::4096])"), [{}])
        after = ran(server, workflow("return {'well': True}"), [{}])

    failures = [one["nodes"][1]["failure"] for one in (shown, late, greedy)]
    assert [one["code"] for one in failures] == ["code.failed", "code.timed_out", "code.out_of_memory"]
    assert "IndexError" in failures[0]["message"]
    assert "line 2" in failures[0]["message"]
    assert after["result"]["items"] == [{"json": {"well": True}}]


def test_an_agent_runs_code_and_is_told_what_is_wrong_with_it_before(data_dir: Path) -> None:
    with serving(data_dir, **by_process()), mcp_client(data_dir) as agent:
        told = agent.tool("validate_workflow", document=workflow("return [", params={"mode": "each"}))
        [problem] = [one for one in told["problems"] if one["code"] == "code.invalid"]
        assert problem["path"] == "/nodes/code/params/code"

        document = workflow("return {'n': len(items)}")
        created = agent.tool("create_workflow", document=document)
        started = agent.tool("run_workflow", workflow_id=created["workflow"]["id"], items=[{}, {}])

    assert started["result"]["items"] == [{"json": {"n": 2}}]


def test_a_single_run_has_a_sandbox_of_its_own(data_dir: Path) -> None:
    done = command(data_dir, "run", str(GRADES), "--input", orjson.dumps(STUDENTS).decode(), exits=0, **by_process())

    assert orjson.loads(done.stdout) == BEST


def test_with_neither_docker_nor_bubblewrap_no_code_runs_and_the_way_out_is_told(data_dir: Path) -> None:
    nothing = {"BUDFLOW_SANDBOX": "auto", "BUDFLOW_SANDBOX_DOCKER_URL": "unix:///nonexistent/docker.sock"}
    with serving(data_dir, PATH="/nonexistent", **nothing) as server:
        failure = ran(server, workflow("return {}"), [{}])["nodes"][1]["failure"]

        assert failure["code"] == "sandbox.unavailable"
        assert "bubblewrap" in failure["message"] + failure["hint"]
        assert server.client.get("/status").json()["sandbox"]["state"] in ("idle", "failed")


def test_where_the_sandbox_is_off_a_workflow_with_code_cannot_be_published(data_dir: Path) -> None:
    with serving(data_dir, BUDFLOW_SANDBOX="off") as server:
        problems = server.client.post("/workflows/validate", json={"document": workflow("return {}")}).json()[
            "problems"
        ]
        assert [(one["code"], one["blocks"]) for one in problems] == [("sandbox.off", "run")]

        failed = ran(server, workflow("return {}"), [{}])
        assert failed["nodes"][1]["failure"]["code"] == "sandbox.unavailable"
        assert server.client.get("/status").json()["sandbox"]["state"] == "off"


def test_code_whose_sandboxd_was_killed_runs_again_by_its_retry(data_dir: Path) -> None:
    retry = {"tries": 3, "wait_seconds": 0.1}
    with serving(data_dir, **by_process()) as server:
        workflow_id = server.create(workflow("import time\ntime.sleep(1.5)\nreturn {'n': 1}", retry=retry))
        execution_id = server.start(workflow_id)
        pid = eventually(lambda: children_of(server.process.pid, "budflow.sandboxd"), "sandboxd")[0]
        eventually(lambda: is_busy(server), "code at work")
        os.kill(pid, signal.SIGKILL)

        eventually(lambda: server.status_of(execution_id) == "succeeded", "its end")
        shown = server.client.get(f"/executions/{execution_id}").json()

    assert shown["nodes"][1]["tries"] == 2
    assert shown["result"]["items"] == [{"json": {"n": 1}}]


def test_the_sandboxd_of_a_server_ends_with_it_however_that_ends(data_dir: Path) -> None:
    with serving(data_dir, **by_process()) as server:
        ran(server, workflow("return {}"), [{}])
        [pid] = children_of(server.process.pid, "budflow.sandboxd")
        server.tell(signal.SIGKILL)

        eventually(lambda: not Path(f"/proc/{pid}").exists(), "the end of sandboxd", seconds=20)


def test_a_sandboxd_by_itself_serves_the_servers_that_name_it(data_dir: Path, tmp_path: Path) -> None:
    directory = tmp_path / "sandbox"
    address = {"BUDFLOW_SANDBOX_ADDRESS": f"unix:{directory}/sandboxd.sock"}
    with (
        started(data_dir, "serve", "--directory", directory, **by_process()) as told,
        serving(data_dir, **address) as server,
    ):
        shown = ran(server, workflow("return {'n': len(items)}"), [{}, {}])
        status = server.client.get("/status").json()["sandbox"]

        assert told["isolation"] == "process"
        assert shown["result"]["items"] == [{"json": {"n": 2}}]
        assert (status["state"], status["tasks_done"]) == ("running", 1)
        assert children_of(server.process.pid, "budflow.sandboxd") == []
        found = orjson.loads(command(data_dir, "doctor", "--json", exits=0, **address).stdout)["findings"]
        assert next(one["level"] for one in found if one["subject"] == "sandbox") == "ok"


@contextmanager
def started(data_dir: Path, *words: object, **settings: str) -> Iterator[dict[str, Any]]:
    """A running `budflow sandbox …`, and what it told; at the end it is gone."""
    process = subprocess.Popen(
        [BUDFLOW, "sandbox", *map(str, words), "--json"],
        env=environment(data_dir, **settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield orjson.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=30)
        assert process.returncode == 0


def children_of(parent: int, module: str) -> list[int]:
    """The processes below another one that run this module."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            status = (entry / "status").read_text() if entry.name.isdecimal() else ""
            words = (entry / "cmdline").read_bytes().split(b"\0") if f"\nPPid:\t{parent}\n" in status else []
        except OSError:
            continue  # It has just ended.
        if module.encode() in words:
            found.append(int(entry.name))
    return found


def test_an_external_worker_comes_by_tls_with_a_ticket_and_runs_the_code_of_its_project(
    data_dir: Path, tmp_path: Path
) -> None:
    directory, sockets = tmp_path / "sandbox", tmp_path / "w"
    sockets.mkdir()
    chain, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    for path, pem in zip((chain, key), self_signed("localhost"), strict=True):
        path.write_bytes(pem)
    address = {"BUDFLOW_SANDBOX_ADDRESS": f"unix:{directory}/sandboxd.sock"}
    files = ("--certificate", chain, "--key", key)
    with started(
        data_dir, "serve", "--directory", directory, "--listen", "127.0.0.1:0", *files, BUDFLOW_SANDBOX="off"
    ) as told:
        assert told["isolation"] == "external"
        ticket = command(data_dir, "sandbox", "ticket", exits=0, **address).stdout.strip()
        connect = ("--connect", f"localhost:{told['external_port']}", "--ca", chain)
        with (
            started(data_dir, "relay", *connect, "--directory", sockets),
            subprocess.Popen(
                [sys.executable, "-I", "-m", "budflow.sandbox.worker"],
                env={"BUDFLOW_TICKET": ticket, "BUDFLOW_SOCKETS": str(sockets)},
            ) as worker,
            serving(data_dir, **address) as server,
        ):
            shown = ran(server, workflow("return {'n': len(items)}"), [{}, {}])
            isolation = {line["fields"].get("isolation") for line in logged(server, shown)}
            worker.terminate()

    assert shown["result"]["items"] == [{"json": {"n": 2}}]
    assert "external" in isolation


def test_code_that_is_cancelled_or_out_of_the_nodes_time_stops_at_once(data_dir: Path) -> None:
    endless = workflow("import time\ntime.sleep(600)", params={"timeout_seconds": 600})
    with serving(data_dir, **by_process()) as server:
        execution_id = server.start(server.create(endless))
        eventually(lambda: is_busy(server), "code at work")
        server.client.post(f"/executions/{execution_id}/cancel", json={})
        eventually(lambda: server.status_of(execution_id) == "cancelled", "its end", seconds=10)

        late = ran(server, {**endless, "nodes": with_limit(endless["nodes"], 0.5)}, [{}])
        assert late["nodes"][1]["failure"]["code"] == "node.timed_out"
        eventually(lambda: not is_busy(server), "the end of the code", seconds=10)


def test_lists_that_are_too_long_for_memory_pass_through_code(data_dir: Path) -> None:
    wide = {"memory_mb": 512}
    nodes = {
        "start": {"type": "trigger.manual"},
        "make": {"type": "code.python", "params": {"code": "for n in range(25_000): yield {'n': n}", **wide}},
        "call": {
            "type": "code.function",
            "params": {
                "code": "def main(n: int): return 1 / (n - 20_007) and n",
                "arguments": {"n": "{{ $json.n }}"},
                **wide,
            },
            "on_error": "error_output",
        },
        "sum": {"type": "code.python", "params": {"code": "return {'sum': sum(i['value'] for i in items)}", **wide}},
    }
    edges = [{"from": "start", "to": "make"}, {"from": "make", "to": "call"}, {"from": "call", "to": "sum"}]
    with serving(data_dir, **by_process()) as server:
        shown = ran(server, {"format": 1, "name": "long", "nodes": nodes, "edges": edges}, [{}])

    assert shown["nodes"][2]["counts"] == {"main": 24_999, "error": 1}
    assert shown["result"]["items"] == [{"json": {"sum": sum(range(25_000)) - 20_007}}]


def is_busy(server: Serving) -> bool:
    return "busy" in server.client.get("/status").json()["sandbox"]["workers"]


def with_limit(nodes: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    return {**nodes, "code": {**nodes["code"], "timeout_seconds": seconds}}

"""Whole processes on one data directory: who owns it, how they start, hand over, end and die."""

import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import orjson
import pytest

from budflow.storage.owner import read_owner
from tests.processes import BUDFLOW, McpClient, asking, command, environment, eventually, mcp_client, serving, silence

pytestmark = pytest.mark.process

HELLO = Path(__file__).parents[1] / "examples" / "hello.json"
#: What nothing needs before the first request to it: each costs tenths of a second or many megabytes. (FastAPI itself
#: imports OpenTelemetry's API, which is small.)
LATE = {"alembic", "boto3", "botocore", "docker", "mcp", "opentelemetry.sdk", "ray", "redis", "rich", "structlog"}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


# --- start and end ---------------------------------------------------------------------------------------------------


def test_a_server_answers_and_ends_cleanly(data_dir: Path) -> None:
    with serving(data_dir) as server:
        assert httpx2.get(f"{server.url}/readyz").status_code == 200
        assert httpx2.get(f"{server.url}/api/v1/docs").status_code == 200
        owner = read_owner(data_dir)
        assert owner is not None
        assert (owner.pid, owner.address, owner.socket) == (server.process.pid, server.url, str(server.socket))

        server.tell(signal.SIGTERM)
        code, errors = server.wait()

    assert (code, [orjson.loads(line)["event"] for line in errors.splitlines()]) == (0, ["server.stopping"])
    assert not server.socket.exists()
    assert read_owner(data_dir) is None


def test_ctrl_c_is_a_clean_end_too(data_dir: Path) -> None:
    with serving(data_dir) as server:
        server.tell(signal.SIGINT)

        assert server.wait()[0] == 0


def test_a_server_without_stdin_answers(data_dir: Path) -> None:
    script = f'exec "{BUDFLOW}" serve --port 0 --json <&-'
    with subprocess.Popen(
        ["bash", "-c", script], env=environment(data_dir), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = orjson.loads(process.stdout.readline())
        assert httpx2.get(f"{told['url']}/readyz").status_code == 200
        process.terminate()
        assert process.wait(timeout=30) == 0


def test_before_the_first_request_nothing_heavy_is_loaded(data_dir: Path) -> None:
    script = """
import asyncio, os, signal, sys
from budflow.cli.main import load_command
from budflow.log import configure
from budflow.server import serve
from budflow.settings import Settings

def on_ready(served):
    print(*sys.modules)
    os.kill(os.getpid(), signal.SIGTERM)

configure("info")
load_command("serve")
asyncio.run(serve.serve(Settings(port=0), on_ready))
"""
    with serving(data_dir):  # The first start makes the schema, for which Alembic is loaded.
        pass

    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(data_dir),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    loaded = set(done.stdout.splitlines()[0].split())
    assert "uvicorn" in loaded
    assert loaded & LATE == set()


@pytest.mark.ray
@pytest.mark.xdist_group("own_ray")
def test_a_server_on_ray_answers_before_it_is_up_and_ends_without_a_word_of_rays(data_dir: Path) -> None:
    with serving(data_dir, "--executor", "ray", BUDFLOW_RAY_DASHBOARD="false", BUDFLOW_RAY_RUNNERS="1") as server:
        executor = server.client.get("/status").json()["executor"]
        assert (executor["name"], executor["ray"]["state"]) == ("inprocess", "starting")
        eventually(lambda: server.client.get("/status").json()["executor"]["name"] == "ray", "Ray is up")

        execution_id = server.start(server.create(orjson.loads(HELLO.read_bytes())))
        detail = server.client.get(f"/executions/{execution_id}/wait").json()
        assert detail["execution"]["status"] == "succeeded"
        assert {node["place"]["executor"] for node in detail["nodes"]} == {"ray"}

        server.tell(signal.SIGTERM)
        code, errors = server.wait()

    assert (code, [orjson.loads(line)["event"] for line in errors.splitlines()]) == (
        0,
        ["ray.started", "server.stopping"],
    )


# --- refusals --------------------------------------------------------------------------------------------------------


def test_a_second_server_is_refused_with_the_pid_and_the_address_of_the_first(data_dir: Path) -> None:
    with serving(data_dir) as server:
        refused = command(data_dir, "serve", "--port", "0", exits=1)

    assert "owner.exists" in refused.stderr
    assert str(server.process.pid) in refused.stderr
    assert server.url in refused.stderr


def test_a_port_that_is_taken_is_one_clear_error_and_frees_the_directory(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = command(data_dir, "serve", "--port", str(taken.getsockname()[1]), exits=1)

    assert "server.port_taken" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert read_owner(data_dir) is None


def test_other_machines_are_not_served(data_dir: Path) -> None:
    assert "server.exposed" in command(data_dir, "serve", "--host", "0.0.0.0", exits=1).stderr


def test_a_directory_that_cannot_be_written_is_one_clear_error() -> None:
    nowhere = Path("/proc/budflow")  # Not even root may write there.

    refused = command(nowhere, "serve", "--port", "0", exits=1)

    assert "owner.data_dir_refused" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_agent_is_told_of_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    line = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'

    done = subprocess.run([BUDFLOW, "mcp"], env=environment(file), input=line, capture_output=True, timeout=60)

    assert orjson.loads(done.stdout)["error"]["data"]["code"] == "owner.data_dir_refused"
    assert b"Traceback" not in done.stderr


def test_a_cluster_without_postgresql_is_refused_at_the_start(data_dir: Path) -> None:
    refused = command(data_dir, "serve", "--executor", "ray", exits=1, BUDFLOW_RAY_ADDRESS="head.example:6379")

    assert "ray.needs_postgresql" in refused.stderr


# --- together on one data directory ----------------------------------------------------------------------------------


def test_a_server_two_agents_and_the_command_line_share_a_directory(data_dir: Path) -> None:
    document = orjson.loads(HELLO.read_bytes())
    with serving(data_dir) as server, mcp_client(data_dir) as first, mcp_client(data_dir) as second:
        workflow_id = first.tool("create_workflow", document=document)["workflow"]["id"]
        failed: list[BaseException] = []

        def use(client: McpClient) -> None:
            try:
                for _ in range(10):
                    client.tool("run_workflow", workflow_id=workflow_id, items=[{"name": "Ada"}])
            except BaseException as error:  # noqa: BLE001 - told to the test's own thread
                failed.append(error)

        threads = [threading.Thread(target=use, args=(client,)) for client in (first, second)]
        for thread in threads:
            thread.start()
        commands = [
            command(data_dir, "execution", "start", workflow_id, "--wait"),
            command(data_dir, "workflow", "list"),
            command(data_dir, "status"),
        ]
        for thread in threads:
            thread.join()
        listed = server.client.get("/executions", params={"limit": 100}).json()["executions"]
        left = [first.leave(), second.leave()]
        server.tell(signal.SIGTERM)
        ended = server.wait()

    assert failed == []
    assert len(listed) == 21
    assert {one["status"] for one in listed} == {"succeeded"}
    assert {one["mode"] for one in listed} == {"mcp", "cli"}
    assert [code for code, _ in (*left, ended)] == [0, 0, 0]
    said = "".join([*(done.stdout + done.stderr for done in commands), *(errors for _, errors in (*left, ended))])
    assert "locked" not in said


def test_without_a_server_an_agent_owns_the_directory_and_the_command_line_finds_it(data_dir: Path) -> None:
    with mcp_client(data_dir) as agent:
        workflow_id = agent.tool("create_workflow", document=orjson.loads(HELLO.read_bytes()))["workflow"]["id"]
        eventually(lambda: (owner := read_owner(data_dir)) and owner.socket, "the owner listens")

        assert workflow_id in command(data_dir, "workflow", "list").stdout
        assert "not served" in command(data_dir, "status").stdout
        code, _ = agent.leave()

    assert code == 0
    assert read_owner(data_dir) is None


def test_a_server_takes_over_from_an_agent_whose_client_notices_nothing(data_dir: Path) -> None:
    with mcp_client(data_dir) as owner:
        workflow_id = owner.tool("create_workflow", document=orjson.loads(HELLO.read_bytes()))["workflow"]["id"]
        eventually(lambda: (found := read_owner(data_dir)) and found.socket, "the owner listens")
        with mcp_client(data_dir) as other, serving(data_dir) as server:
            found = read_owner(data_dir)
            assert found is not None
            assert (found.pid, found.kind) == (server.process.pid, "serve")

            for agent in (owner, other):
                assert agent.tool("run_workflow", workflow_id=workflow_id)["execution"]["status"] == "succeeded"
            assert server.client.get(f"/workflows/{workflow_id}").status_code == 200

            assert other.leave()[0] == 0
            assert owner.leave()[0] == 0


def test_when_the_server_dies_an_agent_becomes_the_owner(data_dir: Path) -> None:
    with serving(data_dir) as server, mcp_client(data_dir) as agent:
        workflow_id = server.create(orjson.loads(HELLO.read_bytes()))
        server.tell(signal.SIGKILL)
        server.wait()

        agent.tool("search_nodes", query="http")  # A read that was under way is asked again of the next owner.
        assert agent.tool("run_workflow", workflow_id=workflow_id)["execution"]["status"] == "succeeded"
        found = read_owner(data_dir)
        assert found is not None
        assert found.pid == agent.process.pid


# --- executions and the end of the process ---------------------------------------------------------------------------


def test_an_execution_that_a_kill_cut_off_is_shown_as_unfinished(data_dir: Path) -> None:
    with silence() as service:
        with serving(data_dir) as server:
            execution_id = server.start(server.create(asking(service.url)))
            service.asked()
            server.tell(signal.SIGKILL)
            server.wait()

        with serving(data_dir) as server:
            assert server.status_of(execution_id) == "running"
            shown = command(data_dir, "execution", "show", execution_id, "--json")

    nodes = {node["key"]: node["status"] for node in orjson.loads(shown.stdout)["nodes"]}
    assert nodes == {"start": "succeeded", "ask": "running"}


def test_what_runs_when_the_server_is_told_to_end_may_finish(data_dir: Path) -> None:
    with silence() as service:
        with serving(data_dir) as server:
            execution_id = server.start(server.create(asking(service.url)))
            service.asked()
            with server.client.stream("GET", f"/executions/{execution_id}/events") as events:
                server.tell(signal.SIGTERM)
                eventually(lambda: _refuses(server.url), "no new connections")
                service.answer()
                assert "execution.finished" in "".join(events.iter_text())
            assert server.wait()[0] == 0

        with serving(data_dir) as server:
            assert server.status_of(execution_id) == "succeeded"


def test_a_second_signal_ends_the_server_at_once(data_dir: Path) -> None:
    with silence() as service, serving(data_dir) as server:
        server.start(server.create(asking(service.url)))
        service.asked()
        server.tell(signal.SIGTERM)
        eventually(lambda: _refuses(server.url), "no new connections")

        server.tell(signal.SIGTERM)

        assert server.wait()[0] == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_agents_process_ends_cleanly_when_told_to(data_dir: Path, number: signal.Signals) -> None:
    with mcp_client(data_dir) as agent:
        agent.process.send_signal(number)

        assert agent.process.wait(timeout=30) == 0

    assert read_owner(data_dir) is None


def _refuses(url: str) -> bool:
    try:
        httpx2.get(f"{url}/healthz")
    except httpx2.TransportError:
        return True
    return False

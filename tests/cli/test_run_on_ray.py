"""`budflow run --ray`: the same as in process, as tasks on a Ray cluster, and `--retries` in both."""

import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.api.waits import approval
from tests.cli.conftest import EXAMPLES, Cli, OwnerThread, told, workflow, write
from tests.processes import BUDFLOW, SECONDS, asking, command, environment, silence
from tests.ray_cluster import RayCluster
from tests.ray_session import processes_naming

HELLO = EXAMPLES / "hello.json"
ON_RAY = [pytest.mark.process, pytest.mark.ray, pytest.mark.xdist_group("ray")]
CANCEL_SECONDS_MAX = 2.0
#: What differs from run to run in what --json tells.
TIMES = ("created_at", "started_at", "finished_at", "duration_ms")
VARYING = (*TIMES, "id", "workflow_id", "execution_id", "traceparent", "place")


@contextmanager
def failing(times: int) -> Iterator[tuple[str, list[str]]]:
    """A service that refuses so many requests at first: its address, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response_only(503 if len(asked) <= times else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def sending(url: str, **more: Any) -> dict[str, Any]:
    """Two nodes, of which the second one sends what the first one computed."""
    nodes = {
        "start": {"type": "trigger.manual"},
        "count": {"type": "data.set", "params": {"values": {"n": 1, "mode": "{{ $execution.mode }}"}}, **more},
        "send": {"type": "http.request", "params": {"url": f"{url}/n/{{{{ $json.n }}}}", "method": "POST"}, **more},
    }
    return workflow(nodes, ("start", "count"), ("count", "send"))


def steady(value: Any) -> Any:
    """What --json tells, without what varies."""
    if isinstance(value, dict):
        return {key: steady(inner) for key, inner in value.items() if key not in VARYING}
    return [steady(inner) for inner in value] if isinstance(value, list) else value


def test_a_failed_execution_goes_on_from_its_last_good_nodes(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDFLOW_HTTP_ALLOW", "127.0.0.1")
    with failing(2) as (url, asked):
        result = cli("run", write(tmp_path / "flow.json", sending(url)), "--retries", "3", "--json")

    detail = told(result)
    assert (detail["execution"]["status"], detail["execution"]["origin"]["kind"]) == ("succeeded", "retry")
    assert asked == ["/n/1"] * 3
    assert "Retry 1 of 3." in result.stderr
    assert "Retry 3 of 3." not in result.stderr


def test_what_goes_on_failing_is_tried_no_more_than_was_asked_for(cli: Cli, tmp_path: Path) -> None:
    stop = {"type": "flow.stop_and_error", "params": {"message": "No stock."}}
    document = workflow({"start": {"type": "trigger.manual"}, "stop": stop}, ("start", "stop"))

    result = cli("run", write(tmp_path / "flow.json", document), "--retries", "2", exits=1)

    assert "Retry 2 of 2." in result.stderr
    assert "Node `stop`: No stock." in result.stderr


def test_a_recorded_execution_is_retried_by_the_server(cli: Cli, served: OwnerThread, tmp_path: Path) -> None:
    with failing(1) as (url, asked):
        flow = write(tmp_path / "flow.json", sending(url))
        detail = told(cli("run", flow, "--record", "--retries", "1", "--json"))

    assert (detail["execution"]["status"], len(asked)) == ("succeeded", 2)
    kept = told(cli("execution", "show", detail["execution"]["id"], "--json"))
    assert kept["execution"]["origin"]["kind"] == "retry"


def test_a_recorded_run_says_where_it_runs_by_the_servers_settings(cli: Cli) -> None:
    assert "--record is for one" in cli("run", HELLO, "--record", "--ray", "local", exits=2).stderr


def test_where_there_is_no_ray_that_is_told(cli: Cli) -> None:
    assert "ray.unreachable" in cli("run", HELLO, "--ray", "127.0.0.1:1", exits=1).stderr


@pytest.mark.process
def test_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    _interrupt(tmp_path)


def _interrupt(tmp_path: Path, *options: str, **joins: str) -> None:
    """Interrupt a run whose heavy node waits for an answer, and see that it waits no more."""
    with silence() as service:
        document = asking(service.url)
        document["nodes"]["ask"]["resources"] = {"num_cpus": 1}
        process = subprocess.Popen(
            [BUDFLOW, "run", str(write(tmp_path / "flow.json", document)), *options],
            env=environment(tmp_path, **joins),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        service.asked()

        process.send_signal(signal.SIGINT)
        interrupted_at = time.monotonic()
        service.hung_up()
        gone_after = time.monotonic() - interrupted_at
        stdout, stderr = process.communicate(timeout=SECONDS)

    assert gone_after < CANCEL_SECONDS_MAX
    assert (process.returncode, stdout) == (130, b""), stderr


class TestOnACluster:
    """One of two nodes."""

    pytestmark = ON_RAY

    def test_the_output_is_that_of_a_run_in_process(self, two_nodes: RayCluster, tmp_path: Path) -> None:
        told, joins = [], two_nodes.environment()
        for ray in ((), ("--ray", two_nodes.address)):
            with failing(1) as (url, asked):
                flow = write(tmp_path / "flow.json", sending(url, resources={"num_cpus": 1}))
                done = command(tmp_path, "run", str(flow), "--retries", "1", "--json", *ray, exits=0, **joins)
                told.append((orjson.loads(done.stdout), done.stderr.replace(url, "")))
            assert asked == ["/n/1"] * 2

        (here, said_here), (there, said_there) = told
        assert steady(there) == steady(here)
        assert said_there.partition("(")[0] == said_here.partition("(")[0]
        assert here["execution"]["status"] == "succeeded"
        places = {node["key"]: node["place"] for node in there["nodes"]}
        assert {place["executor"] for place in places.values()} == {"ray"}
        assert places["send"]["pid"] != places["start"]["pid"]

    def test_ctrl_c_ends_it_there_too(self, two_nodes: RayCluster, tmp_path: Path) -> None:
        _interrupt(tmp_path, "--ray", two_nodes.address, **two_nodes.environment())

    def test_a_stranger_is_refused(self, two_nodes: RayCluster, tmp_path: Path) -> None:
        stranger = two_nodes.environment("0" * 64)

        refused = command(tmp_path, "run", str(HELLO), "--ray", two_nodes.address, exits=1, **stranger)

        assert "ray.token_refused" in refused.stderr
        assert refused.stdout == ""


class TestOnARayOfItsOwn:
    """Started for one run."""

    pytestmark = ON_RAY

    def test_what_nobody_can_answer_ends_and_nothing_is_left_behind(self, tmp_path: Path) -> None:
        before = {*Path(tempfile.gettempdir()).glob("budflow-*ra*")}
        flow = write(tmp_path / "flow.json", approval())

        done = command(tmp_path / "data", "run", str(flow), "--ray", "local", exits=1)

        assert "The execution waits: approval." in done.stderr
        assert done.stdout == ""
        assert not (tmp_path / "data").exists()
        left = {*Path(tempfile.gettempdir()).glob("budflow-*ra*")} - before
        assert not [path for path in left if processes_naming(str(path)) or path.name.startswith("budflow-ray-")]

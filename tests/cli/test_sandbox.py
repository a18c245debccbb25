"""`budflow sandbox`: its answers where no sandboxd serves, tickets, and how its status is drawn."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from budflow.cli.draw_sandbox import described_text, sandbox_text
from budflow.cli.report import out
from budflow.sandbox.access import SandboxTicketRefused, Tickets, make_key
from tests.cli.conftest import Cli

VIEW: dict[str, Any] = {
    "wanted": "auto",
    "state": "running",
    "isolation": "docker",
    "label": None,
    "image": "sha256:" + "0123456789" * 6,
    "workers": {"idle": 1, "busy": 2},
    "workers_max": 8,
    "queued": 4,
    "problem": None,
    "hint": None,
}


def test_without_a_sandboxd_its_status_says_how_one_is_started(cli: Cli) -> None:
    told = cli("sandbox", "status", exits=3)

    assert "No sandboxd serves in" in told.stderr
    assert "budflow sandbox serve" in told.stderr


def test_a_ticket_is_good_for_one_worker_of_its_project(cli: Cli, data_dir: Path) -> None:
    directory = data_dir / "sandbox"
    directory.mkdir(parents=True)
    tickets = Tickets(make_key(directory))

    told = orjson.loads(cli("sandbox", "ticket", "--project", "acme", "--memory-mb", 512, "--json").stdout)

    grant = tickets.redeem(told["ticket"], "external")
    assert (grant.subject, grant.memory_mb) == ("acme", 512)
    assert abs(grant.expires_at - told["expires_at"]) < 5
    with pytest.raises(SandboxTicketRefused):
        tickets.redeem(told["ticket"], "external")


def test_a_ticket_for_another_directory_needs_its_key(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDFLOW_SANDBOX_ADDRESS", f"unix:{tmp_path}/sandboxd.sock")
    assert "key of sandboxd cannot be read" in cli("sandbox", "ticket", exits=1).stderr

    make_key(tmp_path)
    assert cli("sandbox", "ticket").stdout.count(".") == 1


def test_an_image_is_made_only_where_docker_answers(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_SANDBOX_DOCKER_URL", f"unix://{tmp_path}/docker.sock")

    told = orjson.loads(cli("sandbox", "build-base", "--json", exits=1).stderr)

    assert told["code"] == "sandbox.unavailable"


def test_only_root_may_become_another_user(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "--user needs root" in cli("sandbox", "serve", "--user", "nobody", exits=2).stderr

    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert "There is no user" in cli("sandbox", "serve", "--user", "no-such-user", exits=2).stderr


def test_a_relay_wants_an_address_and_certificates(cli: Cli, tmp_path: Path) -> None:
    assert "no HOST:PORT" in cli("sandbox", "relay", "--connect", "sandboxd", exits=1).stderr

    (tmp_path / "ca.crt").write_text("nothing")
    told = cli("sandbox", "relay", "--connect", "a.example:8711", "--ca", tmp_path / "ca.crt", exits=1)
    assert "holds no certificates" in told.stderr


@pytest.mark.parametrize(
    ("view", "said"),
    [
        ({"state": "off"}, "off: no code runs"),
        ({"state": "idle"}, "auto: it is started with the first code"),
        ({"state": "failed", "problem": "No Docker.", "hint": "Install it."}, "No Docker. Install it."),
        ({}, "docker, image sha256:012345678901, 3 (2 busy, 1 idle) of at most 8 workers, 4 tasks wait"),
        (
            {"isolation": "process", "label": "reduced isolation", "image": None, "workers": {}},
            "process (reduced isolation), 0 of at most 8 workers, 4 tasks wait",
        ),
        ({"problem": "Docker does not answer."}, "4 tasks wait Docker does not answer."),
    ],
)
def test_the_status_tells_in_a_line_how_code_is_isolated(view: dict[str, Any], said: str) -> None:
    assert sandbox_text({**VIEW, **view}).plain.endswith(said)


def test_all_that_a_sandboxd_tells_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    worker = {"image": "sha256:01", "memory_mb": 256, "egress": False, "project": "acme", "state": "busy"}
    told = {
        "isolation": "docker",
        "version": "0.2.0",
        "running": 3,
        "queued": 1,
        "tasks_done": 9,
        "workers_max": 8,
        "failures": {"code.failed": 2},
        "starts": 4,
        "starts_failed": 1,
        "start_seconds_median": 0.4,
        "external_port": None,
        "runner": {"engine": "28.0", "security": ["seccomp"], "limits": {"cpu": "none"}},
        "workers": [{**worker, "isolation": "docker", "count": 1}],
    }

    out().print(described_text(told))

    drawn = capsys.readouterr().out
    for said in ("3 here, 1 of them waiting, 9 done", "2 code.failed", "28.0", "seccomp", "cpu: none", "acme"):
        assert said in drawn

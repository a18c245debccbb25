"""`budflow doctor`: real checks of this machine and these settings."""

import socket
from pathlib import Path
from typing import Any

import pytest

from budflow.credentials.key_ring import open_key_ring
from budflow.sandbox.process.runner import ProcessRunner
from budflow.storage.owner import owner_key
from tests.cli.conftest import Cli, OwnerThread, told
from tests.servers import PostgresServer


def findings(cli: Cli, *, exits: int = 0) -> dict[str, dict[str, Any]]:
    """The findings by what they are about."""
    return {one["subject"]: one for one in told(cli("doctor", "--json", exits=exits))["findings"]}


@pytest.fixture(autouse=True)
def free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_PORT", "0")


def test_a_sound_machine_has_no_failing_check(cli: Cli, data_dir: Path) -> None:
    found = findings(cli)

    assert {one["level"] for one in found.values()} <= {"ok", "warn"}
    assert "WAL works" in found["database"]["message"]
    assert not data_dir.exists()


def test_people_get_a_table(cli: Cli) -> None:
    assert "data directory" in cli("doctor").stdout


def test_the_running_server_is_named(cli: Cli, served: OwnerThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_PORT", served.url.rpartition(":")[2])

    found = findings(cli)

    assert served.url in found["server"]["message"]
    assert "that server's" in found["port"]["message"]


def test_a_port_that_is_taken_fails(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("BUDFLOW_PORT", str(taken.getsockname()[1]))

        assert findings(cli, exits=1)["port"]["level"] == "fail"


def test_an_exposed_host_fails(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_HOST", "0.0.0.0")

    assert findings(cli, exits=1)["port"]["level"] == "fail"


def test_blobs_in_s3_are_written_and_read_for_a_try(cli: Cli, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_BLOB_URL", s3_url)

    found = findings(cli)["blobs"]

    assert (found["level"], s3_url.partition("?")[0] in found["message"]) == ("ok", True)


def test_a_bucket_that_is_not_there_fails(cli: Cli, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_BLOB_URL", s3_url.replace("s3://test", "s3://no"))

    found = findings(cli, exits=1)["blobs"]

    assert "the bucket does not exist" in found["message"]
    assert "Make the bucket" in found["hint"]


@pytest.mark.parametrize("url", ["gs://bucket", "file:///etc/hosts/blobs"])
def test_blobs_that_cannot_be_kept_fail(cli: Cli, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_BLOB_URL", url)

    assert findings(cli, exits=1)["blobs"]["level"] == "fail"


def test_a_readable_key_and_an_open_directory_are_found(cli: Cli, data_dir: Path) -> None:
    owner_key(data_dir)
    (data_dir / "owner.key").chmod(0o644)
    data_dir.chmod(0o755)

    found = findings(cli, exits=1)

    assert found["owner key"]["level"] == "fail"
    assert found["data directory"]["level"] == "warn"


def test_encryption_keys_that_others_may_read_are_found(cli: Cli, data_dir: Path) -> None:
    open_key_ring((), data_dir).newest()
    assert findings(cli)["encryption keys"]["level"] == "ok"
    (data_dir / "encryption.keys").chmod(0o644)

    found = findings(cli, exits=1)["encryption keys"]

    assert (found["level"], "mode 644" in found["message"]) == ("fail", True)
    assert "rotate-key" in found["hint"]


def test_an_encryption_key_that_is_none_fails_without_being_shown(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_ENCRYPTION_KEYS", "not-a-key-at-all")

    found = findings(cli, exits=1)["encryption keys"]

    assert found["level"] == "fail"
    assert "not-a-key" not in str(found)


def test_a_shared_database_is_told_to_need_encryption_keys_of_its_own(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDFLOW_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")

    assert findings(cli, exits=1)["encryption keys"]["level"] == "warn"


def test_a_data_directory_that_is_a_file_fails(cli: Cli, data_dir: Path) -> None:
    data_dir.write_text("")

    assert findings(cli, exits=1)["data directory"]["level"] == "fail"


def test_a_misspelt_variable_is_a_warning_that_strict_counts(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_PROT", "1")
    monkeypatch.setenv("BUDFLOW_SECRET_GITHUB", "x")

    assert findings(cli)["settings"]["message"] == "Nobody reads BUDFLOW_PROT."
    cli("doctor", "--strict", exits=1)


def test_ray_brings_notes_about_its_ports_and_its_memory(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_EXECUTOR", "ray")

    found = findings(cli)

    assert "firewall" in found["ray's ports"]["hint"]
    assert "shared memory" in found


def test_a_cluster_that_does_not_answer_fails(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = f"127.0.0.1:{gone.getsockname()[1]}"
    monkeypatch.setenv("BUDFLOW_EXECUTOR", "ray")
    monkeypatch.setenv("BUDFLOW_RAY_ADDRESS", address)

    assert findings(cli, exits=1)["ray"]["level"] == "fail"


def test_a_cluster_with_sqlite_fails(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as head:
        monkeypatch.setenv("BUDFLOW_EXECUTOR", "ray")
        monkeypatch.setenv("BUDFLOW_RAY_ADDRESS", f"127.0.0.1:{head.getsockname()[1]}")

        assert "SQLite" in findings(cli, exits=1)["ray"]["message"]


def test_a_database_that_cannot_be_reached_fails_without_naming_the_password(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDFLOW_DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/x")

    result = cli("doctor", "--json", exits=1)

    assert "hunter2" not in result.output


@pytest.mark.parametrize("url", ["mysql://x/y", "postgresql://127.0.0.1:port/x"])
def test_a_database_url_that_is_none_fails(cli: Cli, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("BUDFLOW_DATABASE_URL", url)

    assert findings(cli, exits=1)["database"]["level"] == "fail"


@pytest.mark.postgres
def test_a_real_postgresql_tells_its_version(
    cli: Cli, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDFLOW_DATABASE_URL", postgres_server.url())

    assert findings(cli)["database"]["message"].startswith("PostgreSQL 1")


def test_without_docker_code_has_reduced_isolation_and_without_bubblewrap_none(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDFLOW_SANDBOX_DOCKER_URL", f"unix://{tmp_path / 'docker.sock'}")
    found = findings(cli)["sandbox"]
    assert (found["level"], "reduced isolation" in found["message"]) == ("warn", True)

    monkeypatch.setattr(ProcessRunner, "trouble", no_bubblewrap)
    found = findings(cli)["sandbox"]
    assert found["level"] == "warn"
    assert found["message"].startswith("Code nodes cannot run. Docker's socket is not there")
    assert "There is no bubblewrap." in found["message"]
    assert "Install Docker, or bubblewrap" in found["hint"]


@pytest.mark.parametrize("way", ["docker", "process"])
def test_a_way_of_isolation_that_is_wanted_and_not_there_is_a_fault(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("BUDFLOW_SANDBOX", way)
    monkeypatch.setenv("BUDFLOW_SANDBOX_DOCKER_URL", f"unix://{tmp_path / 'docker.sock'}")
    monkeypatch.setattr(ProcessRunner, "trouble", no_bubblewrap)

    assert findings(cli, exits=1)["sandbox"]["level"] == "fail"


def test_code_that_is_off_is_no_fault(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_SANDBOX", "off")

    assert findings(cli)["sandbox"]["level"] == "ok"


def test_a_sandboxd_that_is_to_be_there_and_is_not_is_a_fault(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDFLOW_SANDBOX_ADDRESS", f"unix:{tmp_path / 'sandboxd.sock'}")

    assert findings(cli, exits=1)["sandbox"]["level"] == "fail"


async def no_bubblewrap(_runner: ProcessRunner) -> str:
    return "There is no bubblewrap."

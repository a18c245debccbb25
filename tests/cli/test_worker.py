"""`budflow worker`: what it says when it cannot begin. How it works is in tests/test_workers.py."""

from pathlib import Path

import orjson
import pytest

from tests.cli.conftest import Cli
from tests.processes import command


@pytest.mark.process
def test_without_postgresql_it_is_one_clear_error(tmp_path: Path) -> None:
    done = command(tmp_path, "worker", "--json", exits=1)

    error = orjson.loads(done.stdout or done.stderr)
    assert error["code"] == "worker.needs_postgresql"
    assert "BUDFLOW_DATABASE_URL" in error["hint"]


def test_a_sqlite_server_must_claim_itself(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUDFLOW_CLAIM", "false")

    shown = cli("serve", exits=1).stderr

    assert "settings.invalid" in shown
    assert "BUDFLOW_CLAIM" in shown

"""A database that goes away, cuts connections or has no room: what was acknowledged waits, and goes on by itself."""

import asyncio
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import asyncpg
import httpx2
import pytest

from tests.crash.fault import CUTS, Fault, Moment
from tests.crash.lane import Lane, open_lane
from tests.crash.ledger import RunningLedger, running_ledger
from tests.crash.orders import Order, Orders, publish
from tests.crash.server import Server, ServerFailed, running_server
from tests.crash.shape import SHAPES, body_of, credential_for
from tests.crash.vault import Vault, fill
from tests.crash.verdict import judge
from tests.processes import eventually
from tests.servers import PostgresServer

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("database_faults")]

UNDER_WAY = ("chain", "branches", "items", "for_each", "wait", "sub_workflow", "retry", "try_catch")
#: Writes that meet a database that is gone, and the shape that gets there.
CUT_AT = {
    "execution.admitted": "chain",
    "node.started": "branches",
    "node.items_finished": "items",
    "node.finished": "last_node",
    "child.started": "sub_workflow",
    "child.finished": "sub_workflow",
    "wait.started": "wait",
    "store.reserve": "loop",
    "store.claim": "long_wait",
    "execution.finished": "chain",
}
FEW = 5
DISK_BYTES = 8 * 1024 * 1024
SECONDS = 30.0
#: Its connections are cut so often while executions are under way.
TIMES_CUT = 5
CUT_ALL = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


class Stage(NamedTuple):
    """A server with executions under way, and the ledger."""

    server: Server
    ledger: RunningLedger
    orders: Orders

    def busy(self) -> list[Order]:
        """One acknowledged order of each shape, all of them under way."""
        sent = [self.orders.send(self.server, SHAPES[name], delay_seconds=0.3) for name in UNDER_WAY]
        self.orders.acknowledge(self.server, sent, SECONDS)
        eventually(self.ledger.effects, "effects are under way")
        return sent

    def refuses(self) -> bool:
        """Whether a new request is refused, clearly and for now."""
        answer = httpx2.post(f"{self.server.url}/webhook/chain", json=body_of("refused", self.ledger.url), timeout=30)
        return answer.status_code == 503 and answer.headers["Content-Type"] == "application/problem+json"

    def findings(self, sent: Sequence[Order]) -> list[str]:
        """What is not well once all orders should have come to their end."""
        self.orders.acknowledge(self.server, sent, SECONDS)
        return judge(self.server, self.ledger, sent, [], SECONDS, "database fault").findings


@contextmanager
def staged(directory: Path, **settings: str) -> Iterator[Stage]:
    with ExitStack() as stack:
        ledger = stack.enter_context(running_ledger(directory / "ledger"))
        server = stack.enter_context(running_server(directory / "server", **settings))
        orders = stack.enter_context(closing(Orders(ledger, "fault")))
        publish(server, [SHAPES[name] for name in UNDER_WAY])
        yield Stage(server, ledger, orders)


@pytest.fixture
def on_postgres(tmp_path: Path, own_postgres: PostgresServer) -> Iterator[Stage]:
    with staged(tmp_path, BUDFLOW_DATABASE_URL=own_postgres.url()) as stage:
        yield stage


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Where the server's directory is to be: a file system with little room. Only root can mount one."""
    directory = tmp_path / "server"
    directory.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a small file system cannot be mounted: this needs root")
    mounted = _run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(directory))
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted: {mounted.stderr.strip()}")
    yield directory
    _run("umount", "--lazy", str(directory))


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    with open_lane("sqlite", tmp_path_factory.mktemp("cut")) as lane:
        yield lane


@pytest.mark.parametrize("moment", CUTS)
@pytest.mark.parametrize("point", CUT_AT)
def test_executions_go_on_when_one_write_is_refused_unheard_of_or_late(lane: Lane, point: str, moment: Moment) -> None:
    verdict, happened = lane.cut([SHAPES[CUT_AT[point]]], Fault(point, 1, moment))

    assert happened, "nothing ran into the fault"
    assert verdict.findings == []


@pytest.mark.postgres
def test_executions_go_on_when_postgresql_was_restarted(on_postgres: Stage, own_postgres: PostgresServer) -> None:
    sent = on_postgres.busy()

    own_postgres.pause()
    eventually(on_postgres.refuses, "new requests are refused")
    own_postgres.resume()

    assert on_postgres.findings(sent) == []
    assert on_postgres.server.deaths == []


@pytest.mark.postgres
def test_executions_go_on_when_connections_are_cut(on_postgres: Stage, own_postgres: PostgresServer) -> None:
    sent = []
    for _ in range(TIMES_CUT):
        sent += on_postgres.busy()
        assert asyncio.run(_cut_all(own_postgres))

    assert on_postgres.findings(sent) == []
    assert on_postgres.server.deaths == []


def test_executions_go_on_when_a_full_disk_has_room_again(tmp_path: Path, small_disk: Path) -> None:
    with staged(tmp_path) as stage:
        sent = stage.busy()
        filler = small_disk / "filler"
        _fill(filler)
        eventually(stage.refuses, "new requests are refused")
        filler.unlink()

        assert stage.findings(sent) == []
        assert stage.server.deaths == []


def test_what_was_under_way_goes_on_when_a_file_system_was_read_only(tmp_path: Path, small_disk: Path) -> None:
    with staged(tmp_path) as stage:
        sent = stage.busy()
        stage.server.kill()

        _run("mount", "-o", "remount,ro", str(small_disk)).check_returncode()
        with pytest.raises(ServerFailed) as failed:
            stage.server.start()
        _run("mount", "-o", "remount,rw", str(small_disk)).check_returncode()

        assert "Traceback" not in str(failed.value)
        stage.server.start()
        assert stage.findings(sent) == []


def test_keys_and_credentials_outlive_a_full_disk(tmp_path: Path, small_disk: Path) -> None:
    with running_server(small_disk) as server:
        vault, filler = Vault(server), small_disk / "filler"
        _fill(filler)
        first = server.client.post("/credentials", json=credential_for("http://127.0.0.1"))
        filler.unlink()
        fill(vault, server, FEW)
        _fill(filler)
        rotated = server.client.post("/encryption-keys/rotate")
        told = [answer.json()["code"] for answer in (first, rotated)]

        assert told == ["encryption.keys_unwritable", "encryption.keys_unwritable"]
        assert server.client.get("/credentials/c0").json()["fields"] == ["token"], "what there is stays in use"
        server.kill()
        filler.unlink()
        server.start()

        assert server.client.post("/encryption-keys/rotate").json()["rewrapped"] == FEW
        assert vault.findings() == []
        assert [one["name"] for one in server.client.get("/credentials").json()["credentials"]] == vault.acknowledged


def _fill(path: Path) -> None:
    """Write until nothing more fits."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False)


async def _cut_all(server: PostgresServer) -> int:
    connection = await asyncpg.connect(server.url())
    try:
        cut: int = await connection.fetchval(CUT_ALL)
    finally:
        await connection.close()
    return cut

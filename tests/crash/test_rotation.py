"""A rotation of the encryption key, killed at its steps on real servers: nothing is lost, and the next one ends it.

`make crash-matrix` sets BUDFLOW_ROTATION_KILLS=all: every step; otherwise a few.
"""

import base64
import contextlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from budflow.services.rotate_encryption_key import PAGE
from tests.crash.fault import Fault
from tests.crash.ledger import RunningLedger, running_ledger
from tests.crash.orders import Orders, publish
from tests.crash.server import Server, running_server
from tests.crash.shape import SHAPES, credential_for
from tests.crash.vault import Vault, changing, fill
from tests.crash.verdict import judge

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("rotation")]

VARIABLE = "BUDFLOW_ROTATION_KILLS"
CREDENTIALS = 2 * PAGE + 20
DEATH_SECONDS = 10.0
ORDERS = 6

#: The key file is replaced twice: with the new key at the beginning, without the old ones at the end.
FILE_STEPS = (
    *("key_file.all:1:before", "key_file.fchmod:1:after", "key_file.fsync:1:before", "key_file.fsync:1:after"),
    *("key_file.replace:1:before", "key_file.replace:1:after", "key_file.fsync:2:after", "key_file.all:1:after"),
    *("key_file.all:2:before", "key_file.fchmod:2:after", "key_file.fsync:3:before", "key_file.fsync:3:after"),
    *("key_file.replace:2:before", "key_file.replace:2:after", "key_file.fsync:4:after", "key_file.all:2:after"),
)
#: Reading a page, the rewraps of its credentials, which share transactions, and the look at what is needed still.
STORE_STEPS = (
    *(f"store.list_wrapped_otherwise:{page}:{moment}" for page in (1, 2, 3) for moment in ("before", "after")),
    *(
        f"store.rewrap_credential:{number}:{moment}"
        for number in (1, PAGE // 2, PAGE, PAGE + 1, 2 * PAGE, 2 * PAGE + 1)
        for moment in ("before", "after")
    ),
    *(f"store.list_key_ids:1:{moment}" for moment in ("before", "after")),
)
FEW = (
    "key_file.replace:1:before",
    "key_file.replace:1:after",
    "store.rewrap_credential:101:before",
    "store.list_key_ids:1:after",
    "key_file.all:2:after",
)
ALL = os.environ.get(VARIABLE) == "all"
#: The database is gone at a step, and the server survives that.
CUTS = tuple(
    f"store.{operation}:1:{moment}"
    for operation in ("list_wrapped_otherwise", "rewrap_credential", "list_key_ids")
    for moment in ("refused", "unheard")
)


class Stage(NamedTuple):
    """A main on SQLite that keeps its keys itself, and its credentials."""

    server: Server
    vault: Vault


class TwoMains(NamedTuple):
    """Two mains on one PostgreSQL with the same keys, their credentials, and orders that use one."""

    one: Server
    two: Server
    vault: Vault
    ledger: RunningLedger
    orders: Orders


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running_server(tmp_path_factory.mktemp("rotation") / "server") as server:
        vault = Vault(server)
        fill(vault, server, CREDENTIALS)
        yield Stage(server, vault)


@pytest.fixture
def two_mains(tmp_path: Path, postgres_url: str) -> Iterator[TwoMains]:
    settings = {
        "BUDFLOW_DATABASE_URL": postgres_url,
        "BUDFLOW_ENCRYPTION_KEYS": key(0),
        "BUDFLOW_BLOB_URL": f"file://{tmp_path}/blobs",
    }
    with ExitStack() as stack:
        ledger = stack.enter_context(running_ledger(tmp_path / "ledger"))
        one = stack.enter_context(running_server(tmp_path / "one", **settings))
        two = stack.enter_context(running_server(tmp_path / "two", **settings))
        orders = stack.enter_context(closing(Orders(ledger, "rotation")))
        one.client.post("/credentials", json=credential_for(ledger.url)).raise_for_status()
        publish(one, [SHAPES["credential"]])
        vault = Vault(one, postgres_url)
        fill(vault, one, CREDENTIALS)
        yield TwoMains(one, two, vault, ledger, orders)


def key(number: int) -> str:
    return base64.b64encode(bytes([number + 1]) * 32).decode()


def rotate(server: Server) -> dict[str, Any]:
    answer: dict[str, Any] = server.client.post("/encryption-keys/rotate").raise_for_status().json()
    return answer


def killed_rotation(server: Server, fault: str) -> None:
    """Begin a rotation that kills the server."""
    server.arm(Fault.parse(fault))
    with contextlib.suppress(httpx2.TransportError):
        server.client.post("/encryption-keys/rotate")
    assert server.died(DEATH_SECONDS), "nothing ran into the fault"


@pytest.mark.parametrize("fault", [*FILE_STEPS, *STORE_STEPS] if ALL else FEW)
def test_a_killed_rotation_loses_nothing_and_the_next_one_ends_it(stage: Stage, fault: str) -> None:
    server, vault = stage
    killed_rotation(server, fault)
    assert vault.findings() == []

    server.start()
    assert vault.findings() == []
    shown = server.client.get("/credentials/c0").json()
    rotated = rotate(server)

    assert shown["fields"] == ["token"], "the server itself opens it"
    assert rotated["left"] == []
    assert vault.findings() == []
    assert vault.key_ids() == [rotated["key_id"]] == [*{record.sealed.key_id for record in vault.records()}]
    assert vault.key_files() == {"encryption.keys", "encryption.keys.lock"}


def test_what_is_made_and_changed_around_a_killed_rotation_is_kept(stage: Stage) -> None:
    server, vault = stage
    for round_, fault in enumerate(FEW if ALL else FEW[1:3]):
        with changing(vault, server, f"around-{round_}"):
            killed_rotation(server, fault)
            server.start()
            rotated = rotate(server)
        assert rotated["left"] == []
        assert vault.findings() == []
    # What was sealed a moment ago holds the keys that it may need, and a server that starts anew has nothing under way.
    server.stop()
    server.start()
    rotated = rotate(server)

    assert vault.findings() == []
    assert vault.key_ids() == [rotated["key_id"]]


@pytest.mark.parametrize("fault", CUTS if ALL else CUTS[2:4])
def test_a_rotation_whose_database_goes_away_is_refused_and_can_be_run_again(stage: Stage, fault: str) -> None:
    server, vault = stage
    server.arm(Fault.parse(fault))

    refused = server.client.post("/encryption-keys/rotate")
    assert server.disarm(), "nothing ran into the fault"
    assert refused.status_code == 503
    assert vault.findings() == []
    rotated = rotate(server)

    assert rotated["left"] == []
    assert vault.findings() == []
    assert {record.sealed.key_id for record in vault.records()} == {rotated["key_id"]}


@pytest.mark.postgres
def test_one_main_rotates_and_dies_while_the_other_uses_and_makes_credentials(two_mains: TwoMains) -> None:
    one, two, vault, ledger, orders = two_mains
    for number, fault in enumerate(STORE_STEPS if ALL else ("store.rewrap_credential:101:before",), start=1):
        keys = key(number), key(number - 1)
        for server in (one, two):
            server.stop()
            server.start(BUDFLOW_ENCRYPTION_KEYS=",".join(keys))
        deaths = len(one.deaths)
        with changing(vault, two, f"main-{number}"):
            sent = [orders.send(two, SHAPES["credential"], delay_seconds=0.02) for _ in range(ORDERS)]
            killed_rotation(one, fault)
            assert vault.findings(keys) == []
            one.start()
            rotated = rotate(one)
            orders.acknowledge(two, sent, DEATH_SECONDS)
            verdict = judge(two, ledger, sent, one.deaths[deaths:], DEATH_SECONDS, fault)

        assert verdict.findings == []
        assert rotated["left"] == []
        assert vault.findings(keys[:1]) == [], "the older key may go, which the answer says"
        assert len(rotated["unused_keys"]) == 1

"""A partition: of two runners one is on the far side of a network, and is cut off from PostgreSQL while both go on.

The link to the ledger stays, so that what the far runner has begun outside comes to its end there; it only cannot say
so. The other one does it again, with the same keys.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import orjson

from tests.chaos.far_side import FarSide, open_far_side, relayed
from tests.chaos.faults import MORE_SECONDS, Fault
from tests.chaos.strike import Strike
from tests.crash.lane import shared
from tests.crash.ledger import RunningLedger, running_ledger
from tests.crash.load import PATIENT
from tests.crash.orders import Orders, publish
from tests.crash.server import Server, running_server
from tests.crash.shape import credential_for
from tests.processes import BUDFLOW, Working, environment, eventually, working

#: It is healed so long after the lease of the far runner has ended.
HEAL_SECONDS = 1.0
UP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Sides:
    """What both sides share. `settings` are those of a process here, `there` those of one on the far side."""

    side: FarSide
    ledger: RunningLedger
    settings: dict[str, str]
    there: dict[str, str]


@dataclass(slots=True)
class Divided:
    """A main that claims nothing, and a runner on either side, by their ids. `far_log` is what the far one logged."""

    mains: list[Server]
    near: str
    far: str
    far_pid: int
    far_log: Callable[[], str]
    side: FarSide
    ledger: RunningLedger
    orders: Orders
    database_url: str
    lease_seconds: float

    def wait_until_ready(self) -> None:
        """Return when both runners are known as living."""
        eventually(lambda: {self.near, self.far} <= {*living(self.mains[0])}, "both runners are back", UP_SECONDS)


@contextmanager
def open_sides(directory: Path, database_url: str, *, lease_seconds: float) -> Iterator[Sides]:
    """Both sides, connected, and the ledger. Raises CannotStart where there can be no namespaces."""
    with ExitStack() as stack:
        side = stack.enter_context(open_far_side())
        ledger = stack.enter_context(running_ledger(directory / "ledger"))
        outside = stack.enter_context(relayed(side.outside.here, port_of(ledger.url)))
        inside = stack.enter_context(relayed(side.inside.here, port_of(database_url)))
        settings = {
            "BUDFLOW_LEASE_SECONDS": str(lease_seconds),
            "BUDFLOW_HTTP_ALLOW": f"127.0.0.1,{side.outside.here}",
            "BUDFLOW_RETENTION_EXECUTIONS_MAX": "100000",
        }
        there = database_url.replace(f"127.0.0.1:{port_of(database_url)}", f"{side.inside.here}:{inside}")
        ledger = replace(ledger, url=f"http://{side.outside.here}:{outside}")
        yield Sides(side, ledger, shared(database_url, directory) | settings, shared(there, directory) | settings)


@contextmanager
def open_divided(directory: Path, database_url: str, *, lease_seconds: float) -> Iterator[Divided]:
    """A `budflow worker` on either side. Raises CannotStart."""
    with ExitStack() as stack:
        sides = stack.enter_context(open_sides(directory, database_url, lease_seconds=lease_seconds))
        main, orders = stack.enter_context(ordering(directory, sides.ledger, sides.settings))
        [near] = stack.enter_context(working(directory / "near", 1, **sides.settings))
        log = directory / "far.log"
        far = stack.enter_context(_working_there(sides, directory / "far", log))
        yield Divided(
            [main],
            near.runner,
            far.runner,
            far.process.pid,
            log.read_text,
            sides.side,
            sides.ledger,
            orders,
            database_url,
            lease_seconds,
        )


@contextmanager
def ordering(directory: Path, ledger: RunningLedger, settings: dict[str, str]) -> Iterator[tuple[Server, Orders]]:
    """A main that leaves the queue to others and knows every patient shape, and who sends it orders."""
    with (
        running_server(directory / "main", BUDFLOW_CLAIM="false", **settings) as main,
        closing(Orders(ledger, "divided")) as orders,
    ):
        main.client.post("/credentials", json=credential_for(ledger.url)).raise_for_status()
        publish(main, PATIENT)
        yield main, orders


def living(main: Server) -> dict[str, int]:
    """The runners beside the main whose leases have not ended, and their processes."""
    shown = main.client.get("/cluster").raise_for_status().json()
    return {one["id"]: one["pid"] for one in shown["runners"] if one["kind"] != "main"}


def port_of(url: str) -> int:
    """The port in a URL that has one."""
    port = urlsplit(url).port
    assert port is not None
    return port


def cut_off(stage: Divided, rng: Random) -> Strike:
    """Cut the far runner off until another one has what it had, and for a little longer."""
    stage.side.inside.cut()
    at = time.time()
    time.sleep(stage.lease_seconds + HEAL_SECONDS)
    return Strike(at, {stage.far_pid})


def heal(stage: Divided, rng: Random) -> None:
    """Let it come back."""
    stage.side.inside.heal()
    stage.wait_until_ready()


PARTITION = Fault("partition", cut_off, heal, lambda stage: stage.lease_seconds + MORE_SECONDS)


@contextmanager
def _working_there(sides: Sides, data_dir: Path, log: Path) -> Iterator[Working]:
    with log.open("w") as errors:
        process = subprocess.Popen(
            sides.side.command(BUDFLOW, "worker", "--json"),
            env=environment(data_dir, **sides.there),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, log.read_text()
        yield Working(process, orjson.loads(line))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()

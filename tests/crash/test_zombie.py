"""Two mains on one database: one is killed, or frozen past its lease and thawed when the other has its work."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from budflow.model.execution import ClaimLost
from tests.crash.ledger import Effect, RunningLedger, running_ledger
from tests.crash.orders import Orders, events_of, publish, statuses
from tests.crash.server import Server, running_server
from tests.crash.shape import SHAPES
from tests.crash.verdict import judge
from tests.processes import eventually

pytestmark = [pytest.mark.process, pytest.mark.postgres]

CHAIN = SHAPES["chain"]


class Stage(NamedTuple):
    """Two mains on one database, and the ledger."""

    one: Server
    two: Server
    ledger: RunningLedger
    orders: Orders


@contextmanager
def staged(directory: Path, postgres_url: str, *, lease_seconds: int) -> Iterator[Stage]:
    settings = {
        "BUDFLOW_DATABASE_URL": postgres_url,
        "BUDFLOW_LEASE_SECONDS": str(lease_seconds),
        "BUDFLOW_BLOB_URL": f"file://{directory}/blobs",
    }
    with ExitStack() as stack:
        ledger = stack.enter_context(running_ledger(directory / "ledger"))
        one = stack.enter_context(running_server(directory / "one", **settings))
        two = stack.enter_context(running_server(directory / "two", **settings))
        orders = stack.enter_context(closing(Orders(ledger, "two")))
        publish(one, [CHAIN])
        yield Stage(one, two, ledger, orders)


@pytest.fixture
def stage(tmp_path: Path, postgres_url: str) -> Iterator[Stage]:
    with staged(tmp_path, postgres_url, lease_seconds=1) as stage:
        yield stage


def test_the_work_of_a_killed_main_goes_on_at_the_other_within_three_seconds(tmp_path: Path, postgres_url: str) -> None:
    with staged(tmp_path, postgres_url, lease_seconds=60) as (one, two, ledger, orders):
        order = orders.send(one, CHAIN, hold=["reserve"])
        orders.acknowledge(one, [order], 10)
        eventually(lambda: Effect(order.id, "reserve", "") in ledger.effects(), "the effect is under way")
        one.kill()

        verdict = judge(two, ledger, [order], one.deaths, 20, "killed")

        assert verdict.findings == []
        assert verdict.recovery_seconds[0] <= 3


def test_a_zombies_late_write_is_refused_while_another_runner_goes_on(stage: Stage) -> None:
    one, two, ledger, orders = stage
    order = orders.send(one, CHAIN, hold=["reserve", "pay"])
    reserve, pay = Effect(order.id, "reserve", ""), Effect(order.id, "pay", "")
    eventually(lambda: reserve in ledger.effects(), "the first effect is under way")

    one.signal(signal.SIGSTOP)
    eventually(lambda: pay in ledger.effects(), "the other main takes over, and comes to the second effect")
    ledger.release("reserve")  # Now the frozen main has its answer.
    one.signal(signal.SIGCONT)
    eventually(lambda: str(order.execution_id) in _refused(one), "the zombie's write is refused")
    ledger.release("pay")

    eventually(lambda: statuses(two, [order])[order.id] == "succeeded", "it ends")
    journal = events_of(two, str(order.execution_id))
    ended = [event.data.get("node") for event in journal if event.type == "node.finished"]
    assert ended == [*dict.fromkeys(ended)], "no node ended twice"
    assert [event.type for event in journal].count("execution.finished") == 1
    effects = ledger.effects()
    assert (effects[reserve].count, len(effects[reserve].keys)) == (2, 1)
    assert (effects[pay].count, len(effects[pay].keys)) == (1, 1)


def test_a_zombie_that_thaws_after_the_end_changes_nothing_and_serves_again(stage: Stage) -> None:
    one, two, ledger, orders = stage
    order = orders.send(one, CHAIN, hold=["reserve"])
    eventually(lambda: Effect(order.id, "reserve", "") in ledger.effects(), "the effect is under way")
    one.signal(signal.SIGSTOP)
    eventually(lambda: statuses(two, [order])[order.id] == "succeeded", "the other main takes over and ends it")
    journal = events_of(two, str(order.execution_id))
    ledger.release("reserve")
    one.signal(signal.SIGCONT)

    eventually(lambda: str(order.execution_id) in _refused(one), "the zombie's write is refused")
    assert events_of(two, str(order.execution_id)) == journal
    later = orders.send(one, CHAIN)
    orders.acknowledge(one, [later], 10)
    eventually(lambda: statuses(one, [later])[later.id] == "succeeded", "it serves again")
    assert {len(seen.keys) for seen in ledger.effects().values()} == {1}


def _refused(server: Server) -> str:
    """The lines of a server's log that say that another runner holds an execution."""
    return "\n".join(line for line in server.log.read_text().splitlines() if ClaimLost().message in line)

"""Real workers beside a real server on one PostgreSQL: they take what is queued, share it, and lose nothing."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from tests.crash.ledger import RunningLedger, running_ledger
from tests.crash.orders import Order, Orders, publish
from tests.crash.server import Server, running_server
from tests.crash.shape import SHAPES
from tests.crash.verdict import judge
from tests.processes import Serving, Working, asking, eventually, serving, silence, working

pytestmark = [pytest.mark.process, pytest.mark.postgres]

CHAIN = SHAPES["chain"]
ORDERS = 24


def greeting(path: str) -> dict[str, Any]:
    return {
        "format": 1,
        "name": "Greeter",
        "nodes": {
            "hook": {"type": "trigger.webhook", "params": {"path": path, "respond": "last_node"}},
            "greet": {"type": "data.set", "params": {"keep": False, "values": {"hello": "{{ $json.body.name }}"}}},
        },
        "edges": [{"from": "hook", "to": "greet"}],
    }


def runners_of(main: Serving) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in main.client.get("/status").json()["runners"]}


def all_of(main: Serving, running: int) -> dict[str, dict[str, Any]]:
    """The same, as soon as so many executions run; until then none."""
    runners = runners_of(main)
    return runners if sum(one["running"] for one in runners.values()) == running else {}


def test_a_main_that_claims_nothing_answers_its_webhooks_and_leaves_the_rest_to_a_worker(
    tmp_path: Path, postgres_url: str
) -> None:
    settings = {"BUDFLOW_DATABASE_URL": postgres_url, "BUDFLOW_LEASE_SECONDS": "1"}
    with serving(tmp_path / "main", BUDFLOW_CLAIM="false", **settings) as main, silence() as service:
        greeter = main.create(greeting("greet"))
        main.client.post(f"/workflows/{greeter}/publish", json={}).raise_for_status()
        answer = httpx2.post(f"{main.url}/webhook/greet", json={"name": "Ada"})
        assert answer.json() == {"hello": "Ada"}
        execution_id = main.start(main.create(asking(service.url)))
        assert main.status_of(execution_id) == "queued"

        with working(tmp_path / "main", **settings) as [worker]:
            service.asked()
            shown = runners_of(main)[worker.runner]
            assert (shown["kind"], shown["running"], shown["details"]["running_max"]) == ("worker", 1, 1000)
            worker.tell(signal.SIGTERM)
            service.answer()
            assert worker.wait()[0] == 0

        assert main.status_of(execution_id) == "succeeded"
        assert worker.runner not in runners_of(main)


class Stage(NamedTuple):
    """A main that claims nothing, workers that have some of the orders each, and the ledger that holds them back."""

    main: Server
    hasty: Sequence[Working]
    patient: Sequence[Working]
    ledger: RunningLedger
    orders: Sequence[Order]


@pytest.fixture
def stage(tmp_path: Path, postgres_url: str) -> Iterator[Stage]:
    settings = {"BUDFLOW_DATABASE_URL": postgres_url, "BUDFLOW_LEASE_SECONDS": "60"}
    with ExitStack() as stack:
        ledger = stack.enter_context(running_ledger(tmp_path / "ledger"))
        main = stack.enter_context(running_server(tmp_path / "main", BUDFLOW_CLAIM="false", **settings))
        hasty = stack.enter_context(working(main.data_dir, 2, BUDFLOW_DRAIN_SECONDS="0.05", **settings))
        patient = stack.enter_context(working(main.data_dir, 2, **settings))
        sender = stack.enter_context(closing(Orders(ledger, "order")))
        publish(main, [CHAIN])
        orders: list[Order] = []

        def shared() -> bool:
            """Who is late has a further chance with each order."""
            orders.extend(sender.send(main, CHAIN, hold=["reserve"]) for _ in range(1 if orders else ORDERS))
            sender.acknowledge(main, orders, 20)
            runners = eventually(lambda: all_of(main.serving, len(orders)), "they are taken")
            return all(runners[one.runner]["running"] for one in (*hasty, *patient))

        eventually(shared, "each worker has some of the orders")
        yield Stage(main, hasty, patient, ledger, orders)


def test_what_stopped_and_killed_workers_had_goes_on_at_another_within_three_seconds(stage: Stage) -> None:
    """None of the four has it all; one is told to stop, one is told twice, one is killed."""
    (stopped, killed), (impatient, _heir) = stage.hasty, stage.patient
    everyone = {worker.runner for worker in (*stage.hasty, *stage.patient)}

    stopped.tell(signal.SIGTERM)
    impatient.tell(signal.SIGTERM)
    assert impatient.process.stderr is not None
    eventually(lambda: "worker.stopping" in impatient.process.stderr.readline(), "it lets what it has come to its end")
    deaths = []
    for worker, number in ((impatient, signal.SIGTERM), (killed, signal.SIGKILL)):
        worker.tell(number)
        assert worker.process.wait(5) == -number
        deaths.append(time.time())
    assert stopped.wait()[0] == 0
    eventually(lambda: everyone.isdisjoint(runners_of(stage.main.serving).keys() - {_heir.runner}), "they are gone")
    stage.ledger.release("reserve")

    verdict = judge(stage.main, stage.ledger, stage.orders, deaths, 20, "three of four workers are gone")
    assert verdict.findings == []
    assert verdict.resumed == len(stage.orders)
    assert max(verdict.recovery_seconds) <= 3

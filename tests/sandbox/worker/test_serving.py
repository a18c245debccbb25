"""The worker's side of the protocol: hello, one task at a time, cancel, time limits, drain, and its end."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from budflow import __version__
from tests.sandbox.worker.broker import TICKET, Broker
from tests.until import until

Start = Callable[..., AbstractContextManager[Broker]]


def test_it_says_hello_with_its_ticket_and_versions(start_worker: Start) -> None:
    with start_worker() as broker:
        hello = broker.hello

    assert (hello.protocol, hello.ticket, hello.language, hello.budflow) == (1, TICKET, "python", __version__)
    assert hello.version.startswith("3.")


def test_at_work_it_declines_what_it_is_offered(warm: Broker) -> None:
    warm.start("import time\ntime.sleep(0.1)")
    warm.send({"type": "offer", "task_id": "another"})

    told = warm.receive()
    assert (told.type, told.task_id, told.reason) == ("decline", "another", "at work")
    assert warm.finish().error is None


def test_what_is_offered_while_it_cleans_up_it_takes_when_it_has(warm: Broker) -> None:
    for _ in range(5):
        assert warm.works()


def test_a_task_that_is_cancelled_ends_at_once(warm: Broker) -> None:
    task_id = warm.start("while True: pass")
    began = time.monotonic()
    warm.send({"type": "cancel", "task_id": task_id, "reason": "the execution was stopped"})

    outcome = warm.finish()
    assert (outcome.code, outcome.message) == ("code.failed", "Cancelled: the execution was stopped")
    assert time.monotonic() - began < 2
    assert warm.works()


def test_a_task_that_was_accepted_can_be_cancelled_before_it_is_sent(warm: Broker) -> None:
    task_id = warm.offer()
    warm.send({"type": "cancel", "task_id": task_id, "reason": "no longer"})

    assert warm.receive().error.message == "Cancelled: no longer"
    assert warm.works()


def test_to_cancel_what_has_ended_does_nothing(warm: Broker) -> None:
    warm.send({"type": "cancel", "task_id": "task-of-yesterday", "reason": ""})

    assert warm.works()


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time\ntime.sleep(60)",
        "while True:\n  try:\n    while True: pass\n  except BaseException: pass",
        "import signal, time\nfor s in range(1, 32):\n  try: signal.signal(s, signal.SIG_IGN)\n  except OSError: pass\n"
        "time.sleep(60)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        "import os\nfor _ in range(3): os.fork()\nwhile True: pass",
        "for _ in iter(int, 1): yield {'text': 'x' * 1000}",
    ],
)
def test_the_time_limit_ends_code_whatever_it_does_against_it(warm: Broker, code: str) -> None:
    began = time.monotonic()
    outcome = warm.run(code, timeout_seconds=0.2)

    assert outcome.code == "code.timed_out"
    assert time.monotonic() - began < 2
    assert warm.works()


def test_how_the_broker_writes_json_is_its_own_affair(start_worker: Start) -> None:
    items = [{"n": n} for n in range(250)]
    with start_worker() as broker:
        broker.separators = (" ,\n", " : ")

        assert broker.run("return items", items).items == items


def test_the_time_limit_holds_while_the_broker_does_not_answer(warm: Broker) -> None:
    warm.start("return {'n': items[150]['n']}", [{"n": n} for n in range(200)], timeout_seconds=0.2)

    assert warm.receive().type == "data_request"
    assert warm.receive().error.code == "code.timed_out"
    assert warm.works()


async def test_code_waits_while_the_broker_does_not_read(warm: Broker) -> None:
    warm.start("for n in range(60): yield {'text': 'x' * 1_000_000}", timeout_seconds=0.7)
    await until(lambda: bool(processes_below(warm.process.pid, at_least=2)))
    await until(lambda: not processes_below(warm.process.pid, at_least=2))

    outcome = warm.finish()
    assert outcome.code == "code.timed_out"
    assert len(outcome.items) < 40


def test_when_it_is_drained_it_ends_its_task_first(start_worker: Start) -> None:
    with start_worker() as broker:
        broker.start("import time\ntime.sleep(0.1)\nreturn {'a': 1}")
        broker.send({"type": "drain"})
        assert broker.receive().type == "draining"
        broker.send({"type": "offer", "task_id": "another"})
        assert broker.receive().reason == "draining"

        assert broker.finish().items == [{"a": 1}]
        assert broker.process.wait(timeout=5) == 0


async def test_it_goes_when_the_broker_goes(start_worker: Start) -> None:
    with start_worker() as broker:
        broker.start("while True: pass")
        await until(lambda: bool(processes_below(broker.process.pid, at_least=2)))
        below = processes_below(broker.process.pid, at_least=2)
        broker.close()

        assert broker.process.wait(timeout=5) == 0
        await until(lambda: not any(is_alive(pid) for pid in below))


def test_it_goes_when_the_broker_says_what_it_does_not_know(start_worker: Start) -> None:
    with start_worker() as broker:
        broker.send({"type": "unheard of"})

        assert broker.process.wait(timeout=5) == 0
        assert broker.process.stderr is not None
        assert "unknown type 'unheard of'" in broker.process.stderr.read()


def test_it_sends_heartbeats_and_ends_without_those_of_the_broker(start_worker: Start) -> None:
    with start_worker() as broker:
        broker.send({"type": "welcome", "protocol": 1, "heartbeat_seconds": 0.05})
        assert broker.works()

        assert broker.process.wait(timeout=5) == 0
        assert broker.process.stderr is not None
        assert "nothing was heard of the broker" in broker.process.stderr.read()


def test_neither_code_nor_its_environment_knows_the_ticket(warm: Broker) -> None:
    code = f"""
import os
ticket = bytes([{",".join(str(byte + 1) for byte in TICKET.encode())}])
ticket = bytes(byte - 1 for byte in ticket)
found = []
for pid in (os.getpid(), os.getppid()):
    found += [pid] if ticket in open(f"/proc/{{pid}}/environ", "rb").read() else []
for line in open("/proc/self/maps"):
    if " rw" in line and "[v" not in line:
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        with open("/proc/self/mem", "rb") as memory:
            memory.seek(start)
            data = memory.read(end - start)
        at = data.find(ticket)
        while at >= 0:
            found.append(start + at)
            at = data.find(ticket, at + 1)
return {{"found": len(found), "variables": sorted(os.environ), "own": id(ticket) != 0}}
"""
    outcome = warm.run(code)

    assert outcome.error is None
    assert outcome.items[0]["variables"] == ["HOME", "LANG", "PATH", "PYTHONDONTWRITEBYTECODE", "TMPDIR", "TZ"]
    assert outcome.items[0]["found"] <= 2  # The code's own copy, and that of what it reads.


def processes_below(pid: int, at_least: int) -> list[int]:
    """Of a worker: the nursery and the processes of its task; none while there are fewer than these."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        path = Path(f"/proc/{waiting[0]}/task/{waiting[0]}/children")
        below = [int(each) for each in path.read_text().split()]
        waiting = waiting[1:] + below
        found += below
    return found if len(found) >= at_least else []


def is_alive(pid: int) -> bool:
    """Whether there is such a process, that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

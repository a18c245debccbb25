"""Code that means harm: to the worker that runs it, to the next task, or to the broker by what it sends."""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.sandbox.worker.broker import Broker
from tests.sandbox.worker.test_serving import is_alive, processes_below
from tests.until import until

Start = Callable[..., AbstractContextManager[Broker]]

SOCKET = """
import json, os, socket
worker = socket.socket(fileno=os.dup(3))
"""


@pytest.mark.parametrize(
    "sent",
    [
        "b'what is this'",
        "b''",
        "b'Z'",
        "b'Z{}'",
        "b'Z[1]'",
        'b\'Z[{"json": 1, "source": 0}]\'',
        'b\'Z[{"json": {}, "source": 7}]\'',
        'b\'Z[{"json": {}, "source": true}]\'',
        'b\'Z[{"json": {}, "source": 0, "more": 1}]\'',
        'b\'Z[{"json": {"a": NaN}, "source": 0}]\'',
        'b\'Z[{"json": {"a": "\\\\ud800"}, "source": 0}]\'',
        'b\'Z[], "type": "hello", "more": []\'',
        "b'Z\\xff\\xfe'",
        "b'R' + b'[' * 100_000",
        "b'R' + b'9' * 100_000",
        "b'E{}'",
        'b\'E{"code": "sandbox.worker_lost", "message": ""}\'',
        'b\'F[{"code": "code.failed", "message": "x", "item": 0}]\'',
        "b'N{}'",
        'b\'N{"start": 5, "stop": 9}\'',
        "b'L[]'",
        "b'L3'",
        "b'P[]'",
        "b'F{}'",
        "b'F[[]]'",
        "b'E[]'",
        "b'X{}'",
        'b\'Z[{"json": {"a": \' + b"[" * 70 + b"]" * 70 + b\'}, "source": 0}]\'',
        "b'X' + b'9' * 5000",
    ],
)
def test_what_the_worker_does_not_understand_ends_the_task(warm: Broker, sent: str) -> None:
    code = f"{SOCKET}\nfor _ in range(2): worker.send({sent})\nimport time\ntime.sleep(9)"
    outcome = warm.run(code, [{"n": 1}], timeout_seconds=3.0)

    assert outcome.code == "code.failed"
    assert "The code sent the sandbox what it does not understand" in outcome.message or sent == "b''"
    assert outcome.items == []
    assert warm.works()


def test_a_message_without_end_is_not_kept(warm: Broker) -> None:
    outcome = warm.run(f"{SOCKET}\nwhile True: worker.send(b'+' + b'x' * 100_000)")

    assert outcome.code == "code.failed"
    assert warm.works()


def test_a_frame_of_log_is_cut_to_what_the_protocol_has(warm: Broker) -> None:
    line = {"level": "shout", "message": "y" * 66_000, "fields": {"a": 1}, "item": 99, "task_id": "x", "type": "hello"}
    outcome = warm.run(f"{SOCKET}\nworker.send(b'L' + {json.dumps(line).encode()!r})")

    assert [(one["level"], len(one["message"]), one["item"]) for one in outcome.lines] == [("info", 65_536, None)]


def test_nothing_that_is_sent_after_the_last_is_passed_on(warm: Broker) -> None:
    outcome = warm.run(SOCKET + 'worker.send(b"Z[]")\nworker.send(b\'R[{"json":{},"source":0}]\')\nwhile True: pass')

    assert (outcome.items, outcome.error) == ([], None)
    assert warm.works()


def test_a_result_that_grows_without_end_is_refused(warm: Broker) -> None:
    part = '[{"json":{"a":"' + "x" * 120_000 + '"},"source":0}]'
    outcome = warm.run(f"{SOCKET}\nwhile True: worker.send(b'R' + {part!r}.encode())", timeout_seconds=9.0)

    assert outcome.code == "code.result_malformed"
    assert warm.works()


def test_code_that_closes_its_connection(warm: Broker) -> None:
    began = time.monotonic()
    outcome = warm.run("import os, time\nos.close(3)\ntime.sleep(9)")

    assert (outcome.code, outcome.message) == ("code.failed", "The code closed its connection to the sandbox")
    assert time.monotonic() - began < 3
    assert warm.works()


@pytest.mark.parametrize("call", ["print('x' * 80)", "log.info('x')", "import os; worker.send(b'L' + line)"])
def test_a_flood_of_lines_is_cut_and_counted(warm: Broker, call: str) -> None:
    line = json.dumps({"level": "info", "message": "x"})
    outcome = warm.run(f"{SOCKET}\nline = {line.encode()!r}\nfor _ in range(20_000): {call}\nreturn {{'a': 1}}")

    assert outcome.items == [{"a": 1}]
    assert len(outcome.lines) <= 2_101
    assert outcome.printed[-1] in (
        "18000 more lines were printed or logged, and left out",
        "17900 more lines were printed or logged, and left out",
    )


def test_lines_are_limited_by_their_bytes_too(warm: Broker) -> None:
    outcome = warm.run("for _ in range(100): print('x' * 60_000)")

    assert len(outcome.lines) < 80
    assert outcome.printed[-1].endswith("more lines were printed or logged, and left out")


def test_a_daemon_that_left_its_parents_and_session_is_gone_before_the_next_task(warm: Broker, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = f"""
import os, signal, time
for _ in range(3):
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in range(1, 32):
                try: signal.signal(number, signal.SIG_IGN)
                except OSError: pass
            with open({str(pids)!r}, "a") as file: file.write(f"{{os.getpid()}}\\n")
            os.write(write, b"x")
            while True: time.sleep(1)
        os._exit(0)
    os.read(read, 1)
return {{"started": 3}}
"""
    assert warm.run(code).items == [{"started": 3}]
    assert warm.works()
    daemons = [int(line) for line in pids.read_text().split()]
    assert len(daemons) == 3
    assert not any(is_alive(pid) for pid in daemons)


def test_a_process_that_goes_on_alone_cannot_speak_for_the_next_task(warm: Broker) -> None:
    code = (
        SOCKET
        + """
if os.fork() == 0:
    while True: worker.send(b'L' + json.dumps({"level": "info", "message": "from before"}).encode())
return {"a": 1}
"""
    )
    warm.run(code)

    assert warm.run("import time\ntime.sleep(0.05)").lines == []


def test_processes_that_multiply_are_ended(warm: Broker) -> None:
    code = "import os, time\nfor _ in range(5): os.fork()\nwhile True: time.sleep(0.001)"

    assert warm.run(code, timeout_seconds=0.3).code == "code.timed_out"
    assert warm.works()


@pytest.mark.parametrize("number", [9, 19])
def test_code_that_kills_or_stops_the_nursery_ends_the_worker(start_worker: Start, number: int) -> None:
    with start_worker() as broker:
        outcome = broker.run(f"import os, time\nos.kill(os.getppid(), {number})\ntime.sleep(0.1)\nreturn {{}}")

        if number == 9:
            assert (outcome.code, outcome.message) == (
                "code.failed",
                "The code killed or stopped the sandbox's own processes",
            )
        assert broker.receive().type == "draining"
        assert broker.process.wait(timeout=5) == 1


async def test_when_code_kills_the_worker_nothing_of_it_stays(start_worker: Start) -> None:
    with start_worker() as broker:
        code = "import os\nparent = int(open(f'/proc/{os.getppid()}/stat').read().split(')')[1].split()[1])\n"
        broker.start(code + "import time\ntime.sleep(0.1)\nos.kill(parent, 9)\nwhile True: pass")
        await until(lambda: bool(processes_below(broker.process.pid, at_least=2)))
        below = processes_below(broker.process.pid, at_least=2)

        assert broker.process.wait(timeout=5) == -9
        await until(lambda: not any(is_alive(pid) for pid in below))


def test_neither_the_worker_nor_the_nursery_can_be_read(start_worker: Start) -> None:
    """As the user that code has in a sandbox: root, whom nothing is hidden from, is not there."""
    with start_worker() as broker:
        code = """
import os, ctypes
os.setgid(65534); os.setuid(65534)
nursery = os.getppid()
worker = int(open(f"/proc/{nursery}/stat").read().split(")")[1].split()[1])
told = []
for pid in (nursery, worker):
    for name in ("environ", "mem", "maps"):
        try: open(f"/proc/{pid}/{name}", "rb").read(1); told.append(name)
        except PermissionError: pass
    for name in ("fd", "cwd/"):
        try: os.listdir(f"/proc/{pid}/{name}"); told.append(name)
        except PermissionError: pass
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, pid, 0, 0) == 0: told.append("ptrace")
return {"told": told}
"""
        assert broker.run(code).items == [{"told": []}]


def test_code_cannot_gain_privileges(warm: Broker) -> None:
    code = "return {'line': [l for l in open('/proc/self/status') if l.startswith('NoNewPrivs')][0]}"

    assert warm.run(code).items == [{"line": "NoNewPrivs:\t1\n"}]


def test_code_has_only_its_own_files_open(warm: Broker) -> None:
    code = """
import os
names = os.listdir("/proc/self/fd")
return {name: os.readlink(f"/proc/self/fd/{name}") for name in "0123"} | {"more": len(names) - 5}
"""
    [item] = warm.run(code).items

    assert item["3"].startswith("socket:")
    assert {item["0"], item["1"], item["2"]} == {"/dev/null"}
    assert item["more"] == 0


def test_limits_of_a_process_hold(warm: Broker) -> None:
    code = """
import resource
names = ("CORE", "NOFILE", "MEMLOCK", "MSGQUEUE")
return {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}")) for name in names}
"""
    assert warm.run(code).items == [{"CORE": [0, 0], "NOFILE": [256, 256], "MEMLOCK": [0, 0], "MSGQUEUE": [0, 0]}]

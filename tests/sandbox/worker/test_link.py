"""The link to the broker: much that goes over it, and what becomes of a worker that finds none."""

import os
import socket
import subprocess
import threading
from pathlib import Path

from tests.sandbox.worker.broker import SECONDS_MAX, WORKER, Broker


def test_large_items_come_and_go_whole(warm: Broker) -> None:
    items = [{"n": n, "text": "x" * 2_000} for n in range(300)]

    assert warm.run("return items", items).items == items
    assert warm.run("for n in range(8): yield {'text': 'x' * 1_000_000}").error is None


def test_without_a_broker_it_says_so(tmp_path: Path) -> None:
    ended = _run(tmp_path)

    assert ended.returncode == 1
    assert "budflow worker: there is no broker" in ended.stderr


def test_a_relay_that_reaches_no_broker_is_none_either(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as relay:
        relay.bind(str(tmp_path / "broker.sock"))
        relay.listen()
        closing = threading.Thread(target=lambda: relay.accept()[0].close())
        closing.start()

        ended = _run(tmp_path)
        closing.join()

    assert ended.returncode == 1
    assert "budflow worker: there is no broker" in ended.stderr


def _run(sockets: Path) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "BUDFLOW_TICKET": "t", "BUDFLOW_SOCKETS": str(sockets)}
    return subprocess.run(WORKER, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)

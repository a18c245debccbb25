"""The link to a broker elsewhere, by TLS, and what becomes of a worker that finds none it trusts."""

import os
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.certificate import self_signed
from tests.sandbox.worker.broker import WORKER, listening, started


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """Of a broker that calls itself localhost; its certificate is `broker.pem`, its own authority."""
    certificate, key = self_signed("localhost")
    (tmp_path / "broker.pem").write_bytes(certificate)
    (tmp_path / "broker.key").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "broker.pem", tmp_path / "broker.key")
    return context


def test_an_external_worker_comes_by_tls(tls: ssl.SSLContext, tmp_path: Path) -> None:
    items = [{"n": n, "text": "x" * 2_000} for n in range(300)]

    with started(tmp_path, {"BUDFLOW_BROKER_CA": str(tmp_path / "broker.pem")}, tls=tls) as broker:
        assert broker.run("return items", items).items == items
        assert broker.run("for n in range(8): yield {'text': 'x' * 1_000_000}").error is None


def test_to_a_broker_that_it_does_not_trust_it_does_not_speak(tls: ssl.SSLContext, tmp_path: Path) -> None:
    other, _ = self_signed("localhost")
    (tmp_path / "other.pem").write_bytes(other)
    with listening(tmp_path, tls) as (connections, port):
        ended = _run(BUDFLOW_BROKER=f"wss://localhost:{port}", BUDFLOW_BROKER_CA=str(tmp_path / "other.pem"))

    assert ended.returncode == 1
    assert "CERTIFICATE_VERIFY_FAILED" in ended.stderr
    assert connections.empty()


def test_without_a_broker_it_says_so(tmp_path: Path) -> None:
    ended = _run(BUDFLOW_SOCKETS=str(tmp_path))

    assert ended.returncode == 1
    assert "budflow worker: there is no broker" in ended.stderr


def _run(**environment: str) -> "subprocess.CompletedProcess[str]":
    environment |= {"PATH": os.environ["PATH"], "BUDFLOW_TICKET": "t"}
    return subprocess.run(WORKER, env=environment, capture_output=True, text=True, timeout=10, check=False)

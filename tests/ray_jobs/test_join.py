"""Joining a cluster that cannot be joined: each time one error that says what to do, and soon."""

import socket
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped] # it brings no types
import orjson
import pytest
from ray._private.utils import compute_version_info
from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined] # Ray gives it no types

from budflow.errors import BudflowError
from ray_jobs.join import MESSAGES, SERVICES, NoRayNodeHere, RayTokenRefused, RayUnreachable, RayVersionMismatch, join

TOKEN = "a" * 64
RAY, PYTHON = compute_version_info()  # type: ignore[no-untyped-call] # Ray gives it no types


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    yield
    monkeypatch.undo()
    AuthenticationTokenLoader.instance().reset_cache()  # Else a Ray that is started here later would be asked with it.


class FakeHead(SERVICES.InternalKVGcsServiceServicer, SERVICES.NodeInfoGcsServiceServicer):  # type: ignore[misc] # untyped
    """The head of a cluster with these versions and no nodes, or one that refuses whoever asks."""

    def __init__(self, versions: dict[str, str], *, refuses: bool = False) -> None:
        self._versions, self._refuses = versions, refuses

    def InternalKVGet(self, _request: Any, context: Any) -> Any:  # noqa: N802 - the name in Ray's protocol
        if self._refuses:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
        return MESSAGES.InternalKVGetReply(value=orjson.dumps(self._versions))

    def GetAllNodeInfo(self, _request: Any, _context: Any) -> Any:  # noqa: N802 - the name in Ray's protocol
        return MESSAGES.GetAllNodeInfoReply()


@contextmanager
def listening(head: FakeHead) -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    SERVICES.add_InternalKVGcsServiceServicer_to_server(head, server)
    SERVICES.add_NodeInfoGcsServiceServicer_to_server(head, server)
    port = server.add_insecure_port("0.0.0.0:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def refused(address: str, error: type[BudflowError], tmp_path: Path) -> BudflowError:
    began = time.monotonic()
    with pytest.raises(error) as caught:
        join(address, tmp_path)
    assert time.monotonic() - began < 30
    assert address in caught.value.message
    assert caught.value.hint
    return caught.value


def test_there_is_no_ray_at_the_address(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        error = refused(f"127.0.0.1:{nobody.getsockname()[1]}", RayUnreachable, tmp_path)

    assert "refused" in error.message


def test_something_else_listens_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray_jobs.join.ANSWER_SECONDS", 0.3)
    with socket.create_server(("0.0.0.0", 0)) as silent:
        error = refused(f"127.0.0.1:{silent.getsockname()[1]}", RayUnreachable, tmp_path)

    assert "does not answer as Ray does" in error.message


@pytest.mark.parametrize("address", ["local", "ray://head:10001", "head", "head:0", "head:99999", ":6379", "auto"])
def test_what_is_no_address_is_refused(address: str, tmp_path: Path) -> None:
    refused(address, RayUnreachable, tmp_path)


def test_a_name_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    refused("no-such-host.invalid:6379", RayUnreachable, tmp_path)


def test_the_token_is_refused(tmp_path: Path) -> None:
    with listening(FakeHead({}, refuses=True)) as address:
        error = refused(address, RayTokenRefused, tmp_path)

    assert "RAY_AUTH_TOKEN" in error.hint
    assert TOKEN not in f"{error.message} {error.hint} {error.details}"


@pytest.mark.parametrize("there", [{"ray_version": "2.9.0"}, {"python_version": "3.9.1"}])
def test_another_version_of_ray_or_python_is_refused_with_both(there: dict[str, str], tmp_path: Path) -> None:
    ours = {"ray_version": RAY, "python_version": PYTHON}
    with listening(FakeHead({**ours, **there})) as address:
        error = refused(address, RayVersionMismatch, tmp_path)

    [theirs] = there.values()
    assert all(version in error.message for version in (theirs, RAY, PYTHON))


def test_a_machine_without_a_node_of_the_cluster_is_refused(tmp_path: Path) -> None:
    with listening(FakeHead({"ray_version": RAY, "python_version": PYTHON})) as address:
        error = refused(address, NoRayNodeHere, tmp_path)

    assert "ray start" in error.hint

"""What a server listens on, and what it refuses to listen on."""

import socket
import stat
from pathlib import Path

import pytest

from budflow.server.sockets import (
    SOCKET_PATH_BYTES_MAX,
    AddressRefused,
    PortTaken,
    ServerExposed,
    listen_tcp,
    listen_unix,
    refuse_exposed,
)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "[::1]", "localhost"])
def test_loopback_is_allowed(host: str) -> None:
    refuse_exposed(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.com", "", "localhost.example.com"])
def test_everything_else_is_refused(host: str) -> None:
    with pytest.raises(ServerExposed):
        refuse_exposed(host)


def test_port_0_takes_a_free_one_and_tells_it() -> None:
    with listen_tcp("127.0.0.1", 0) as (listener, url):
        assert url == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_port_that_is_taken_is_told() -> None:
    with (
        listen_tcp("127.0.0.1", 0) as (listener, _),
        pytest.raises(PortTaken) as taken,
        listen_tcp("127.0.0.1", listener.getsockname()[1]),
    ):
        pass

    assert "--port" in taken.value.hint


def test_an_address_that_is_not_here_is_told() -> None:
    with pytest.raises(AddressRefused), listen_tcp("192.0.2.1", 0):
        pass


def test_only_the_owner_may_open_the_unix_socket(tmp_path: Path) -> None:
    with listen_unix(tmp_path) as (_, path):
        assert path == tmp_path / "api.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    assert not path.exists()


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "api.sock"))

    with listen_unix(tmp_path) as (listener, path), socket.socket(socket.AF_UNIX) as client:
        listener.listen()
        client.connect(str(path))


@pytest.mark.parametrize("runtime_dir", [True, False])
def test_a_long_path_gets_a_short_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime_dir: bool) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    if runtime_dir:
        short = Path("/tmp") / f"budflow-test-{tmp_path.name[-4:]}"
        short.mkdir(exist_ok=True)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(short))
    long = tmp_path / ("d" * SOCKET_PATH_BYTES_MAX)
    long.mkdir()

    with listen_unix(long) as (_, path):
        assert len(str(path)) <= SOCKET_PATH_BYTES_MAX
        assert path.parent == short if runtime_dir else path.parent.name.startswith("budflow-")

    assert not path.exists()
    if runtime_dir:
        short.rmdir()
    else:
        assert not path.parent.exists()

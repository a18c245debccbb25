"""What a server listens on: a TCP port on loopback, and the Unix socket by which the other commands reach it."""

import contextlib
import errno
import hashlib
import ipaddress
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from budflow.errors import BudflowError

SOCKET_NAME = "api.sock"
#: sun_path holds 108 bytes on Linux and 104 elsewhere, the closing NUL included.
SOCKET_PATH_BYTES_MAX = 100
BACKLOG = 2048


class PortTaken(BudflowError):
    """Another process listens on this port."""

    code = "server.port_taken"
    http_status = 409
    hint = "Stop that process, or take another port by --port or BUDFLOW_PORT; 0 takes a free one."


class AddressRefused(BudflowError):
    """This machine does not let the server listen on that address."""

    code = "server.address_refused"
    hint = "Use --host 127.0.0.1 and a port above 1023."


class ServerExposed(BudflowError):
    """The server would be reachable from other machines without TLS."""

    code = "server.exposed"
    hint = "Listen on 127.0.0.1, and let a proxy with TLS on this machine forward to it; docs/deployment.md shows how."


def refuse_exposed(host: str) -> None:
    """Raise ServerExposed unless `host` is a loopback address: there is no TLS and no trusted-proxy setting yet."""
    name = host.strip("[]")
    if name == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(name).is_loopback
    except ValueError:
        raise ServerExposed(f"`{host}` is no loopback address.") from None
    if not loopback:
        raise ServerExposed(f"On {host} the server would be reachable from other machines without TLS.")


@contextmanager
def listen_tcp(host: str, port: int) -> Iterator[tuple[socket.socket, str]]:
    """A bound socket (it accepts once the server listens) and its URL. Raises PortTaken, AddressRefused."""
    name = host.strip("[]")
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    # Named as TCP, since an event loop turns Nagle's delay off only where it sees that.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((name, port))
            # Two sockets may be bound to one address and only the second `listen` fails: find out now.
            listener.listen(BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(f"Another process listens on {host}:{port}.", port=port) from error
            raise AddressRefused(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
        listener.setblocking(False)
        shown = f"[{name}]" if family == socket.AF_INET6 else name
        yield listener, f"http://{shown}:{listener.getsockname()[1]}"


@contextmanager
def listen_unix(data_dir: Path) -> Iterator[tuple[socket.socket, Path]]:
    """A bound Unix socket that only this user may open, and its path. The caller owns the data directory."""
    with _socket_path(data_dir.absolute() / SOCKET_NAME) as path, socket.socket(socket.AF_UNIX) as listener:
        path.unlink(missing_ok=True)  # Whoever left it is dead: we hold the lock.
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        except OSError as error:
            raise AddressRefused(
                f"Cannot make the socket {path}: {error.strerror}.", hint="Set BUDFLOW_DATA_DIR to a local directory."
            ) from error
        finally:
            os.umask(before)
        listener.setblocking(False)
        try:
            yield listener, path
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def _socket_path(wanted: Path) -> Iterator[Path]:
    """`wanted`, or a short path in its place where it is too long for a socket."""
    if len(os.fsencode(wanted)) <= SOCKET_PATH_BYTES_MAX:
        yield wanted
        return
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and len(runtime) < SOCKET_PATH_BYTES_MAX - 32 and os.access(runtime, os.W_OK | os.X_OK):
        digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:16]
        yield Path(runtime) / f"budflow-{digest}.sock"
        return
    directory = Path(tempfile.mkdtemp(prefix="budflow-", dir="/tmp"))  # TMPDIR may be long
    try:
        yield directory / SOCKET_NAME
    finally:
        with contextlib.suppress(OSError):
            directory.rmdir()

"""Trying the address of somebody else's PostgreSQL database: does it let this user in?

Of the address only host, port, user, password, database and `sslmode` are used, and given to the driver one by one: the
driver would also take files of this machine from it, a Unix socket, or another host than the one that was checked.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import asyncpg

from budflow.model.credential_kind import Probed

PORT = 5432
#: How the connection is protected (libpq, sslmode). Certificates are verified by the authorities this machine trusts.
MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
#: Parts of an address that lead elsewhere, to another identity or to files of the server.
ELSEWHERE = frozenset(
    {
        *("host", "hostaddr", "port", "user", "password", "dbname", "database", "service", "servicefile", "passfile"),
        *("sslcert", "sslkey", "sslrootcert", "sslcrl", "sslpassword", "krbsrvname", "gsslib"),
    }
)
#: SQLSTATEs of a server that refuses who asks, or what for: class 28 (authorization), no such database, no right to it.
_REFUSING = ("28", "3D000", "42501")
#: What asyncpg raises of a server that does not say what it expects: of its own, and of Python.
_GARBLED = (ArithmeticError, AttributeError, EOFError, LookupError, TypeError, ValueError)

#: The addresses of a host and a port, checked: nothing else may be connected to. Raises BudflowError.
Addresses = Callable[[str, int], Awaitable[Sequence[object]]]


@dataclass(frozen=True, slots=True)
class _Target:
    hosts: tuple[tuple[str, int], ...]
    user: str
    password: str
    database: str
    mode: str


async def ping_postgres(url: str, addresses: Addresses, seconds: float) -> Probed:
    """Connect, ask `SELECT 1` and hang up; in `seconds` at most. Raises what `addresses` does, and nothing else."""
    target = _target_of(url)
    if isinstance(target, str):
        return Probed(None, target)
    try:
        async with asyncio.timeout(seconds):
            return await _try_hosts(target, addresses)
    except TimeoutError:
        return Probed(None, f"The database did not answer within {seconds:g} s.")


async def _try_hosts(target: _Target, addresses: Addresses) -> Probed:
    """The answer of the first server that gives one; of several hosts some may be away."""
    silent = ""
    for host, port in target.hosts:
        for address in await addresses(host, port):
            try:
                return await _ask(target, host, str(address), port)
            except ssl.SSLCertVerificationError as error:
                return Probed(None, f"The certificate of {host} was refused: {error.verify_message}.")
            except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
                silent = silent or f"No connection to {host}:{port}: {type(error).__name__}."
            except _GARBLED as error:
                # Not in its words, which quote the server.
                return Probed(None, f"{host} did not answer as PostgreSQL does: {type(error).__name__}.")
    return Probed(None, silent)


async def _ask(target: _Target, host: str, address: str, port: int) -> Probed:
    try:
        connection = await _connect(target, host, address, port)
        try:
            await connection.fetchval("SELECT 1")
        finally:
            await connection.close()
    except asyncpg.PostgresError as error:
        state = error.sqlstate or ""
        refused = state.startswith(_REFUSING)
        return Probed(False if refused else None, f"PostgreSQL on {host} answered {type(error).__name__} ({state}).")
    return Probed(True, f"PostgreSQL on {host} let {target.user} into {target.database} and answered SELECT 1.")


async def _connect(target: _Target, host: str, address: str, port: int) -> Any:
    given: dict[str, Any] = {
        "host": address,
        "port": port,
        "user": target.user,
        "password": target.password,
        "database": target.database,
    }
    if target.mode in ("disable", "allow"):
        try:
            return await asyncpg.connect(**given, ssl=False)
        except asyncpg.InvalidAuthorizationSpecificationError:
            if target.mode == "disable":
                raise  # With `allow` it may be that the server takes nobody without TLS.
    try:
        return await asyncpg.connect(**given, ssl=_tls(target.mode, host))
    except (ssl.SSLError, ConnectionError) as error:
        # A bare ConnectionError: the server speaks no TLS. Its subclasses: there is no server.
        if target.mode != "prefer" or type(error) not in (ConnectionError, ssl.SSLError):
            raise
    return await asyncpg.connect(**given, ssl=False)


def _tls(mode: str, host: str) -> ssl.SSLContext:
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.host = host
    context.check_hostname = mode == "verify-full"
    if mode in ("verify-ca", "verify-full"):
        context.load_default_certs()
    else:
        context.verify_mode = ssl.CERT_NONE
    return context


class _NamedContext(ssl.SSLContext):
    """TLS with the server of a name, while the connection goes to the address that was checked."""

    host: str

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        return super().wrap_bio(*args, **{**options, "server_hostname": self.host})


def _target_of(url: str) -> _Target | str:
    """What the address says, or in words why it cannot be tried; they quote nothing of it but names of parameters."""
    try:
        parts = urlsplit(url)
        options = {name.lower(): value for name, value in parse_qsl(parts.query, keep_blank_values=True)}
        hosts = tuple(_hosts(parts.netloc.rpartition("@")[2]))
    except ValueError:
        return "The address cannot be read."
    elsewhere = sorted(options.keys() & ELSEWHERE)
    if elsewhere:
        return f"The address cannot be tried from here: it says {', '.join(elsewhere)} in its query."
    mode = options.get("sslmode", "prefer")
    if mode not in MODES:
        return f"The sslmode of the address is none of {', '.join(MODES)}."
    user, _, password = (unquote(part) for part in parts.netloc.rpartition("@")[0].partition(":"))
    if not user:
        return "The address names no user."
    return _Target(hosts, user, password, unquote(parts.path.removeprefix("/")) or user, mode)


def _hosts(written: str) -> Iterator[tuple[str, int]]:
    """Raises ValueError."""
    for one in written.split(","):
        parts = urlsplit(f"//{one}")
        if not parts.hostname:
            raise ValueError("no host")
        yield parts.hostname, parts.port or PORT

"""Somebody's database is tried: only where it was checked to be, protected as its address says, and told as it is."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from budflow.egress.policy import AddressPolicy, AddressRefused, parse_allow
from budflow.egress.transport import ConnectFailed, checked_addresses, resolve_with_system
from budflow.storage.postgres.ping import ping_postgres
from tests.certificate import self_signed
from tests.servers import CannotStart, PostgresServer

pytestmark = pytest.mark.postgres

PASSWORD = "p@ss/wörd:1"
WRITTEN = "p%40ss%2Fw%C3%B6rd%3A1"
HBA = """
host all postgres 127.0.0.1/32 trust
host all ada 127.0.0.1/32 scram-sha-256
"""
SSL_REQUEST = bytes.fromhex("0000000804d2162f")
#: What PostgreSQL answers whom it takes only with TLS: FATAL, 28000 (protocol 3.0, ErrorResponse).
NO_PLAIN = b"SFATAL\0C28000\0Mno pg_hba.conf entry, no encryption\0\0"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL that asks ada for her password."""
    try:
        server = PostgresServer.start()
    except CannotStart as error:
        pytest.skip(str(error))
    try:
        asyncio.run(_with_role(server))
        server.pause()
        (server.directory / "data" / "pg_hba.conf").write_text(HBA)
        server.resume()
        yield server
    finally:
        server.stop()


async def _with_role(server: PostgresServer) -> None:
    conn = await asyncpg.connect(server.url())
    await conn.execute(f"CREATE ROLE ada LOGIN PASSWORD '{PASSWORD}'")
    await conn.execute("CREATE DATABASE sales")
    await conn.close()


@dataclass
class SecureDoor:
    """Before the server for those who want TLS, and for nobody else: the server from the wheel has none."""

    server: PostgresServer
    tls: ssl.SSLContext
    certificate: Path
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(8) != SSL_REQUEST:
            writer.write(b"E" + (len(NO_PLAIN) + 4).to_bytes(4, "big") + NO_PLAIN)
            return
        writer.write(b"S")
        await writer.start_tls(self.tls)
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        try:
            await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))
        finally:
            inner_writer.close()
            await inner_writer.wait_closed()


@asynccontextmanager
async def serving(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A server on the port that is given; it ends when its clients have hung up."""
    open_tasks: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_tasks.add(asyncio.current_task())
        # The client hangs up when it does not like the certificate.
        with suppress(OSError, asyncio.IncompleteReadError):
            await handle(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*filter(None, open_tasks))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.fixture
async def secure(server: PostgresServer, tmp_path: Path) -> AsyncIterator[SecureDoor]:
    """The same server for those who want TLS, and with a certificate for db.example."""
    path = tmp_path / "db.pem"
    path.write_bytes(b"".join(self_signed("db.example")))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(path)
    door = SecureDoor(server, tls, path)
    async with serving(door.serve) as door.port:
        yield door


@pytest.fixture
def trusted(secure: SecureDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's certificate is among those that this machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(secure.certificate))


async def loopback(_host: str, _port: int) -> Sequence[str]:
    return ["127.0.0.1"]


def url(server: PostgresServer | SecureDoor, query: str = "", **parts: str) -> str:
    given = {"user": "ada", "password": WRITTEN, "host": "db.example", "database": "sales", **parts}
    return f"postgresql://{given['user']}:{given['password']}@{given['host']}:{server.port}/{given['database']}{query}"


@pytest.mark.parametrize(
    ("mode", "plain", "with_tls"),
    [
        ("", True, True),
        ("?sslmode=disable", True, False),
        ("?sslmode=allow", True, True),
        ("?sslmode=prefer", True, True),
        ("?sslmode=require", None, True),
    ],
)
async def test_the_connection_is_protected_as_the_address_says(
    server: PostgresServer, secure: SecureDoor, mode: str, plain: bool | None, with_tls: bool
) -> None:
    """The one server has no TLS, the other takes nobody without."""
    for where, works in ((server, plain), (secure, with_tls)):
        probed = await ping_postgres(url(where, mode), loopback, 10)
        assert probed.works is works, probed.answer


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("host", "mode", "works"),
    [
        ("db.example", "verify-full", True),
        ("db.example", "verify-ca", True),
        ("other.example", "verify-ca", True),
        ("other.example", "verify-full", None),
    ],
)
async def test_the_certificate_must_be_that_of_the_name_and_not_of_the_address(
    secure: SecureDoor, host: str, mode: str, works: bool | None
) -> None:
    probed = await ping_postgres(url(secure, f"?sslmode={mode}", host=host), loopback, 10)
    assert probed.works is works, probed.answer


async def test_a_certificate_that_nobody_signed_is_refused(secure: SecureDoor) -> None:
    probed = await ping_postgres(url(secure, "?sslmode=verify-full"), loopback, 10)
    assert probed.works is None
    assert "certificate of db.example was refused" in probed.answer


@pytest.mark.parametrize("wrong", [{"password": "wrong-canary"}, {"user": "nobody"}, {"database": "missing"}])
async def test_a_server_that_refuses_is_the_answer_no(server: PostgresServer, wrong: dict[str, str]) -> None:
    probed = await ping_postgres(url(server, **wrong), loopback, 10)
    assert probed.works is False
    assert "canary" not in probed.answer


async def test_the_server_that_answers_is_asked_where_others_are_away(server: PostgresServer) -> None:
    written = f"postgres://ada:{WRITTEN}@gone.example:1,db.example:{server.port}/sales"
    assert (await ping_postgres(written, loopback, 10)).works is True


@pytest.mark.parametrize(
    "written",
    [
        "postgresql://ada:{p}@db.example/sales?host=169.254.169.254",
        "postgresql://ada:{p}@db.example/sales?host=/var/run/postgresql",
        "postgresql://ada:{p}@db.example/sales?passfile=/etc/passwd",
        "postgresql://ada:{p}@db.example/sales?SSLKEY=/etc/key&service=x",
        "postgresql://ada:{p}@db.example/sales?sslmode=never",
        "postgresql://db.example/sales",
        "postgresql://ada:{p}@db.example:99999/sales",
        "postgresql://ada:{p}@[::g]/sales",
        "postgresql://ada:{p}@/sales",
    ],
)
async def test_an_address_that_leads_elsewhere_is_not_tried(written: str) -> None:
    asked: list[str] = []

    async def addresses(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return []

    probed = await ping_postgres(written.format(p="canary-pw"), addresses, 10)

    assert (probed.works, asked) == (None, [])
    assert "canary" not in probed.answer


async def test_only_addresses_that_the_policy_allows_are_connected_to(server: PostgresServer) -> None:
    def guarded(*allow: str) -> Callable[..., object]:
        return partial(checked_addresses, AddressPolicy(parse_allow(allow)), resolve_with_system)

    written = url(server, host="127.0.0.1")
    with pytest.raises(AddressRefused):
        await ping_postgres(written, guarded(), 10)  # type: ignore[arg-type] # a partial of the right shape
    assert (await ping_postgres(written, guarded("127.0.0.1"), 10)).works is True  # type: ignore[arg-type] # as above
    with pytest.raises(ConnectFailed):
        await ping_postgres(url(server, host="no-such-host.invalid"), guarded(), 10)  # type: ignore[arg-type] # as above


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"S", b"N" + b"\xff" * 64, b"R\0\0\0\x08\0\0\0\xff"]
)
async def test_a_server_that_speaks_something_else_is_no_answer(answer: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(answer)
        await writer.drain()

    async with serving(speak) as port:
        probed = await ping_postgres(f"postgresql://ada:x@db.example:{port}/sales", loopback, 10)
    assert probed.works is None


LET_IN, READY = b"R\0\0\0\x08\0\0\0\0", b"Z\0\0\0\x05I"


def said(name: str, value: str) -> bytes:
    """A server's parameter (protocol 3.0, ParameterStatus)."""
    content = f"{name}\0{value}\0".encode()
    return b"S" + (len(content) + 4).to_bytes(4, "big") + content


# asyncpg cannot clean up after a connection that it could not make.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "answer",
    [
        LET_IN + READY,
        LET_IN + said("server_version", PASSWORD) + READY,
        LET_IN + said("client_encoding", PASSWORD) + READY,
    ],
)
async def test_what_no_postgresql_says_is_neither_repeated_nor_raised(answer: bytes) -> None:
    """The driver's errors quote it, and it may be the password that the server has just been told."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_000)
        writer.write(answer)
        await writer.drain()

    async with serving(speak) as port:
        probed = await ping_postgres(f"postgresql://ada:{WRITTEN}@db.example:{port}/x?sslmode=disable", loopback, 10)

    assert probed.works is None
    assert PASSWORD not in probed.answer


async def test_a_silent_server_is_waited_for_only_so_long() -> None:
    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(keep_silent) as port:
        probed = await ping_postgres(f"postgresql://ada:x@db.example:{port}/sales", loopback, 0.2)
    assert probed.works is None
    assert "did not answer" in probed.answer

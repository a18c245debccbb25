"""What carries an external worker's link: to a sandboxd whose certificate is known, and to nobody else."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from budflow.sandbox.relay import Relay, RelayRefused
from tests.certificate import self_signed


@asynccontextmanager
async def echoing(directory: Path, host: str) -> AsyncIterator[str]:
    """A TLS server that gives back what it gets; its address. Its certificate is in `HOST.crt`."""
    chain, key = directory / f"{host}.crt", directory / f"{host}.key"
    for path, pem in zip((chain, key), self_signed(host), strict=True):
        write(path, pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context) as server:
        yield f"localhost:{server.sockets[0].getsockname()[1]}"


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def test_what_the_worker_says_gets_there_and_what_comes_back_gets_here(tmp_path: Path) -> None:
    said = b"x" * 3_000_000
    async with (
        echoing(tmp_path, "localhost") as address,
        Relay.to(address, tmp_path / "localhost.crt").serving(tmp_path / "broker.sock"),
    ):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "broker.sock")
        writer.write(said)
        assert await reader.readexactly(len(said)) == said
        writer.close()
        await writer.wait_closed()

    assert {path.suffix for path in listed(tmp_path)} == {".crt", ".key"}


def listed(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def test_a_server_with_another_certificate_hears_nothing(tmp_path: Path) -> None:
    for path, pem in zip(("other.crt", "other.key"), self_signed("localhost"), strict=True):
        write(tmp_path / path, pem)
    async with (
        echoing(tmp_path, "localhost") as address,
        Relay.to(address, tmp_path / "other.crt").serving(tmp_path / "broker.sock"),
    ):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "broker.sock")
        writer.write(b"ticket")

        assert await reader.read() == b""
        writer.close()


async def test_nor_does_one_that_has_a_certificate_for_another_name(tmp_path: Path) -> None:
    async with (
        echoing(tmp_path, "elsewhere.example") as address,
        Relay.to(address, tmp_path / "elsewhere.example.crt").serving(tmp_path / "broker.sock"),
    ):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "broker.sock")

        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("address", ["sandboxd.example", ":8711", "sandboxd.example:https"])
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(RelayRefused):
        Relay.to(address, None)

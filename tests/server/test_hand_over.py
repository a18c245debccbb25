"""`budflow serve` takes a data directory from a living `budflow mcp`, and from nobody else."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from budflow.server import hand_over
from budflow.server.hand_over import take_ownership, with_hand_over
from budflow.services.keys import Keys
from budflow.storage.owner import DirectoryOwned, OwnerLock, owner_key


async def inner(scope: Any, receive: Any, send: Any) -> None:
    """The application behind the route."""
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def ask(path: str, method: str, key: str) -> tuple[int, bool]:
    """The status of the answer, and whether the owner was asked to go."""
    asked = asyncio.Event()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "method": method, "headers": [(b"authorization", f"Bearer {key}".encode())]}
    await with_hand_over(inner, Keys("bf_right"), asked)(scope, inner, send)  # type: ignore[arg-type]  # nothing is read
    return sent[0]["status"], asked.is_set()


async def test_the_owner_key_asks_for_the_hand_over() -> None:
    assert await ask(hand_over.PATH, "POST", "bf_right") == (202, True)


async def test_another_key_does_not() -> None:
    assert await ask(hand_over.PATH, "POST", "bf_wrong") == (401, False)


@pytest.mark.parametrize(("path", "method"), [(hand_over.PATH, "GET"), ("/api/v1/status", "POST")])
async def test_everything_else_passes_through(path: str, method: str) -> None:
    assert await ask(path, method, "bf_right") == (418, False)


async def test_a_free_directory_is_taken_at_once(tmp_path: Path) -> None:
    with await take_ownership(tmp_path) as lock:
        assert lock.owner.kind == "serve"


async def test_a_serving_owner_is_not_asked(tmp_path: Path) -> None:
    with OwnerLock.acquire(tmp_path, "serve") as lock:
        lock.announce(address="http://127.0.0.1:8710")

        with pytest.raises(DirectoryOwned) as owned:
            await take_ownership(tmp_path)

    assert owned.value.details["pid"] == lock.owner.pid
    assert "http://127.0.0.1:8710" in owned.value.message


async def test_an_mcp_owner_is_asked_and_waited_for(tmp_path: Path) -> None:
    lock = OwnerLock.acquire(tmp_path, "mcp")
    key, asked = owner_key(tmp_path), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert f"Bearer {key}".encode() in head
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        asked.set()

    path = str(tmp_path / "api.sock")
    async with await asyncio.start_unix_server(answer, path):
        lock.announce(socket=path)
        taking = asyncio.create_task(take_ownership(tmp_path))
        await asyncio.wait_for(asked.wait(), 5)
        assert not taking.done()
        lock.close()
        with await asyncio.wait_for(taking, 5) as taken:
            assert taken.owner.kind == "serve"


async def test_an_mcp_owner_that_does_not_let_go_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hand_over, "WAIT_SECONDS", 0.3)
    with OwnerLock.acquire(tmp_path, "mcp") as lock:
        lock.announce(socket=str(tmp_path / "nobody.sock"))

        with pytest.raises(DirectoryOwned):
            await take_ownership(tmp_path)

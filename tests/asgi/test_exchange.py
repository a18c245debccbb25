"""A body is read within its limits, whatever the client says of it, and an answer is sent whole."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from budflow.asgi import exchange
from budflow.asgi.exchange import Answer, BodySlow, BodyTooLarge, ClientGone, read_body, send_answer

LENGTH = b"content-length"


def receiving(*messages: dict[str, Any]) -> exchange.Receive:
    left = iter(messages)

    async def receive() -> MutableMapping[str, Any]:
        return next(left)

    return receive


def chunk(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_in_pieces_is_put_together() -> None:
    assert await read_body([], receiving(chunk(b"ab", more=True), chunk(b"c")), 3) == b"abc"
    assert await read_body([(LENGTH, b"2")], receiving(chunk(b"ab")), 3) == b"ab"


@pytest.mark.parametrize("announced", [b"4", b"999999999999"])
async def test_what_is_announced_as_too_large_is_not_even_read(announced: bytes) -> None:
    with pytest.raises(BodyTooLarge):
        await read_body([(LENGTH, announced)], receiving(), 3)


@pytest.mark.parametrize("announced", [b"1", b"-1", b"many"])
async def test_what_comes_is_counted_too(announced: bytes) -> None:
    with pytest.raises(BodyTooLarge):
        await read_body([(LENGTH, announced)], receiving(chunk(b"ab", more=True), chunk(b"cd", more=True)), 3)


async def test_a_client_that_hangs_up_is_told_from_one_that_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClientGone):
        await read_body([], receiving(chunk(b"a", more=True), {"type": "http.disconnect"}), 3)

    async def never() -> MutableMapping[str, Any]:
        return await asyncio.Future()

    monkeypatch.setattr(exchange, "BODY_SECONDS_MAX", 0.01)
    with pytest.raises(BodySlow):
        await read_body([], never, 3)


@pytest.mark.parametrize(("status", "body", "length"), [(200, b"ab", b"2"), (200, b"", b"0"), (204, b"", None)])
async def test_an_answer_tells_its_length_where_it_may_have_a_body(
    status: int, body: bytes, length: bytes | None
) -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await send_answer(Answer(status, (("X-A", "1"),), body), send)

    assert sent[0]["status"] == status
    assert dict(sent[0]["headers"]).get(LENGTH) == length
    assert dict(sent[0]["headers"])[b"x-a"] == b"1"
    assert sent[1]["body"] == body

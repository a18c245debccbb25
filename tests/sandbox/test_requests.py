"""What sandboxd says to requesters is what its types say: the type checker sees how it is made, a test what is sent."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import orjson
import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.asyncio.server import ServerConnection, unix_serve

from budflow.sandbox.access import STATUS, Tickets, read_key
from budflow.sandbox.connection import PART_PREFIX, Refused, connect_with
from budflow.sandbox.messages import ResultItem, Trouble
from budflow.sandbox.requests import FromSandboxd, Greeted
from tests.sandbox.conftest import OpenSandboxd, Sandboxd
from tests.sandbox.subprocess_runner import SubprocessRunner

CODE = """
print("begun")
log.warning("odd", at=index)
progress(0.5, "half")
if index == 1:
    raise ValueError("no")
return {"n": item["n"]}
"""
SUBMIT: dict[str, Any] = {
    "type": "submit",
    "name": "n",
    "mode": "each",
    "code": CODE,
    "now": "2026-01-01T00:00:00+00:00",
    "seed": "s",
    "item_count": 3,
    "items": [{"n": 0}],
    "timeout_seconds": 5,
    "memory_mb": 256,
}
ITEMS, TROUBLES = TypeAdapter(list[ResultItem]), TypeAdapter(list[Trouble])


def models() -> Iterator[tuple[str, type[BaseModel]]]:
    """What reads each message as strictly as its type is meant, by its name."""
    strict: dict[str, Any] = {"__config__": ConfigDict(extra="forbid", strict=True)}
    for kind in get_args(FromSandboxd):
        hints = get_type_hints(kind)
        fields: dict[str, Any] = {name: (hint, ...) for name, hint in hints.items()}
        yield get_args(hints["type"])[0], create_model(kind.__name__, **strict, **fields)


async def greeted(sandboxd: Sandboxd, project: str) -> ClientConnection:
    """A link for a project, or for the status."""
    link = await unix_connect(str(sandboxd.directory / "sandboxd.sock"), compression=None)
    ticket = Tickets(read_key(sandboxd.directory)).issue("requester", project, 60)
    await send(link, type="greeting", version=1, ticket=ticket)
    Greeted.model_validate_json(await link.recv())
    return link


async def send(link: ClientConnection, **message: Any) -> None:
    await link.send(orjson.dumps(message), text=True)


async def answers(link: ClientConnection, task_id: str) -> list[Mapping[str, Any]]:
    """All that is said of a task, to which the items that it wants are given."""
    heard: list[Mapping[str, Any]] = []
    while not heard or heard[-1]["type"] not in ("done", "failed"):
        frame = await link.recv(decode=False)
        heard.append(orjson.loads(frame))
        assert (heard[-1]["type"] == "part") == frame.startswith(PART_PREFIX)  # Else the client reads it at once.
        if heard[-1]["type"] == "items_wanted":
            items = [{"n": n} for n in range(heard[-1]["start"], heard[-1]["stop"])]
            await send(link, type="items", task_id=task_id, request=heard[-1]["request"], items=items)
    return heard


async def test_all_that_is_sent_has_its_type(open_sandboxd: OpenSandboxd) -> None:
    sandboxd = await open_sandboxd(SubprocessRunner())
    async with await greeted(sandboxd, "p1") as link, await greeted(sandboxd, STATUS) as status:
        await send(link, **SUBMIT, task_id="t1")
        heard = await answers(link, "t1")
        await send(link, **{**SUBMIT, "code": "no code"}, task_id="t2")
        heard += await answers(link, "t2")
        await send(status, type="describe", request=7)
        heard.append(orjson.loads(await status.recv()))

    strictly = dict(models())
    for message in heard:
        strictly[message["type"]].model_validate(message)
    assert {message["type"] for message in heard} == strictly.keys()
    parts = [message for message in heard if message["type"] == "part"]
    items = [item.json_ for part in parts for item in ITEMS.validate_python(part["items"])]
    failed = [trouble.item for part in parts for trouble in TROUBLES.validate_python(part["failed"])]
    assert (items, failed) == ([{"n": 0}, {"n": 2}], [1])


async def test_one_that_greets_in_another_way_is_refused(tmp_path: Path) -> None:
    async def greet(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(orjson.dumps({"type": "greeted", "version": 1, "mood": "good"}), text=True)
        await connection.wait_closed()

    async with await unix_serve(greet, str(tmp_path / "sandboxd.sock")):
        with pytest.raises(Refused, match="another version"):
            await connect_with(tmp_path / "sandboxd.sock", "ticket")

"""The sandbox of the server's code nodes: meets SandboxCapability for each project over a link to sandboxd."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from budflow.log import get_log
from budflow.model.log import LogCapability
from budflow.model.sandbox import CodeInvalid, CodePart, CodePlace, CodeTask, SandboxUnavailable, SandboxWorkerLost
from budflow.sandbox.access import STATUS, SandboxKeyUnreadable
from budflow.sandbox.encode_items import encode_part, encode_value
from budflow.sandbox.messages import PART_BYTES
from budflow.sandbox.requests import CODE_BYTES_MAX, PARAMS_BYTES_MAX, Abandon, Done, ItemsWanted, LogLine, Part
from budflow.sandbox.troubles import error_of, rebuild

if TYPE_CHECKING:
    from budflow.sandbox.connection import Connection

#: A link without a task is closed after this; the next task opens it again in a few milliseconds.
IDLE_SECONDS = 60.0
#: What goes with a task, so that few items take no further way; the others are sent when the code touches them.
FIRST_BYTES = PART_BYTES

log = get_log(__name__)


class Keeper(Protocol):
    """What knows where sandboxd is."""

    async def socket(self) -> Path:
        """Its socket, once it answers there. Raises SandboxUnavailable."""
        ...


class Links(Protocol):
    """What has the links to sandboxd that tasks go by."""

    async def link(self, project_id: str) -> "Connection":
        """A living link for the project. Raises SandboxUnavailable."""
        ...

    def rest(self, project_id: str, link: "Connection") -> None:
        """A task of the link is over."""
        ...


class SandboxClient:
    """Links to one sandboxd: one for each project that runs code."""

    def __init__(self, keeper: Keeper, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._keeper, self._idle_seconds = keeper, idle_seconds
        self._links: dict[str, Connection] = {}
        self._opening: dict[str, asyncio.Lock] = {}
        self._closing: dict[str, asyncio.TimerHandle] = {}
        self._closers: set[asyncio.Task[None]] = set()

    def of(self, project_id: str) -> "ProjectSandbox":
        """The sandbox of one project, and of no other."""
        return ProjectSandbox(self, project_id)

    async def describe(self) -> Mapping[str, Any]:
        """The status of the sandbox: starts it where none runs. Raises SandboxUnavailable."""
        link = await self.link(STATUS)
        try:
            return await self._described_by(link)
        except SandboxUnavailable:
            if not link.gone:
                raise
        return await self._described_by(await self.link(STATUS))  # It had died, and the link did not know yet.

    async def link(self, project_id: str) -> "Connection":
        """A living link for the project. Raises SandboxUnavailable."""
        if (timer := self._closing.pop(project_id, None)) is not None:
            timer.cancel()
        link = self._links.get(project_id)
        if link is not None and not link.gone:
            return link
        async with self._opening.setdefault(project_id, asyncio.Lock()):
            link = self._links.get(project_id)
            if link is None or link.gone:
                link = self._links[project_id] = await self._connect(project_id)
            return link

    def rest(self, project_id: str, link: "Connection") -> None:
        """A task of the link is over: without another one it is closed after a while."""
        if link.busy or self._links.get(project_id) is not link or project_id in self._closing:
            return
        loop = asyncio.get_running_loop()
        self._closing[project_id] = loop.call_later(self._idle_seconds, self._close_idle, project_id, link)

    async def close(self) -> None:
        """Close every link; tasks under way are cancelled."""
        for timer in self._closing.values():
            timer.cancel()
        links = list(self._links.values())
        self._links.clear()
        for link in links:
            await link.close()
        if self._closers:
            await asyncio.wait(self._closers)

    async def _described_by(self, link: "Connection") -> Mapping[str, Any]:
        try:
            return await link.describe()
        finally:
            self.rest(STATUS, link)

    async def _connect(self, project_id: str) -> "Connection":
        from budflow.sandbox.connection import (  # noqa: PLC0415 - the library of WebSockets, with the first code
            Refused,
            connect,
        )

        refused = ""
        for _ in range(2):  # It may have died since the keeper looked.
            try:
                return await connect(await self._keeper.socket(), project_id)
            except SandboxKeyUnreadable as error:
                raise SandboxUnavailable(error.message, hint=error.hint) from error
            except Refused as error:
                refused = str(error)
        raise SandboxUnavailable(
            f"The sandbox daemon cannot be reached: {refused}.", hint="Look at the log of sandboxd."
        )

    def _close_idle(self, project_id: str, link: "Connection") -> None:
        self._closing.pop(project_id, None)
        if link.busy or self._links.get(project_id) is not link:
            return
        del self._links[project_id]
        self._opening.pop(project_id, None)
        task = asyncio.ensure_future(link.close())
        self._closers.add(task)
        task.add_done_callback(self._closers.discard)


@dataclass(frozen=True, slots=True)
class ProjectSandbox:
    """Meets SandboxCapability for one project."""

    client: "Links"
    project_id: str

    async def run(self, task: CodeTask, log: LogCapability) -> AsyncGenerator[CodePart, None]:
        """See SandboxCapability."""
        submit = await _submit(task)
        link = await self.client.link(self.project_id)
        task_id, inbox = link.open_task()
        over = False
        try:
            await link.send({**submit, "task_id": task_id})
            while True:
                message = await inbox.get()
                if message is None:
                    over = True
                    raise SandboxWorkerLost("The sandbox daemon died while the code ran.")
                match message["type"]:
                    case "part":
                        yield _part(message)
                    case "items_wanted":
                        await link.send(await _items(task, message))
                    case "log":
                        _log(log, message)
                    case "progress":
                        log.info(message["message"] or "Progress", progress=message["fraction"])
                    case "done":
                        over = True
                        _tell_done(log, message)
                        yield CodePart(place=CodePlace(message["isolation"], message["image"]))
                        return
                    case "failed":
                        over = True
                        raise rebuild(message)
        finally:
            link.close_task(task_id)
            if not over:
                with contextlib.suppress(SandboxWorkerLost):
                    await link.send(Abandon(task_id=task_id).model_dump())
            self.client.rest(self.project_id, link)


async def _submit(task: CodeTask) -> dict[str, Any]:
    code = task.code.encode("utf-8", "surrogatepass")
    if len(code) > CODE_BYTES_MAX:
        raise CodeInvalid(f"The code has {len(code):,} bytes, and {CODE_BYTES_MAX:,} are allowed.")
    params = encode_value(dict(task.params), "The parameter `params`", PARAMS_BYTES_MAX)
    return {
        "type": "submit",
        "name": task.name[:200],
        "mode": task.mode,
        "code": orjson.Fragment(encode_value(task.code, "The code", 2 * CODE_BYTES_MAX)),
        "params": orjson.Fragment(params),
        "now": task.now.isoformat(),
        "seed": task.seed,
        "item_count": len(task.items),
        "items": await encode_part(task.items, 0, len(task.items), FIRST_BYTES),
        "requirements": list(task.requirements),
        "network": list(task.network),
        "timeout_seconds": task.timeout_seconds,
        "memory_mb": task.memory_mb,
    }


async def _items(task: CodeTask, wanted: ItemsWanted) -> dict[str, Any]:
    shape = {"task_id": wanted["task_id"], "request": wanted["request"]}
    items = await encode_part(task.items, wanted["start"], wanted["stop"])
    return {"type": "items", **shape, "items": items}


def _part(message: Part) -> CodePart:
    return CodePart(
        [(item["json"], item.get("source", -1)) for item in message["items"]],
        {trouble["item"]: error_of(trouble) for trouble in message["failed"]},
    )


def _log(log: LogCapability, line: LogLine) -> None:
    target = log if line["item"] is None else log.for_item(line["item"])
    write = {"debug": target.debug, "info": target.info, "warning": target.warning, "error": target.error}
    write[line["level"]](line["message"], **line["fields"])


def _tell_done(log: LogCapability, done: Done) -> None:
    tell = log.info if done["isolation"] == "process" else log.debug
    tell(
        "Ran with reduced isolation." if done["isolation"] == "process" else "Ran in the sandbox.",
        isolation=done["isolation"],
        image=done["image"],
        worker=done["worker"],
        queued_seconds=round(done["queued_seconds"], 4),
        ran_seconds=round(done["ran_seconds"], 4),
    )

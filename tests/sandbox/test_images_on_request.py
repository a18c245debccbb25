"""Images on request: prepared for any requester, found and removed only for who counts them on a machine."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from budflow.model.sandbox import Isolation, RequirementsFailed, SandboxBusy, SandboxUnavailable, SandboxWorkerLost
from budflow.sandbox import image_client
from budflow.sandbox.access import Tickets, read_key
from budflow.sandbox.client import ProjectSandbox
from budflow.sandbox.connection import Connection, Refused, connect_with
from budflow.sandbox.daemon_settings import SOCKET_FILE
from budflow.sandbox.image_requests import NODE
from budflow.sandbox.runners import OnProgress, WorkerKind
from tests.sandbox.conftest import OpenSandboxd, Sandboxd
from tests.sandbox.subprocess_runner import Started, SubprocessRunner
from tests.sandbox.tasks import Lines, task, values
from tests.until import until

BASE, SIX = "sha256:" + "0" * 64, "sha256:" + "6" * 64


class ImagesRunner(SubprocessRunner):
    """Real workers that say they have images."""

    isolation: Isolation = "docker"

    def __init__(self) -> None:
        super().__init__()
        self.images = {BASE: 0}
        self.kinds: list[WorkerKind] = []

    async def prepare(self, requirements: Sequence[str], on_progress: OnProgress) -> str:
        if not requirements:
            return BASE
        on_progress("Installing")
        if "six" not in requirements:
            raise RequirementsFailed("There is no such package.", hint="Look for it.")
        self.images[SIX] = 600
        return SIX

    async def start(self, kind: WorkerKind, sockets: Path, environment: Mapping[str, str]) -> Started:
        self.kinds.append(kind)
        return await super().start(kind, sockets, environment)

    async def image_bytes(self, image: str) -> int:
        if image not in self.images:
            raise SandboxUnavailable("It is not there.")
        return self.images[image]

    async def remove_image(self, image: str) -> int:
        used = any(kind.image == image and one.process.returncode is None for kind, one in self._living())
        return 0 if used or image == BASE else self.images.pop(image, 0)

    def _living(self) -> list[tuple[WorkerKind, Started]]:
        return [*zip(self.kinds, self.started, strict=True)]


class TicketLinks:
    """Links by one ticket."""

    def __init__(self, sandboxd: Sandboxd, ticket: str, **expected: str) -> None:
        self._socket, self._ticket, self._expected = sandboxd.directory / SOCKET_FILE, ticket, expected
        self.opened: list[Connection] = []

    async def link(self, project_id: str) -> Connection:
        self.opened.append(await connect_with(self._socket, self._ticket, **self._expected))
        return self.opened[-1]

    def rest(self, project_id: str, link: Connection) -> None:
        pass

    async def close(self) -> None:
        for link in self.opened:
            await link.close()


def ticket(sandboxd: Sandboxd, subject: str, image: str = "") -> str:
    return Tickets(read_key(sandboxd.directory)).issue("requester", subject, 60, image=image)


async def test_an_image_is_prepared_for_any_project(open_sandboxd: OpenSandboxd) -> None:
    sandboxd, told = await open_sandboxd(ImagesRunner()), list[str]()
    socket = sandboxd.directory / SOCKET_FILE

    assert await image_client.prepare(socket, ticket(sandboxd, "p1"), ("six",), told.append) == SIX
    assert await image_client.prepare(socket, ticket(sandboxd, "p1"), (), told.append) == BASE
    assert told == ["Installing"]
    with pytest.raises(RequirementsFailed, match="no such package") as refused:
        await image_client.prepare(socket, ticket(sandboxd, "p1"), ("seven",), told.append)
    assert refused.value.hint == "Look for it."


class Waits(ImagesRunner):
    """Prepares nothing before it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.asked = asyncio.Event(), list[str]()

    async def prepare(self, requirements: Sequence[str], on_progress: OnProgress) -> str:
        self.asked += requirements
        await self.go.wait()
        return SIX


async def test_who_asks_for_too_many_images_at_once_is_refused_and_others_are_not(open_sandboxd: OpenSandboxd) -> None:
    runner = Waits()
    sandboxd = await open_sandboxd(runner, queued_max=4)
    socket = sandboxd.directory / SOCKET_FILE

    def prepare(project: str, requirement: str) -> "asyncio.Task[str]":
        asking = image_client.prepare(socket, ticket(sandboxd, project), (requirement,), lambda _: None)
        return asyncio.create_task(asking)

    waiting = [prepare("p1", "one"), prepare("p1", "two")]
    await until(lambda: len(runner.asked) == 2)

    with pytest.raises(SandboxBusy, match="of this project is waiting for an image"):
        await prepare("p1", "three")
    with pytest.raises(SandboxBusy, match="of this project is waiting for an image"):  # Code counts with them.
        await values(sandboxd.client.of("p1"), task("return None"))
    waiting.append(prepare("p2", "four"))
    await until(lambda: len(runner.asked) == 3)
    runner.go.set()

    assert await asyncio.gather(*waiting) == [SIX] * 3
    assert await prepare("p1", "three") == SIX


async def test_an_image_goes_with_the_workers_that_have_it_and_do_nothing(open_sandboxd: OpenSandboxd) -> None:
    runner = ImagesRunner()
    sandboxd = await open_sandboxd(runner)
    socket = sandboxd.directory / SOCKET_FILE
    await values(sandboxd.client.of("p1"), task("return None", requirements=("six",)))

    assert await image_client.find(socket, ticket(sandboxd, NODE), SIX) == 600
    assert await image_client.remove(socket, ticket(sandboxd, NODE), SIX) == 600
    assert await image_client.remove(socket, ticket(sandboxd, NODE), SIX) == 0
    assert await image_client.remove(socket, ticket(sandboxd, NODE), BASE) == 0
    with pytest.raises(SandboxUnavailable, match="not there"):
        await image_client.find(socket, ticket(sandboxd, NODE), SIX)
    assert await values(sandboxd.client.of("p1"), task("return {'n': 1}", requirements=("six",))) == [{"n": 1}]


async def test_a_project_may_not_find_or_remove_images(open_sandboxd: OpenSandboxd) -> None:
    sandboxd = await open_sandboxd(ImagesRunner())
    socket = sandboxd.directory / SOCKET_FILE

    for call in (image_client.find, image_client.remove):
        with pytest.raises(SandboxUnavailable, match="project's ticket"):
            await call(socket, ticket(sandboxd, "p1"), BASE)


async def test_who_counts_images_may_run_no_code(open_sandboxd: OpenSandboxd) -> None:
    sandboxd = await open_sandboxd(ImagesRunner())
    links = TicketLinks(sandboxd, ticket(sandboxd, NODE))

    with pytest.raises(SandboxWorkerLost):
        await values(ProjectSandbox(links, NODE), task("return None"))
    await links.close()


async def test_code_runs_in_the_image_of_the_ticket(open_sandboxd: OpenSandboxd) -> None:
    runner = ImagesRunner()
    runner.images[SIX] = 600
    sandboxd = await open_sandboxd(runner)
    links, log = TicketLinks(sandboxd, ticket(sandboxd, "p1", SIX), project="p1", image=SIX), Lines()

    await values(ProjectSandbox(links, "p1"), task("return None"), log)

    assert [fields["image"] for _, _, fields, _ in log.lines if "image" in fields] == [SIX]
    await links.close()


async def test_a_ticket_with_an_image_that_is_not_there_runs_nothing(open_sandboxd: OpenSandboxd) -> None:
    runner = ImagesRunner()
    sandboxd = await open_sandboxd(runner)
    links = TicketLinks(sandboxd, ticket(sandboxd, "p1", SIX))

    with pytest.raises(SandboxUnavailable, match="not there"):
        await values(ProjectSandbox(links, "p1"), task("return None"))
    assert runner.started == []
    await links.close()


@pytest.mark.parametrize("expected", [{"project": "p2", "image": SIX}, {"project": "p1", "image": BASE}])
async def test_a_ticket_for_something_else_than_expected_is_refused(
    open_sandboxd: OpenSandboxd, expected: dict[str, str]
) -> None:
    sandboxd = await open_sandboxd(ImagesRunner())

    with pytest.raises(Refused, match="ticket"):
        await connect_with(sandboxd.directory / SOCKET_FILE, ticket(sandboxd, "p1", SIX), **expected)


async def test_a_sandbox_without_images_has_none_and_is_there(open_sandboxd: OpenSandboxd) -> None:
    sandboxd = await open_sandboxd(SubprocessRunner())
    socket = sandboxd.directory / SOCKET_FILE

    assert await image_client.find(socket, ticket(sandboxd, NODE), "") == 0
    assert await image_client.remove(socket, ticket(sandboxd, NODE), "") == 0
    with pytest.raises(SandboxUnavailable, match="no images"):
        await image_client.find(socket, ticket(sandboxd, NODE), SIX)


async def test_where_nobody_serves_that_is_told(tmp_path: Path) -> None:
    calls: list[Any] = [image_client.find, image_client.remove]
    for call in calls:
        with pytest.raises(SandboxUnavailable, match=r"no\.sock"):
            await call(tmp_path / "no.sock", "ticket", "")

"""The requester's link: bound to its ticket's project, strict, and its tasks end with it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed

from budflow.model.sandbox import (
    CodeInvalid,
    CodeResultMalformed,
    SandboxBusy,
    SandboxUnavailable,
    SandboxWorkerLost,
)
from budflow.sandbox import work
from budflow.sandbox.access import Tickets, read_key
from budflow.sandbox.client import SandboxClient
from budflow.sandbox.keeper import ExistingSandboxd
from tests.sandbox.conftest import OpenSandboxd, Sandboxd
from tests.sandbox.fake_workers import FakeRunner, FakeWorker
from tests.sandbox.subprocess_runner import SubprocessRunner
from tests.sandbox.tasks import Lines, task, values
from tests.until import until

SUBMIT: dict[str, Any] = {
    "type": "submit",
    "task_id": "t1",
    "name": "n",
    "mode": "all",
    "code": "x",
    "now": "2026-01-01T00:00:00+00:00",
    "seed": "s",
    "item_count": 1,
    "items": [{"n": 1}],
    "timeout_seconds": 5,
    "memory_mb": 256,
}

Link = Callable[..., Any]


@pytest.fixture
async def sandboxd(open_sandboxd: OpenSandboxd) -> AsyncIterator[Sandboxd]:
    yield await open_sandboxd(FakeRunner())


def _ticket(sandboxd: Sandboxd, project: str = "p1", seconds: float = 60) -> str:
    return Tickets(read_key(sandboxd.directory)).issue("requester", project, seconds)


async def _connect(sandboxd: Sandboxd) -> ClientConnection:
    return await unix_connect(str(sandboxd.directory / "sandboxd.sock"), compression=None)


async def _send(link: ClientConnection, **message: Any) -> None:
    await link.send(orjson.dumps(message), text=True)


async def _greeted(sandboxd: Sandboxd, project: str = "p1") -> ClientConnection:
    link = await _connect(sandboxd)
    await _send(link, type="greeting", version=1, ticket=_ticket(sandboxd, project))
    assert orjson.loads(await link.recv())["type"] == "greeted"
    return link


async def _refused(link: ClientConnection) -> None:
    with pytest.raises(ConnectionClosed):
        async with asyncio.timeout(5):
            while True:
                await link.recv()
    await link.close()


async def test_only_its_user_may_reach_it(sandboxd: Sandboxd) -> None:
    assert sandboxd.directory.stat().st_mode & 0o777 == 0o700
    assert (sandboxd.directory / "sandboxd.sock").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("version", [0, 2])
async def test_another_version_is_refused(sandboxd: Sandboxd, version: int) -> None:
    link = await _connect(sandboxd)
    await _send(link, type="greeting", version=version, ticket=_ticket(sandboxd))

    await _refused(link)


async def test_a_ticket_that_was_used_is_refused(sandboxd: Sandboxd) -> None:
    ticket = _ticket(sandboxd)
    first, second = await _connect(sandboxd), await _connect(sandboxd)
    await _send(first, type="greeting", version=1, ticket=ticket)
    await first.recv()

    await _send(second, type="greeting", version=1, ticket=ticket)

    await _refused(second)
    await first.close()


async def test_forged_and_expired_tickets_are_refused(sandboxd: Sandboxd) -> None:
    for ticket in (Tickets(b"x" * 32).issue("requester", "p1", 60), _ticket(sandboxd, seconds=-1), "", "a.b"):
        link = await _connect(sandboxd)
        await _send(link, type="greeting", version=1, ticket=ticket)
        await _refused(link)


async def test_a_workers_ticket_is_none_for_a_requester(sandboxd: Sandboxd) -> None:
    link = await _connect(sandboxd)
    ticket = Tickets(read_key(sandboxd.directory)).issue("worker", "p1", 60)
    await _send(link, type="greeting", version=1, ticket=ticket)

    await _refused(link)


@pytest.mark.parametrize(
    "message",
    [
        {**SUBMIT, "image": "sha256:abc"},
        {**SUBMIT, "project": "p2"},
        {**SUBMIT, "privileged": True},
        {**SUBMIT, "timeout_seconds": 0},
        {**SUBMIT, "memory_mb": "1g"},
        {**SUBMIT, "items": []},
        {**SUBMIT, "items": [{}, {}]},
        {**SUBMIT, "task_id": "../../x"},
        {"type": "greeting", "version": 1, "ticket": "x"},
        {"type": "docker"},
        {"type": "describe", "request": 1},
        [],
    ],
)
async def test_a_requester_that_says_more_than_it_may_is_cut_off(sandboxd: Sandboxd, message: Any) -> None:
    link = await _greeted(sandboxd)

    await link.send(orjson.dumps(message), text=True)

    await _refused(link)


async def test_a_ticket_for_the_status_runs_no_code(sandboxd: Sandboxd) -> None:
    link = await _greeted(sandboxd, "")

    await _send(link, **SUBMIT)

    await _refused(link)


async def test_the_image_of_a_worker_is_what_the_runner_prepared(sandboxd: Sandboxd) -> None:
    log = Lines()

    await values(sandboxd.client.of("p1"), task("x", requirements=("numpy",)), log)

    [fields] = [fields for _, message, fields, _ in log.lines if message == "Ran with reduced isolation."]
    assert fields["image"] == "numpy"


async def test_each_project_has_workers_of_its_own(open_sandboxd: OpenSandboxd) -> None:
    runner = FakeRunner()
    sandboxd = await open_sandboxd(runner)

    for project in ("p1", "p2", "p1", "p2"):
        await values(sandboxd.client.of(project), task("x"))

    assert len(runner.started) == 2


async def test_several_tasks_run_at_once_on_one_link(open_sandboxd: OpenSandboxd) -> None:
    sandboxd = await open_sandboxd(FakeRunner(), workers_max=3)
    sandbox = sandboxd.client.of("p1")

    given = await asyncio.gather(*(values(sandbox, task("x", [{"n": n}])) for n in range(10)))

    assert given == [[{"n": n}] for n in range(10)]


async def test_a_requester_that_goes_away_cancels_its_tasks(open_sandboxd: OpenSandboxd) -> None:
    cancelled = asyncio.Event()

    async def script(worker: FakeWorker) -> None:
        await worker.hello()
        await worker.take()
        assert (await worker.receive())["type"] == "cancel"
        cancelled.set()
        await worker.say("error", error={"code": "code.failed", "message": "Cancelled"})
        await worker.receive()

    runner = FakeRunner([script])
    sandboxd = await open_sandboxd(runner)
    running = asyncio.create_task(values(sandboxd.client.of("p1"), task("x")))
    await until(lambda: len(runner.started) == 1)

    async def busy() -> bool:
        return bool((await sandboxd.client.describe())["running"])

    await until(busy)
    await sandboxd.client.close()

    with pytest.raises(SandboxWorkerLost):
        await running
    await asyncio.wait_for(cancelled.wait(), 5)


async def test_closing_the_generator_cancels_the_code_and_the_worker_goes_on(open_sandboxd: OpenSandboxd) -> None:
    sandboxd = await open_sandboxd(SubprocessRunner())
    code = "import time\nfor n in range(1000):\n    yield {'n': n, 'pad': 'x' * 50000}\n    time.sleep(0.01)"
    sandbox = sandboxd.client.of("p1")
    async with aclosing(sandbox.run(task(code), Lines())) as running:
        async for _ in running:
            break

    assert await values(sandbox, task("return item", mode="each")) == [{"n": 1}]
    status = await sandboxd.client.describe()
    assert status["starts"] == 1


async def test_progress_is_a_line_of_the_log(open_sandboxd: OpenSandboxd) -> None:
    async def script(worker: FakeWorker) -> None:
        await worker.hello()
        await worker.take()
        await worker.say("progress", fraction=0.5, message="half")
        await worker.give()
        await worker.receive()

    sandboxd = await open_sandboxd(FakeRunner([script]))
    log = Lines()

    await values(sandboxd.client.of("p1"), task("x"), log)

    assert ("info", "half", {"progress": 0.5}, None) in log.lines


async def test_too_much_that_waits_is_refused(open_sandboxd: OpenSandboxd) -> None:
    async def endless(worker: FakeWorker) -> None:
        await worker.hello()
        await worker.take()
        await worker.receive()

    sandboxd = await open_sandboxd(FakeRunner([endless]), workers_max=1, queued_max=1)
    sandbox = sandboxd.client.of("p1")
    pool = sandboxd.daemon.broker.pool
    waiting = [asyncio.create_task(values(sandbox, task("x")))]
    await until(lambda: any(worker["state"] == "busy" for worker in pool.describe()["workers"]))
    waiting.append(asyncio.create_task(values(sandbox, task("x"))))
    await until(lambda: bool(pool.describe()["queued"]))

    with pytest.raises(SandboxBusy):
        await values(sandbox, task("x"))

    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_result_beyond_every_measure_is_refused(
    open_sandboxd: OpenSandboxd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("budflow.sandbox.task_run.RESULT_ITEMS_MAX", 3)
    sandboxd = await open_sandboxd(FakeRunner())

    with pytest.raises(CodeResultMalformed, match="more than"):
        await values(sandboxd.client.of("p1"), task("x", [{"n": n} for n in range(4)]))
    assert work.RESULT_ITEMS_MAX > 3


async def test_a_result_that_is_nested_too_deeply_is_refused(open_sandboxd: OpenSandboxd) -> None:
    text = "[" * 300 + "1" + "]" * 300

    async def script(worker: FakeWorker) -> None:
        await worker.hello()
        task_id = (await worker.take())["task_id"]
        head = f'{{"type":"result","task_id":"{task_id}","last":true,"items":[{{"json":{{"x":'
        await worker.connection.send(head + text + "}}]}")
        await worker.receive()

    sandboxd = await open_sandboxd(FakeRunner([script]))

    with pytest.raises(CodeResultMalformed, match="too deeply"):
        await values(sandboxd.client.of("p1"), task("x"))


async def test_a_result_that_grows_as_it_is_read_is_refused(open_sandboxd: OpenSandboxd) -> None:
    numbers = "1e15," * 600_000 + "1"

    async def script(worker: FakeWorker) -> None:
        await worker.hello()
        task_id = (await worker.take())["task_id"]
        head = f'{{"type":"result","task_id":"{task_id}","last":true,"items":[{{"json":{{"x":['
        await worker.connection.send(head + numbers + "]}}]}")
        await worker.receive()

    sandboxd = await open_sandboxd(FakeRunner([script]))

    with pytest.raises(CodeResultMalformed, match="too large"):
        await values(sandboxd.client.of("p1"), task("x"))
    await sandboxd.client.describe()


async def test_code_with_parameters_and_items_that_no_frame_holds_is_refused(sandboxd: Sandboxd) -> None:
    most = 1_048_560  # Each is just allowed by itself, and a line's end takes two bytes.

    with pytest.raises(CodeInvalid, match="at a time"):
        await values(sandboxd.client.of("p1"), task("\n" * most, [{"x": "z" * most}], params={"x": "y" * most}))


@pytest.mark.parametrize(
    ("item", "what"), [({"x": object()}, "Item 0 cannot be given"), ({"x": 2**70}, "64"), ({"x": "y" * 2**21}, "bytes")]
)
async def test_an_item_that_no_worker_could_take_is_named(sandboxd: Sandboxd, item: Any, what: str) -> None:
    with pytest.raises(CodeInvalid, match=what):
        await values(sandboxd.client.of("p1"), task("x", [item]))


@pytest.mark.parametrize("levels", [190, 198, 205, 250])
async def test_what_is_nested_too_deeply_ends_its_own_task_and_no_other(sandboxd: Sandboxd, levels: int) -> None:
    nested: dict[str, Any] = {}
    for _ in range(levels):
        nested = {"a": nested}
    link = await sandboxd.client.link("p1")

    for asked in (task("x", [nested]), task("x", params=nested)):
        with contextlib.suppress(CodeInvalid):
            await values(sandboxd.client.of("p1"), asked)

    assert await sandboxd.client.link("p1") is link, "Other tasks of the project go by it."


async def test_a_later_item_that_no_worker_could_take_is_named_too(open_sandboxd: OpenSandboxd) -> None:
    sandboxd = await open_sandboxd(SubprocessRunner())
    items: list[dict[str, Any]] = [{"text": "x" * 100_000} for _ in range(10)]
    items[9] = {"x": object()}

    with pytest.raises(CodeInvalid, match="Item 9"):
        await values(sandboxd.client.of("p1"), task("return [len(list(items))]", items))


async def test_code_that_is_too_long_is_refused(sandboxd: Sandboxd) -> None:
    with pytest.raises(CodeInvalid, match="bytes"):
        await values(sandboxd.client.of("p1"), task("x" * 2_000_000))


async def test_without_a_daemon_it_says_so(sandboxd: Sandboxd) -> None:
    client = SandboxClient(ExistingSandboxd(f"unix:{sandboxd.directory}/none.sock"))

    with pytest.raises(SandboxUnavailable, match="cannot be reached"):
        await values(client.of("p1"), task("x"))


async def test_an_idle_link_is_closed_and_opened_again(sandboxd: Sandboxd) -> None:
    client = SandboxClient(ExistingSandboxd(f"unix:{sandboxd.directory}/sandboxd.sock"), idle_seconds=0.01)
    await values(client.of("p1"), task("x"))
    await until(lambda: not client._links)

    assert await values(client.of("p1"), task("x", [{"n": 3}])) == [{"n": 3}]
    await client.close()


async def test_the_status_has_figures(sandboxd: Sandboxd) -> None:
    await values(sandboxd.client.of("p1"), task("x"))

    status = await sandboxd.client.describe()

    assert (status["tasks_done"], status["starts"], status["queued"]) == (1, 1, 0)
    assert [(one["project"], one["state"]) for one in status["workers"]] == [("p1", "idle")]

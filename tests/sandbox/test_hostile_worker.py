"""A worker that was taken over by the code it runs says what it likes; only its own task suffers."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from budflow.model.sandbox import CodeFailed, CodeOutOfMemory, CodeTimedOut, SandboxWorkerLost
from budflow.sandbox.runners import End
from budflow.sandbox.worker_link import Patience
from tests.sandbox.conftest import OpenSandboxd
from tests.sandbox.fake_workers import FakeRunner, FakeWorker, Script, honest
from tests.sandbox.tasks import task, values
from tests.until import until

FAST = Patience(heartbeat_seconds=0.05, answer_seconds=0.3, send_seconds=0.3, cancel_seconds=0.2, grace_seconds=0.1)
SLOW_HEART = Patience(answer_seconds=0.3, send_seconds=0.5, cancel_seconds=0.2, grace_seconds=0.1)


async def _told_nonsense(worker: FakeWorker) -> None:
    await worker.connection.send("this is not JSON")


async def _sent_binary(worker: FakeWorker) -> None:
    await worker.connection.send(b'{"type":"heartbeat"}')


async def _sent_a_list(worker: FakeWorker) -> None:
    await worker.connection.send("[1]")


async def _unknown_type(worker: FakeWorker) -> None:
    await worker.say("open_sesame")


async def _unknown_field(worker: FakeWorker) -> None:
    await worker.say("log", level="info", message="x", root=True)


async def _unknown_field_of_a_result(worker: FakeWorker) -> None:
    await worker.say("result", items=[], failed=[], last=True, also=1)


async def _items_that_are_none(worker: FakeWorker) -> None:
    await worker.say("result", items=[{"json": "text", "source": 0}], failed=[], last=True)


async def _made_from_an_item_that_is_not_there(worker: FakeWorker) -> None:
    await worker.say("result", items=[{"json": {}, "source": 99}], failed=[], last=True)


async def _failed_on_an_item_that_is_not_there(worker: FakeWorker) -> None:
    failed = [{"code": "code.failed", "message": "x", "item": 99}]
    await worker.say("result", items=[], failed=failed, last=True)


async def _result_of_another_task(worker: FakeWorker) -> None:
    await worker.send("result", task_id="t-of-another", items=[], failed=[], last=True)


async def _asks_beyond_the_end(worker: FakeWorker) -> None:
    await worker.say("data_request", start=0, stop=2_000_000)


async def _asks_for_nothing(worker: FakeWorker) -> None:
    await worker.say("data_request", start=1, stop=1)


async def _asks_without_reading(worker: FakeWorker) -> None:
    for _ in range(10):
        await worker.say("data_request", start=0, stop=1)


async def _says_hello_again(worker: FakeWorker) -> None:
    await worker.send("hello", protocol=1, ticket="x", language="python", version="3", budflow="0")


async def _accepts_twice(worker: FakeWorker) -> None:
    await worker.say("accept")


async def _declines_what_it_has(worker: FakeWorker) -> None:
    await worker.say("decline", reason="changed my mind")


async def _sends_a_frame_that_is_too_large(worker: FakeWorker) -> None:
    await worker.connection.send("x" * (5 * 1024 * 1024))


async def _floods_the_log(worker: FakeWorker) -> None:
    line = b'{"type":"log","level":"info","message":"x","task_id":"%b"}' % worker.task["task_id"].encode()
    while True:
        await worker.connection.send(line, text=True)


async def _floods_with_heartbeats(worker: FakeWorker) -> None:
    while True:
        await worker.send("heartbeat")


async def _floods_with_empty_results(worker: FakeWorker) -> None:
    while True:
        await worker.give(last=False)


async def _pings(worker: FakeWorker) -> None:
    await worker.connection.ping()


async def _pongs(worker: FakeWorker) -> None:
    while True:
        await worker.connection.pong()


async def _sends_in_pieces(worker: FakeWorker) -> None:
    async def pieces() -> AsyncIterator[str]:
        yield '{"type":'
        yield '"heartbeat"}'

    await worker.connection.send(pieces())


async def _sends_half_a_character(worker: FakeWorker) -> None:
    await worker.connection.send(b'{"type":"\xff"}', text=True)


async def _dies(worker: FakeWorker) -> None:
    worker.connection.transport.abort()


async def _is_silent(worker: FakeWorker) -> None:
    await asyncio.get_running_loop().create_future()


async def _goes_away_politely(worker: FakeWorker) -> None:
    await worker.connection.close()


DEEDS: tuple[Script, ...] = (
    _told_nonsense,
    _sent_binary,
    _sent_a_list,
    _unknown_type,
    _unknown_field,
    _unknown_field_of_a_result,
    _items_that_are_none,
    _made_from_an_item_that_is_not_there,
    _failed_on_an_item_that_is_not_there,
    _result_of_another_task,
    _asks_beyond_the_end,
    _asks_for_nothing,
    _asks_without_reading,
    _says_hello_again,
    _accepts_twice,
    _declines_what_it_has,
    _sends_a_frame_that_is_too_large,
    _floods_the_log,
    _floods_with_heartbeats,
    _floods_with_empty_results,
    _pings,
    _pongs,
    _sends_in_pieces,
    _sends_half_a_character,
    _dies,
    _is_silent,
    _goes_away_politely,
)


def _after_taking(deed: Script) -> Script:
    async def script(worker: FakeWorker) -> None:
        await worker.hello()
        await worker.take()
        await deed(worker)
        while True:  # It would like to go on.
            await worker.receive()

    return script


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__.strip("_"))
async def test_the_worker_is_killed_its_task_fails_and_the_next_one_runs(
    open_sandboxd: OpenSandboxd, deed: Script
) -> None:
    runner = FakeRunner([_after_taking(deed), honest])
    sandboxd = await open_sandboxd(runner, patience=FAST if deed is _is_silent else SLOW_HEART)
    sandbox = sandboxd.client.of("p1")

    with pytest.raises(SandboxWorkerLost):
        await values(sandbox, task("x"))

    assert await values(sandbox, task("x", [{"n": 7}])) == [{"n": 7}]
    await until(lambda: len(runner.living) == 1)


async def test_two_results_after_the_last_end_the_worker_but_not_the_task(open_sandboxd: OpenSandboxd) -> None:
    async def again(worker: FakeWorker) -> None:
        await worker.hello()
        await worker.take()
        await worker.give({"n": 1})
        await worker.give({"n": 2})
        await worker.receive()

    runner = FakeRunner([again, honest])
    sandboxd = await open_sandboxd(runner)

    assert await values(sandboxd.client.of("p1"), task("x")) == [{"n": 1}]
    await until(lambda: not runner.living)


async def test_one_that_goes_on_after_the_time_limit_is_killed(open_sandboxd: OpenSandboxd) -> None:
    async def endless(worker: FakeWorker) -> None:
        await worker.hello()
        await worker.take()
        while True:
            await worker.send("heartbeat")
            await asyncio.sleep(0.02)

    runner = FakeRunner([endless])
    sandboxd = await open_sandboxd(runner, patience=FAST)

    with pytest.raises(CodeTimedOut):
        await values(sandboxd.client.of("p1"), task("x", timeout_seconds=0.1))

    await until(lambda: not runner.living)


async def test_one_that_does_not_read_is_killed(open_sandboxd: OpenSandboxd) -> None:
    async def deaf(worker: FakeWorker) -> None:
        await worker.hello()
        offer = await worker.receive()
        await worker.send("accept", task_id=offer["task_id"])
        worker.connection.transport.pause_reading()
        for _ in range(4):
            await worker.send("data_request", task_id=offer["task_id"], start=0, stop=2)
        await asyncio.get_running_loop().create_future()

    runner = FakeRunner([deaf])
    sandboxd = await open_sandboxd(runner, patience=SLOW_HEART)
    large = [{"text": "x" * 900_000}, {"text": "y" * 900_000}]

    with pytest.raises(SandboxWorkerLost):
        await values(sandboxd.client.of("p1"), task("x", large))

    await until(lambda: not runner.living)


async def test_one_that_the_kernel_ended_for_its_memory_is_told_so(open_sandboxd: OpenSandboxd) -> None:
    runner = FakeRunner([_after_taking(_dies)], end=End("out_of_memory", 137))
    sandboxd = await open_sandboxd(runner)

    with pytest.raises(CodeOutOfMemory, match="256"):
        await values(sandboxd.client.of("p1"), task("x"))


async def test_the_end_of_its_process_counts_though_its_socket_is_open(open_sandboxd: OpenSandboxd) -> None:
    taken = asyncio.Event()

    async def takes(worker: FakeWorker) -> None:
        taken.set()
        await _is_silent(worker)

    runner = FakeRunner([_after_taking(takes)])
    sandboxd = await open_sandboxd(runner)
    running = asyncio.create_task(values(sandboxd.client.of("p1"), task("x")))
    await taken.wait()

    runner.started[0].end(End("out_of_memory", 137))

    with pytest.raises(CodeOutOfMemory):
        await running


async def test_other_tasks_do_not_notice(open_sandboxd: OpenSandboxd) -> None:
    held = asyncio.Event()

    async def patient(worker: FakeWorker) -> None:
        await worker.hello()
        await worker.take()
        await held.wait()
        await worker.give({"n": 1})
        await worker.receive()

    runner = FakeRunner([patient, _after_taking(_floods_the_log)])
    sandboxd = await open_sandboxd(runner)
    good = asyncio.create_task(values(sandboxd.client.of("p1"), task("x")))
    await until(lambda: len(runner.started) == 1)

    with pytest.raises(SandboxWorkerLost):
        await values(sandboxd.client.of("p2"), task("x"))
    held.set()

    assert await good == [{"n": 1}]


async def test_a_failure_of_the_code_leaves_the_worker_alive(open_sandboxd: OpenSandboxd) -> None:
    async def script(worker: FakeWorker) -> None:
        await worker.hello()
        await worker.take()
        await worker.say("error", error={"code": "code.failed", "message": "no", "line": 3})
        await worker.take()
        await worker.give({"n": 2})
        await worker.receive()

    runner = FakeRunner([script])
    sandboxd = await open_sandboxd(runner)

    with pytest.raises(CodeFailed, match=r"no \(line 3\)"):
        await values(sandboxd.client.of("p1"), task("x"))
    assert await values(sandboxd.client.of("p1"), task("x")) == [{"n": 2}]
    assert len(runner.started) == 1

"""What becomes of executions when a server dies, freezes or loses its store: one story each, in virtual time."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from budflow.execution.ports import Work
from budflow.execution.records import JournalWrite, TriggerKey
from budflow.execution.run import Run
from budflow.execution.taking import TAKEOVERS_MAX
from budflow.execution.tools import Tools
from budflow.model import event as e
from budflow.model.execution import Execution
from budflow.model.identity import utc_now
from budflow.model.item import ItemList
from budflow.storage.errors import StorageUnavailable, TextRefused
from tests.execution.fakes import PLACE, FakeHttp, FakeLink, execution_of, plan_of, run_to_end
from tests.execution.simulated_documents import WATCHER
from tests.execution.simulated_loop import simulate
from tests.execution.story import HOOK, POST, SET, Story, body, call, document, nap, told


def writes(kind: type) -> Callable[[str, tuple[Any, ...]], bool]:
    """The first write with an event of this kind."""
    left = [1]

    def chosen(name: str, args: tuple[Any, ...]) -> bool:
        found = name == "append" and any(event.type == kind.TYPE for event in args[0].events)  # type: ignore[attr-defined] # an event
        return bool(found and left and left.pop())

    return chosen


def once(wanted: str) -> Callable[..., bool]:
    """The first call of a method of the store."""
    left = [1]
    return lambda name, *_: bool(name == wanted and left and left.pop())


# --- a store that did what it seems not to have done ---


@told
async def test_a_called_workflow_is_begun_whose_admission_seemed_to_fail(story: Story) -> None:
    server = await story.begin(document("call", call()), callee=document("set", SET))
    server.connection.unheard = writes(e.ChildStarted)
    await story.submit([{}])
    await story.quiet()

    assert (await story.row("callee")).status == "succeeded"
    assert (await story.row()).status == "succeeded"


@told
async def test_what_was_claimed_is_taken_up_although_the_claim_seemed_to_fail(story: Story) -> None:
    server = await story.begin(document("set", SET))
    for _ in range(3):  # More than there is room for: one is queued.
        await story.submit([{}])
    server.connection.unheard = once("claim")
    await story.submit([{}])
    await story.quiet()

    assert {row.status for row in await story.store.rows()} == {"succeeded"}


@told
async def test_an_admission_with_a_key_that_seemed_to_fail_is_run(story: Story) -> None:
    server = await story.begin(document("set", SET))
    await asyncio.sleep(2)
    server.connection.unheard = writes(e.Admitted)
    version, plan = await story.plans.get_to_run("default", "caller")
    execution = Execution("exe_keyed", "default", "caller", 1, "api", "queued", utc_now())
    admitted = e.Admitted(utc_now(), "start", "api", "test", ItemList.of([{}]))

    async def submit() -> bool:
        try:
            await server.supervisor.submit(
                execution, admitted, version, plan, trigger_key=TriggerKey("default", "key", "print")
            )
        except StorageUnavailable:
            return True
        return False

    assert await server.ask(submit())
    await story.quiet()

    assert (await story.row()).status == "succeeded"


# --- a store that is not there for a moment ---


@told
async def test_a_caller_that_waits_for_nobody_ends_although_the_called_cannot_begin_yet(story: Story) -> None:
    forget = call()
    forget["params"] = {**forget["params"], "wait": False}
    callee = document("set", SET, error_workflow="watcher")
    server = await story.begin(document("call", forget), callee=callee, watcher=WATCHER)
    await asyncio.sleep(2)
    seen = [0]

    def refused(name: str) -> bool:
        seen[0] += name == "get_workflow"
        return name == "get_workflow" and seen[0] == 2  # The first one looks for the callee itself.

    server.connection.refused = refused
    await story.submit([{}])
    await story.quiet()

    assert (await story.row()).status == "succeeded"
    assert (await story.row("callee")).status == "succeeded"


@told
async def test_a_call_waits_for_the_store_rather_than_fail(story: Story) -> None:
    server = await story.begin(document("call", call()), callee=document("set", SET))
    await asyncio.sleep(2)
    seen = [0]

    def refused(name: str) -> bool:
        seen[0] += name == "get_workflow"
        return name == "get_workflow" and seen[0] == 2

    server.connection.refused = refused
    await story.submit([{}])
    await story.quiet()

    assert seen[0] >= 3
    assert (await story.row()).status == "succeeded"


@told
async def test_a_failure_is_followed_up_although_the_store_was_away_when_it_began(story: Story) -> None:
    stop = {"type": "flow.stop_and_error", "params": {"message": "on purpose"}}
    forget = call()
    server = await story.begin(
        document("call", forget), callee=document("stop", stop, error_workflow="watcher"), watcher=WATCHER
    )
    await asyncio.sleep(2)
    seen = [0]

    def refused(name: str) -> bool:
        seen[0] += name == "get_workflow"
        return name == "get_workflow" and seen[0] == 3

    server.connection.refused = refused
    await story.submit([{}])
    await story.quiet()

    assert (await story.row("callee")).status == "failed"
    assert (await story.row("watcher")).status == "succeeded"


@pytest.mark.parametrize(
    ("fault", "code"), [(TextRefused(), "storage.text_refused"), (RuntimeError("a defect"), "execution.broken")]
)
def test_what_the_store_refuses_for_good_ends_its_execution(fault: Exception, code: str) -> None:
    """Rather than being tried again for ever."""

    async def main() -> None:
        story = Story()
        nodes = document("nap", nap(0.5))
        nodes["nodes"]["hook"] = HOOK
        nodes["edges"].append({"from": "nap", "to": "hook"})
        await story.begin(nodes)
        append = story.store.append

        async def refusing(write: JournalWrite) -> None:
            if any(event.type == e.WaitStarted.TYPE and b"hook" in event.payload for event in write.events):
                raise fault
            await append(write)

        story.store.append = refusing  # type: ignore[method-assign] # a store that cannot keep one thing
        await story.submit([{}])
        await story.quiet()
        [end] = await story.all(e.Finished)
        assert (end.status, end.failure.code) == ("failed", code)
        await story.close()

    simulate(main())


# --- servers that lose an execution, or die over it ---


@told
async def test_a_server_that_gets_back_what_it_lost_without_noticing_goes_on_with_it(story: Story) -> None:
    server = await story.begin(document("hook", HOOK))
    await story.submit([{}])
    await story.sees(e.WaitStarted)
    await story.take_from(server)
    await story.sees(e.Started, times=2)
    await asyncio.sleep(0.2)
    await story.answer("yes")
    await story.quiet()

    assert (await story.row()).status == "succeeded"


@told
async def test_a_decision_that_came_while_no_server_lived_is_heard(story: Story) -> None:
    server = await story.begin(document("post", POST, on_crash="ask"))
    story.random.choice = lambda choices: choices[-1]  # type: ignore[method-assign] # every answer takes its time
    await story.submit([{}])
    await story.sees(e.NodeStarted)
    server.die()
    second = await story.new_server()
    await story.sees(e.WaitStarted)
    second.die()
    await story.answer("run")
    await story.new_server()
    await story.quiet()

    assert (await story.row()).status == "succeeded"
    assert len(await story.all(e.WaitStarted)) == 1
    assert not await story.all(e.ResultIgnored)


@told
async def test_a_caller_hears_of_a_called_execution_that_kills_its_servers(story: Story) -> None:
    callee = document("post", POST, error_workflow="watcher")
    await story.begin(document("call", call()), callee=callee, watcher=WATCHER)
    story.outside.silent = True
    await story.submit([{}])
    await story.sees(e.NodeStarted, "callee")
    for deaths in range(1, TAKEOVERS_MAX + 1):
        story.servers[-1].die()
        await story.new_server()
        if deaths < TAKEOVERS_MAX:
            await story.sees(e.Started, "callee", deaths + 1)
    story.outside.silent = False
    await story.quiet()

    [end] = await story.all(e.Finished, "callee")
    assert end.failure.code == "execution.poisoned"
    [told_of_it] = await story.all(e.ChildFinished)
    assert told_of_it.failure.code == "execution.poisoned"


# --- what waits needs no server ---


@told
async def test_callers_out_of_time_leave_room_for_the_called_that_they_wait_for(story: Story) -> None:
    await story.begin(document("call", call(timeout_seconds=9)), callee=document("hook", HOOK))
    for _ in range(3):  # More than the server has at once.
        await story.submit([{}])
    await story.quiet()

    ended = {(row.workflow_id, row.status) for row in await story.store.rows()}
    assert ended == {("caller", "failed"), ("callee", "cancelled")}


@told
async def test_what_tidies_up_has_its_time_limit_wherever_it_waits(story: Story) -> None:
    guarded = {"type": "flow.try_catch", "bodies": {"body": body("nap", nap(100)), "finally": body("hook", HOOK)}}
    server = await story.begin(document("guard", guarded))
    await story.submit([{}])
    await story.sees(e.WaitStarted)
    await story.cancel((await story.row()).id)
    await story.sees(e.WaitStarted, times=2)
    await asyncio.sleep(10)
    assert (await story.row()).status == "waiting"
    server.die()
    await story.new_server()
    began = asyncio.get_running_loop().time()
    await story.quiet()

    assert asyncio.get_running_loop().time() - began < 25
    assert (await story.row()).status == "cancelled"
    assert len(await story.all(e.TimeIsUp)) == 1
    assert len(await story.all(e.CancelRequested)) == 1
    assert len(await story.all(e.Started)) < 6


@pytest.mark.parametrize("hundredths", range(2, 40, 2))
def test_an_answer_at_an_awkward_moment_leaves_nothing_resting_for_ever(hundredths: int) -> None:
    """What an execution waits for changes while it is being given back."""

    async def main() -> None:
        story = Story()
        nodes = document("hook", HOOK)
        nodes["nodes"]["nap"] = nap(12)
        nodes["edges"].append({"from": "hook", "to": "nap"})
        server = await story.begin(nodes)
        await asyncio.sleep(2)
        await story.submit([{}])
        await asyncio.sleep(hundredths / 100)
        [wait] = await story.store.list_waits("default")
        event = e.WaitEnded(utc_now(), "hook", 0, "answered", "somebody", True)
        await server.ask(server.supervisor.answer("default", wait.execution_id, event))
        await story.quiet()
        assert (await story.row()).status == "succeeded"
        await story.close()

    simulate(main())


async def test_a_body_that_lost_before_it_began_is_cancelled_once() -> None:
    computing = body("set", SET)
    bodies = {"fast": {"nodes": {}, "edges": [{"from": "$in", "to": "$out"}]}, "slow": computing}
    race = {"type": "flow.parallel", "params": {"join": "first"}, "bodies": bodies}
    link = await run_to_end({"start": {"type": "trigger.manual"}, "race": race}, ["start > race"])

    assert [event.node for event in link.of(e.NodeCancelled)] == ["set"]


async def test_a_thinned_journal_keeps_the_end_of_an_effect_that_another_server_began() -> None:
    nodes = {"start": {"type": "trigger.manual"}, "post": POST, "set": SET}
    edges = ["start > post", "post > set"]
    whole = await run_to_end(nodes, edges, journal="end")
    admitted = e.Admitted(whole.events[0].at, "start", "api", "test", ItemList.of([{}]))
    [started] = whole.of(e.NodeStarted)
    begun = [admitted, *whole.events[: whole.events.index(started) + 1]]
    plan_document, plan = plan_of(nodes, edges, journal="end")
    link = FakeLink()
    link.events = [*begun]
    run = Run(Work(execution_of("exe_1"), plan_document, plan, tuple(begun)), link, Tools(PLACE, FakeHttp()), "run_2")
    run.start()
    await run.wait()

    assert "post" in [event.node for event in link.of(e.NodeFinished)]

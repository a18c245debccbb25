"""The runner actor's methods, called in this process: what it holds of a run, and when it lets go."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from budflow.execution.heavy import Heavy
from budflow.execution.ports import Work
from budflow.model import event as e
from budflow.model.execution import Execution, Place
from budflow.model.failure import Failure
from budflow.model.identity import new_id, utc_now
from budflow.model.item import ItemList
from budflow.runner import Runner, open_hand_over
from ray_jobs import runner as module
from ray_jobs.executor import RayExecutor
from ray_jobs.runner import RunnerActor, RunUnknown
from ray_jobs.wire import Report, ask_info, pack_events, pack_work, unpack_report
from tests.egress.loopback import Loopback, serving
from tests.execution.fakes import plan_of, until
from tests.execution.heavy_nodes import bearer, open_test_runner
from tests.execution.office import Flow

pytestmark = [pytest.mark.ray, pytest.mark.xdist_group("ray")]

PURE = Flow({"a": {"type": "flow.no_op"}}, ["start > a"])


@pytest.fixture
async def actor(ray_executor: RayExecutor, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunnerActor]:
    monkeypatch.setattr(module, "configure", lambda level: None)  # The logs of this process are pytest's.
    opened: list[Runner] = []

    def remembering(http_allow: tuple[str, ...], place: Place | None, heavy: Heavy | None) -> Runner:
        opened.append(open_test_runner(http_allow, place, heavy))
        return opened[-1]

    monkeypatch.setattr(module, "RaySegments", lambda *_: SimpleNamespace())
    yield RunnerActor("runner-here", "run_1", ("127.0.0.1",), remembering)
    await opened[0].close()


def fetching(loopback: Loopback, path: str = "/", **more: Any) -> Flow:
    fetch = {"type": "http.request", "params": {"url": loopback.origin + path, "method": "POST"}, **more}
    return Flow({"fetch": fetch}, ["start > fetch"])


def packed(execution: Execution, *events: e.Event) -> bytes:
    """The work as the owner sends it; the plan is made over there."""
    _, plan = plan_of({"start": {"type": "trigger.manual"}}, [])
    return pack_work(Work(execution, {}, plan, events))


async def begin(
    actor: RunnerActor, flow: Flow, execution_id: str = "exe_1", *events: e.Event, workflow_id: str = ""
) -> Report:
    now = utc_now()
    execution = Execution(execution_id, "default", workflow_id or new_id("wf"), 1, "api", "running", now)
    admitted = e.Admitted(now, "start", "api", "test", ItemList.of([{}]))
    return unpack_report(await actor.begin(packed(execution, admitted, *events), orjson.dumps(flow.document("test"))))


async def resume(actor: RunnerActor, *, durable: bool) -> Report:
    return unpack_report(await actor.resume("exe_1", durable))


async def test_a_pure_run_is_one_report(actor: RunnerActor) -> None:
    report = await begin(actor, PURE)

    assert [event.TYPE for event in report.events] == [
        "execution.started",
        "node.finished",
        "node.finished",
        "execution.finished",
    ]
    assert report.done
    assert not await actor.drop("exe_1")


async def test_a_partial_run_is_not_taken_for_a_whole_one_of_the_same_version(actor: RunnerActor) -> None:
    part = Flow({}, [])
    for flow, nodes in ((PURE, ["start", "a"]), (part, ["start"]), (PURE, ["start", "a"])):
        report = await begin(actor, flow, workflow_id="wf_same")
        assert [event.node for event in report.events if isinstance(event, e.NodeFinished)] == nodes


async def test_an_effect_waits_until_the_owner_says_that_its_start_is_durable(actor: RunnerActor) -> None:
    async with serving() as loopback:
        report = await begin(actor, fetching(loopback))
        assert report.commit
        assert isinstance(report.events[-1], e.NodeStarted)
        assert loopback.asked == []

        report = await resume(actor, durable=True)

        assert len(loopback.asked) == 1
        assert isinstance(report.events[-1], e.Finished)


async def test_a_cancellation_is_delivered_to_the_run(actor: RunnerActor) -> None:
    async with serving() as loopback:
        await begin(actor, fetching(loopback))
        await actor.deliver("exe_1", pack_events([e.CancelRequested(utc_now(), "test")]))
        await actor.deliver("exe_unknown", pack_events([]))
        await actor.drop("exe_1")

        with pytest.raises(RunUnknown):
            await actor.resume("exe_1", False)


async def test_beginning_anew_drops_the_run_before(actor: RunnerActor) -> None:
    async with serving() as loopback:
        await begin(actor, fetching(loopback))

        assert (await begin(actor, PURE)).done
        assert loopback.asked == []


async def test_a_run_that_nobody_polls_is_given_up(actor: RunnerActor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ABANDONED_SECONDS", 0.01)
    async with serving() as loopback:
        await begin(actor, fetching(loopback))

        await until(lambda: not actor.holds("exe_1"))


async def test_a_fault_of_the_engine_is_reported(actor: RunnerActor, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(module.Run):
        async def wait(self) -> None:
            raise RuntimeError("a fault")

    monkeypatch.setattr(module, "Run", Broken)

    report = await begin(actor, PURE)

    assert report.done
    assert report.broken == "RuntimeError: a fault"


async def test_a_journal_that_does_not_fit_its_workflow_is_reported_as_such(actor: RunnerActor) -> None:
    odd = e.NodeFinished(utc_now(), "a", utc_now(), {}, 1, None, (3,))

    report = await begin(actor, PURE, "exe_1", odd)

    assert report.done
    assert report.unreadable
    assert report.broken is not None
    assert report.broken.startswith("Event 1 (node.finished) does not fit")


async def test_only_the_most_recent_plans_are_kept(actor: RunnerActor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PLANS_MAX", 2)
    compiled: list[str] = []
    real = module.compile_plan
    monkeypatch.setattr(
        module, "compile_plan", lambda *args, **more: compiled.append(more["workflow_id"]) or real(*args, **more)
    )
    admitted = e.Admitted(utc_now(), "start", "api", "test", ItemList.of([{}]))
    for number, workflow_id in enumerate(["a", "b", "a", "c", "a", "b"]):
        execution = Execution(f"exe_{number}", "default", workflow_id, 1, "api", "running", utc_now())
        await actor.begin(packed(execution, admitted), orjson.dumps(PURE.document("test")))

    assert compiled == ["a", "b", "c", "b"]


async def test_an_answer_to_an_ask_goes_to_the_run_that_asked(actor: RunnerActor) -> None:
    async with serving() as loopback:
        flow = fetching(loopback)
        report = await begin(
            actor, Flow({"fetch": {**flow.nodes["fetch"], "credentials": {"auth": "crm"}}}, flow.edges)
        )
        [ask] = report.credential_asks
        await actor.hand_over("exe_of_nobody", ask.number, b"sealed")
        await actor.hand_over("exe_1", ask.number + 1, b"sealed")

        await actor.hand_over("exe_1", ask.number, Failure("credential.refused", "Not this workflow."))
        await actor.hand_over("exe_1", ask.number, b"sealed")
        report = await resume(actor, durable=True)

        assert loopback.asked == []
    end = report.events[-1]
    assert isinstance(end, e.Finished)
    assert end.failure is not None
    assert (end.failure.code, end.failure.message, end.failure.node) == (
        "credential.refused",
        "Not this workflow.",
        "fetch",
    )


async def test_what_is_sealed_for_another_ask_fails_the_node(actor: RunnerActor) -> None:
    async with serving() as loopback:
        flow = fetching(loopback)
        report = await begin(
            actor, Flow({"fetch": {**flow.nodes["fetch"], "credentials": {"auth": "crm"}}}, flow.edges)
        )
        [ask] = report.credential_asks
        sealed = open_hand_over().seal(bearer("a-token", "*"), ask.public_key, ask_info("exe_2", ask.number))

        await actor.hand_over("exe_1", ask.number, sealed)
        report = await resume(actor, durable=True)

        assert loopback.asked == []
    end = report.events[-1]
    assert isinstance(end, e.Finished)
    assert end.failure is not None
    assert end.failure.code == "credential.hand_over_failed"

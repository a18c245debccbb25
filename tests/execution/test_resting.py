"""An execution that computes nothing says what it waits for, and is with nobody meanwhile."""

import asyncio

import pytest

from budflow.execution import holding
from budflow.execution.held import Held
from budflow.execution.holding import Holding
from budflow.execution.inprocess import InProcessExecutor
from budflow.execution.ports import Link, Running, Work
from budflow.model import event as e
from tests.execution.heavy_nodes import open_test_runner
from tests.execution.office import RUNNER, Flow, Office
from tests.execution.story import SET, Story, document, nap, told
from tests.until import until


@told
async def test_one_that_is_paused_while_it_waits_says_so_until_it_goes_on(story: Story) -> None:
    await story.begin(document("nap", nap(600)))
    await story.submit([{}])
    await story.sees(e.WaitStarted)
    await asyncio.sleep(3)
    row = await story.row()
    assert row.waiting == "timer"

    await story.signal(row, e.Paused(row.created_at, "somebody"))
    await asyncio.sleep(3)
    row = await story.row()
    assert (row.status, row.waiting, row.runner) == ("waiting", "paused", None)

    await story.signal(row, e.Continued(row.created_at, "somebody"))
    await asyncio.sleep(3)
    assert (await story.row()).waiting == "timer"


@told
async def test_a_wait_that_is_over_while_it_is_paused_starts_nothing(story: Story) -> None:
    nodes = {"start": {"type": "trigger.manual"}, "nap": nap(30), "set": SET}
    edges = [{"from": "start", "to": "nap"}, {"from": "nap", "to": "set"}]
    await story.begin({**document("nap", nap(30)), "nodes": nodes, "edges": edges})
    await story.submit([{}])
    await story.sees(e.WaitStarted)
    row = await story.row()
    await story.signal(row, e.Paused(row.created_at, "somebody"))
    await asyncio.sleep(60)

    assert (await story.row()).waiting == "paused"
    assert "set" not in [event.node for event in await story.all(e.NodeFinished)]
    await story.signal(row, e.Continued(row.created_at, "somebody"))
    await story.sees(e.Finished)


class FarRunning:
    """A run in another process: what is delivered gets there when the test says so."""

    def __init__(self, inner: Running) -> None:
        self._inner, self.under_way = inner, list[e.Event]()
        self.wait, self.let_go = inner.wait, inner.let_go

    def deliver(self, event: e.Event) -> None:
        self.under_way.append(event)

    def arrive(self) -> None:
        for event in self.under_way:
            self._inner.deliver(event)


class FarExecutor(InProcessExecutor):
    """Of all runs, the first one is far away."""

    far: FarRunning | None = None

    def start(self, work: Work, link: Link) -> Running:
        running = super().start(work, link)
        if self.far is None:
            running = self.far = FarRunning(running)
        return running


async def test_one_whose_news_are_under_way_to_its_run_is_not_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    considered: list[Held] = []
    consider = Holding._consider_rest

    def considering(holding: Holding, held: Held) -> None:
        considered.append(held)
        consider(holding, held)

    monkeypatch.setattr(Holding, "_consider_rest", considering)
    monkeypatch.setattr(holding, "REST_AGAIN_SECONDS", 0.01)
    callee = Flow({"double": {"type": "data.set", "params": {"values": {"a": 2}}}}, ["start > double"])
    call = {"type": "flow.sub_workflow", "params": {"workflow": "wf_double"}}
    executor = FarExecutor(open_test_runner().tools, RUNNER)
    office = Office(executor)
    await office.supervisor.start()
    await until(lambda: not office.supervisor.intake.queued)

    active = await office.start(Flow({"call": call}, ["start > call"], callees={"wf_double": callee}))
    await until(
        lambda: executor.far is not None and any(isinstance(one, e.ChildFinished) for one in executor.far.under_way)
    )
    seen = len(considered)
    await until(lambda: len(considered) >= seen + 2)
    assert executor.far is not None
    executor.far.arrive()

    await active.ended
    assert active.result().to_json() == [{"a": 2}]
    await office.supervisor.stop(0)

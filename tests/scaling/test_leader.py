"""The leader, over a lease that can be broken and in a time that jumps."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any

import pytest

from budflow.scaling.leader import Leader, LeaderLease, Term, now
from budflow.scaling.wakes_here import WakesHere
from budflow.services.leader_ports import Leading, NotLeader
from tests.execution.simulated_loop import PROCESS, SimulatedLoop, simulate
from tests.scaling.fake_lease import FakeLease, LeaseAway, Truth

SECONDS = 10.0


class Process:
    """A server that leads, or would like to; `acts` are the times at which its duty acted, with the token.

    `ended_at` says when it stopped.
    """

    def __init__(self, name: str, lease: LeaderLease, wakes: WakesHere | None = None) -> None:
        self.name, self.acts, self.terms = name, list[tuple[float, int]](), list[Leading]()
        self.ended_at: list[float] = []
        self.leader = Leader(lease, wakes or WakesHere(), holder=name, seconds=SECONDS, clock=time)

    def start(self) -> "Process":
        context = copy_context()
        context.run(PROCESS.set, self.name)
        context.run(self.leader.start, self.work)
        return self

    async def work(self, leading: Leading) -> None:
        self.terms.append(leading)
        try:
            while True:
                leading.require()
                self.acts.append((time(), leading.token))
                await asyncio.sleep(0.1)
        finally:
            self.ended_at.append(time())

    @property
    def last_act(self) -> float:
        return self.acts[-1][0]


def time() -> float:
    return asyncio.get_running_loop().time()


def loop() -> SimulatedLoop:
    running = asyncio.get_running_loop()
    assert isinstance(running, SimulatedLoop)
    return running


async def never() -> None:
    await asyncio.Event().wait()


async def away() -> None:
    raise LeaseAway


def simulated(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run the test in simulated time; nothing may be left behind."""

    def run() -> None:
        simulate(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@simulated
async def test_one_of_two_leads_and_does_the_work() -> None:
    truth = Truth()
    one, two = Process("one", FakeLease(truth)).start(), Process("two", FakeLease(truth)).start()

    await asyncio.sleep(100)

    assert (one.leader.leads, two.leader.leads) == (True, False)
    assert len(one.acts) > 900
    assert len(one.terms) == 1
    assert two.acts == []
    one.leader.require()
    with pytest.raises(NotLeader):
        two.leader.require()
    assert one.leader.status() == {"leads": True, "token": 1, "reachable": True}
    assert two.leader.status() == {"leads": False, "token": None, "reachable": True}
    row = await two.leader.current()
    assert row is not None
    assert (row.holder, row.token) == ("one", 1)
    await one.leader.stop()
    await two.leader.stop()


@simulated
async def test_a_leader_whose_renewals_get_no_answer_stops_before_another_may_lead() -> None:
    truth = Truth()
    lease = FakeLease(truth)
    one = Process("one", lease).start()
    await asyncio.sleep(SECONDS)
    lease.there = never
    ends_at = truth.until

    await asyncio.sleep(2 * SECONDS)

    [ended_at] = one.ended_at
    assert ends_at - SECONDS / 5 < ended_at < ends_at
    assert one.last_act <= ended_at
    assert not one.leader.leads
    await one.leader.stop()


@simulated
async def test_another_leads_within_the_lease_when_the_leader_died() -> None:
    truth = Truth()
    one = Process("one", FakeLease(truth)).start()
    await asyncio.sleep(SECONDS)
    two = Process("two", FakeLease(truth)).start()
    await asyncio.sleep(SECONDS)

    loop().freeze("one")
    died_at = time()
    await asyncio.sleep(SECONDS + 1)

    assert two.leader.leads
    assert two.acts[0][0] - died_at <= SECONDS + 1
    loop().thaw("one")
    await one.leader.stop()
    await two.leader.stop()


@simulated
async def test_a_leader_that_was_paused_finds_out_before_it_acts() -> None:
    truth = Truth()
    lease = FakeLease(truth)
    one, two = Process("one", lease).start(), Process("two", FakeLease(truth)).start()
    await asyncio.sleep(SECONDS)
    loop().freeze("one")
    paused_at, asked = time(), len(lease.asked)
    await asyncio.sleep(3 * SECONDS)

    loop().thaw("one")
    await asyncio.sleep(SECONDS)

    assert one.last_act <= paused_at
    assert "renew" not in lease.asked[asked:]  # What is over is not put off.
    assert not one.leader.leads
    assert two.leader.leads
    with pytest.raises(NotLeader):
        one.terms[0].require()
    await one.leader.stop()
    await two.leader.stop()


@simulated
async def test_a_leader_that_was_paused_while_nobody_else_was_there_begins_a_new_term() -> None:
    one = Process("one", FakeLease(Truth())).start()
    await asyncio.sleep(SECONDS)
    loop().freeze("one")
    await asyncio.sleep(3 * SECONDS)
    loop().thaw("one")
    await asyncio.sleep(SECONDS)

    first, second = one.terms
    assert (first.leads, second.leads) == (False, True)
    assert second.token > first.token
    await one.leader.stop()


@simulated
async def test_an_answer_that_gets_lost_ends_no_term() -> None:
    truth = Truth()
    lease = FakeLease(truth)
    one = Process("one", lease).start()
    await asyncio.sleep(1)
    lease.back = away
    await asyncio.sleep(3.5)
    lease.back = _at_once
    await asyncio.sleep(3 * SECONDS)

    assert len(one.terms) == 1
    assert one.leader.leads
    await one.leader.stop()


@simulated
async def test_a_lease_whose_answer_got_lost_is_taken_again_by_its_holder() -> None:
    truth = Truth()
    lease = FakeLease(truth, back=away)
    one = Process("one", lease).start()
    await asyncio.sleep(0.5)
    assert truth.holder == "one"
    assert not one.leader.leads

    lease.back = _at_once
    await asyncio.sleep(5)

    assert one.leader.leads
    assert one.acts[0][0] < SECONDS
    await one.leader.stop()


@simulated
async def test_a_hand_over_is_heard_and_takes_no_time() -> None:
    truth, wakes = Truth(), WakesHere()
    one = Process("one", FakeLease(truth), wakes).start()
    two = Process("two", FakeLease(truth), wakes).start()
    await asyncio.sleep(100.05)

    one.leader.step_down()
    stepped_down_at = time()
    assert not one.leader.leads
    await asyncio.sleep(0.1)

    assert two.leader.leads
    assert one.last_act <= stepped_down_at <= two.acts[0][0] <= stepped_down_at + 0.01
    await one.leader.stop()
    assert time() < stepped_down_at + 1
    await two.leader.stop()


@simulated
async def test_a_hand_over_waits_less_than_a_second_for_a_lease_and_for_work_that_do_not_end() -> None:
    lease = FakeLease(Truth())
    leader = Leader(lease, WakesHere(), holder="one", seconds=SECONDS, clock=time)
    release = asyncio.Event()

    async def stubborn(_leading: Leading) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    leader.start(stubborn)
    await asyncio.sleep(1)
    lease.there = never
    began = time()

    await leader.stop()

    assert time() - began < 1
    assert lease.closed
    release.set()
    await asyncio.sleep(1)


@simulated
async def test_who_stepped_down_leads_no_more() -> None:
    truth = Truth()
    one = Process("one", FakeLease(truth)).start()
    await asyncio.sleep(1)

    one.leader.step_down()
    one.leader.step_down()
    await asyncio.sleep(100)
    await one.leader.stop()

    assert not one.leader.leads
    assert not truth.is_held
    assert one.last_act <= 1


@simulated
async def test_one_that_was_never_started_can_be_stopped() -> None:
    await Process("one", FakeLease(Truth())).leader.stop()


def test_that_the_lease_is_away_is_told_once_and_it_is_asked_ever_more_seldom(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def life() -> None:
        lease = FakeLease(Truth(), there=away)
        one = Process("one", lease).start()
        await asyncio.sleep(100)
        assert 10 < len(lease.asked) < 20
        assert one.leader.status()["reachable"] is False
        lease.there = _at_once
        await asyncio.sleep(11)
        assert one.leader.leads
        await one.leader.stop()

    simulate(life())

    told = [record.message for record in caplog.records]
    assert told == ["leader.lease_away", "leader.lease_back", "leader.leads", "leader.handed_over"]


@simulated
async def test_a_lease_that_was_away_for_long_is_held_again_within_its_own_time() -> None:
    lease = FakeLease(Truth(), there=away)
    leader = Leader(lease, WakesHere(), holder="one", seconds=0.5, clock=time)
    leader.start(lambda _leading: never())
    await asyncio.sleep(1_000)

    lease.there = _at_once
    await asyncio.sleep(0.51)

    assert leader.leads
    await leader.stop()


def test_a_fault_of_the_lease_or_of_the_work_is_logged_and_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    async def faulty() -> None:
        raise RuntimeError("a fault")

    async def work(_leading: Leading) -> None:
        raise RuntimeError("another")

    async def life() -> None:
        lease = FakeLease(Truth(), there=faulty)
        leader = Leader(lease, WakesHere(), holder="one", seconds=SECONDS, clock=time)
        leader.start(work)
        await asyncio.sleep(10)
        lease.there = _at_once
        await asyncio.sleep(10)
        assert leader.leads
        await leader.stop()

    simulate(life())

    # At their levels and by their logger: what others wrote, and how much of it is kept, is theirs.
    told = {one.message for one in caplog.records if one.name == Leader.__module__ and one.levelno >= logging.ERROR}
    assert told == {"leader.failed", "leader.work_failed"}


def test_a_term_that_is_over_does_not_come_back() -> None:
    clock = [0.0]
    term = Term(1, 9.0, lambda: clock[0])
    term.extend(12.0)
    clock[0] = 11.0
    assert term.leads

    clock[0] = 12.0
    term.extend(30.0)

    assert not term.leads
    with pytest.raises(NotLeader):
        term.require()


def test_the_time_goes_on_by_itself() -> None:
    assert now() <= now()


async def _at_once() -> None:
    return

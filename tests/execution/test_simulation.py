"""The pure core under simulation: random nested graphs, orders, faults and crashes, and a witness of each step.

The bulk of the schedules draws its cases by hypothesis and its orders by seeds, since a state machine of hypothesis
manages only a few dozen steps in the time of a thousand; the machine below then looks for small counterexamples.
"""

import itertools
import os
import sys
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from budflow.execution import state as s
from budflow.execution.advance import advance
from budflow.graph.plan import compile_plan
from budflow.graph.validate import check
from budflow.model import event as e
from budflow.model.item import Item, ItemList
from tests.execution.simulated_campaign import SCHEDULES, SETTINGS, VARIABLE, campaign
from tests.execution.simulated_classes import Histogram
from tests.execution.simulated_driver import NOW, ORDERS, Driver
from tests.execution.simulated_faults import FAULTS, misbehave, run
from tests.execution.simulated_graphs import REGISTRY, Case, cases

pytestmark = pytest.mark.generated

SHARE_MIN = 0.05


def test_whatever_happens_in_whatever_order_the_core_keeps_its_promises(capsys: pytest.CaptureFixture[str]) -> None:
    histogram = Histogram()
    campaign(SCHEDULES, histogram)

    if VARIABLE in os.environ:
        with capsys.disabled():
            sys.stdout.write(f"\n{histogram}\n")
    else:
        sys.stdout.write(f"{histogram}\n")
    assert histogram.schedules >= SCHEDULES
    assert not histogram.rare(SHARE_MIN), "the campaign hardly saw these"


class CoreMachine(RuleBasedStateMachine):
    """An execution in which hypothesis itself decides what happens next, and what goes wrong."""

    @initialize(case=cases(), order=st.sampled_from(ORDERS))
    def admit(self, case: Case, order: str) -> None:
        self.driver = Driver(case, lambda _: 0, order)
        self.driver.begin()

    def _decide(self, draws: int) -> None:
        self.driver.pick = lambda below: draws % below

    @precondition(lambda self: self.driver.state.phase != "ended")
    @rule(draws=st.integers(0, 2**20))
    def go_on(self, draws: int) -> None:
        self._decide(draws)
        self.driver.work()

    @precondition(lambda self: self.driver.state.phase != "ended")
    @rule(fault=st.sampled_from(FAULTS), draws=st.integers(0, 2**20))
    def go_wrong(self, fault: str, draws: int) -> None:
        self._decide(draws)
        misbehave(self.driver, fault)

    @precondition(lambda self: self.driver.state.phase == "ended")
    @rule()
    def disturb_after_the_end(self) -> None:
        self.driver.finish()

    @invariant()
    def the_state_is_the_fold_of_the_journal(self) -> None:
        if hasattr(self, "driver"):
            assert self.driver.state == self.driver.mirror

    def teardown(self) -> None:
        if hasattr(self, "driver"):
            while self.driver.state.phase != "ended":
                self.driver.work()
            self.driver.finish()


CoreMachine.TestCase.settings = settings(
    SETTINGS,
    max_examples=max(100, SCHEDULES // 20),
    stateful_step_count=30,
    suppress_health_check=list(HealthCheck),
)
TestTheCoreAsAStateMachine = CoreMachine.TestCase


@given(cases(), st.integers(0, 2**32))
@settings(SETTINGS, max_examples=150)
def test_where_nothing_fails_and_nobody_is_faster_the_order_makes_no_difference(case: Case, seed: int) -> None:
    assume(case.failing == 0 and not any(node.node.params.get("join") for node in case.plan.nodes))
    results = []
    for order in ORDERS:
        driver = Driver(case, Random(seed).randrange, order)
        run(driver, ())
        results.append((driver.state.outcome, driver.witness.frames[s.ROOT].outputs))

    assert all(outcome == results[0][0] for outcome, _ in results)
    if results[0][0] == "succeeded":
        assert all(outputs == results[0][1] for _, outputs in results)


def test_a_chain_of_500_nodes_is_skipped_in_one_turn() -> None:
    keys = ["start", *(f"n{number}" for number in range(499))]
    nodes: dict[str, Any] = {key: {"type": "sim.pass"} for key in keys[1:]}
    document = {
        "format": 1,
        "name": "chain",
        "nodes": {"start": {"type": "trigger.manual"}, **nodes},
        "edges": [{"from": one, "to": other} for one, other in itertools.pairwise(keys)],
    }
    plan = compile_plan(check(document, REGISTRY).require("run"), REGISTRY)
    state, _ = advance(plan, s.State(), e.Admitted(NOW, "start", "api", "test", ItemList()))
    _, commands = advance(plan, state, e.NodeFinished(NOW, "start", NOW, {"main": ItemList()}))
    assert sum(isinstance(command, s.SkipNode) for command in commands) == 499
    assert commands[-1] == s.End("succeeded", None)


def test_twenty_thousand_rounds_that_end_at_once_are_one_turn_without_recursion() -> None:
    body = {"nodes": {}, "edges": [{"from": "$in", "to": "$out"}]}
    document = {
        "format": 1,
        "name": "loop",
        "nodes": {"start": {"type": "trigger.manual"}, "each": {"type": "flow.for_each", "bodies": {"body": body}}},
        "edges": [{"from": "start", "to": "each"}],
    }
    plan = compile_plan(check(document, REGISTRY).require("run"), REGISTRY)
    state, _ = advance(plan, s.State(), e.Admitted(NOW, "start", "api", "test", ItemList()))
    one = ItemList([Item({})], [-1])
    state, _ = advance(plan, state, e.NodeFinished(NOW, "start", NOW, {"main": one}))
    params = {"batch_size": 1, "concurrency": 2, "on_item_error": "stop"}
    state, commands = advance(plan, state, e.NodeStarted(NOW, "each", 20_000, params))
    assert sum(isinstance(command, s.CloseFrame) for command in commands) == 20_000
    assert isinstance(commands[-1], s.SettleControl)
    assert list(state.frames) == [s.ROOT]

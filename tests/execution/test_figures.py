"""What the engine counts of executions: each once, however often it is taken up."""

from datetime import timedelta

from budflow.execution.figures import EngineFigures, StoreFigures
from budflow.model import event as e
from budflow.model.execution import Place
from budflow.model.failure import Failure
from budflow.model.identity import utc_now
from budflow.model.item import EMPTY
from tests.execution.fakes import plan_of
from tests.storage.journals import execution


def admitted() -> e.Admitted:
    return e.Admitted(utc_now(), "start", "api", "owner", EMPTY)


def test_an_execution_starts_once() -> None:
    figures = EngineFigures()
    started = e.Started(utc_now(), "run_1", Place("inprocess", "laptop", 1))

    figures.note_start(execution(), [admitted()])
    figures.note_start(execution(), [admitted(), started])
    figures.note_start(execution(), [])  # What a snapshot sums up was started before.

    assert figures.started.read() == {("api",): 1}


def test_an_end_is_counted_by_status_and_mode() -> None:
    figures = EngineFigures()
    figures.note_end(execution(mode="webhook"), "failed")

    assert figures.ended.read() == {("failed", "webhook"): 1}


def test_commits_are_counted_with_their_size() -> None:
    figures = StoreFigures()
    figures.note_commit(3, 0.002)

    assert (figures.commits.count, figures.group_sizes.sum) == (1, 3)


def test_a_node_that_ran_is_counted_by_its_type_and_how_long_it_took() -> None:
    figures = EngineFigures()
    _, plan = plan_of(
        {"start": {"type": "trigger.manual"}, "set": {"type": "data.set", "params": {"values": {"a": 1}}}},
        ["start > set"],
    )
    began = utc_now()
    ended = began + timedelta(seconds=2)

    figures.note_node(plan, e.NodeFinished(ended, "set", began, {}))
    figures.note_node(plan, e.NodeFailed(ended, "set", began, Failure("node.broken", "It broke.")))
    figures.note_node(plan, e.NodeCancelled(ended, "set"))

    outcomes = {("data.set", outcome): 1 for outcome in ("finished", "failed", "cancelled")}
    assert figures.node_runs.read() == outcomes
    [(labels, seconds)] = figures.node_seconds.read().items()
    assert (labels, seconds.count, seconds.sum) == (("data.set",), 2, 4)

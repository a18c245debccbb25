"""What passes between owner and actor comes back as it was."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from budflow.execution.ports import ChildCall, Work
from budflow.execution.records import RateAsk, Rest
from budflow.model import event as e
from budflow.model.execution import Execution, Limit, Origin, Parent, Place
from budflow.model.item import ItemList
from budflow.model.journal import encode
from ray_jobs.wire import (
    CredentialAsk,
    Report,
    pack_events,
    pack_report,
    pack_work,
    unpack_events,
    unpack_report,
    unpack_work,
)
from tests.execution.fakes import plan_of

AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)


def test_a_batch_of_events_comes_back_in_order() -> None:
    events = [
        e.Started(AT, "run_1", Place("ray", "host", 1, "runner-0", "node")),
        e.NodeFinished(AT, "a", AT, {"main": ItemList.of([{"text": "ä" * 1000}, {"n": 1}])}),
        e.Finished(AT, "succeeded"),
    ]

    assert unpack_events(pack_events(events)) == events


def test_no_events_are_a_batch_too() -> None:
    assert unpack_events(pack_events([])) == []


def test_a_report_comes_back_whole() -> None:
    calls = [
        ChildCall("node", 0, "wf_1", None, ItemList.of([{"a": 1}])),
        ChildCall("node", 1, "wf_1", 2, ItemList([], []), (3, 0), awaited=False),
    ]
    event = e.NodeStarted(AT, "node", 1)

    asks = [RateAsk("node", 0, "api", 3, 10, 1.5, (2,))]
    rest = Rest("timer", AT)
    cancelled = [("node", 0, (1, 2))]

    credential_asks = [CredentialAsk(7, "fetch", "auth", bytes(range(32)))]

    packed = pack_report(
        [encode(0, event)],
        calls,
        cancelled,
        asks,
        rest,
        credential_asks=credential_asks,
        commit=True,
        flush=False,
        done=False,
        broken=None,
    )

    assert unpack_report(packed) == Report(
        [event], calls, cancelled, asks, rest, commit=True, credential_asks=credential_asks
    )


def test_a_snapshot_and_calls_of_a_report_come_back_beside_each_other() -> None:
    calls = [ChildCall("node", 0, "wf_1", None, ItemList.of([{"a": 1}]))]

    report = unpack_report(pack_report([], calls, [], snapshot=(0, b"saved\x00")))

    assert report.calls == calls
    assert report.snapshot == (0, b"saved\x00")


@pytest.mark.parametrize("saved", [None, b"saved\x00"])
@pytest.mark.parametrize("parent", [None, Parent("exe_0", "call", 0, 1)])
def test_an_execution_comes_back_with_its_events(parent: Parent | None, saved: bytes | None) -> None:
    execution = Execution(
        "exe_1", "default", "wf_1", 3, "child", "running", AT, started_at=AT, parent=parent, runner="run_1", token=2
    )
    execution = replace(execution, wake_at=AT, origin=Origin("exe_0", "fork", "a"), limit=Limit("key", 3), scope="s")
    events = (e.Admitted(AT, "start", "child", "test", ItemList.of([{"a": 1}]), parent),)

    _, plan = plan_of({"start": {"type": "trigger.manual"}}, [])
    work = replace(Work(execution, {}, plan, events, "http://here/", {"": {"cursor": 3}}), saved=saved)

    assert unpack_work(pack_work(work), lambda _: plan) == work

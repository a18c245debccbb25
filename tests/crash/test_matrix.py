"""One kill of a real server at every kind of transition, on SQLite; `make crash-matrix` does the rest."""

from collections.abc import Iterator
from typing import get_args

import pytest

from budflow.model.event import Event
from tests.crash.audit import unrecorded
from tests.crash.fault import Fault
from tests.crash.lane import IN_FLIGHT, Lane, open_lane
from tests.crash.ledger import TOKEN, Effect
from tests.crash.shape import SHAPES
from tests.crash.verdict import judge
from tests.processes import eventually

pytestmark = [pytest.mark.process, pytest.mark.xdist_group("crash")]

#: Where the server dies, and which shapes get it there; some more are under way beside them.
KILLS = {
    "execution.admitted:1:after": ("chain",),
    "execution.started:2:before": ("chain", "branches"),
    "node.started:3:after": ("branches", "try_catch", "last_node"),
    "credentials.used:1:before": ("credential", "chain"),
    "credentials.used:2:after": ("credential", "answer"),
    "node.items_started:1:before": ("items", "chain"),
    "node.items_finished:1:after": ("items", "answer"),
    "node.items_retried:1:before": ("retry", "parallel"),
    "node.logged:1:before": ("for_each", "chain"),
    "node.finished:20:after": ("for_each", "loop", "wait", "sub_workflow"),
    "node.failed:1:before": ("try_catch", "retry"),
    "node.cancelled:1:before": ("limits", "chain"),
    "node.time_is_up:1:after": ("limits", "branches"),
    "child.started:1:after": ("sub_workflow", "chain"),
    "child.finished:2:before": ("sub_workflow", "parallel"),
    "node.params_resolved:2:after": ("loop", "chain"),
    "node.reserved:1:before": ("loop", "wait"),
    "body.rounds_finished:1:after": ("for_each", "chain"),
    "body.rounds_collected:1:before": ("much", "chain"),
    "wait.started:1:after": ("wait", "for_each"),
    "wait.ended:1:before": ("wait", "items"),
    "execution.responded:1:before": ("answer", "chain"),
    "execution.cancel_requested:1:before": ("timed_out",),
    "execution.finished:1:before": ("last_node", "chain", "answer"),
    "store.put_snapshot:2:before": ("for_each", "branches"),
}
#: The same for a server that came up after such a death.
RECOVERY_KILLS = (
    "store.release_dead:1:after",
    "store.put_snapshot:1:after",
    "store.claim:1:after",
    "execution.started:1:before",
)
#: Events that come of what people do or of late results, and not of a shape.
OUTSIDE = {"execution.paused", "execution.continued", "node.result_ignored"}


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    with open_lane("sqlite", tmp_path_factory.mktemp("crash")) as lane:
        yield lane


def test_every_kind_of_event_has_its_kill() -> None:
    killed = {Fault.parse(text).point for text in KILLS}

    assert {kind.TYPE for kind in get_args(Event)} - killed == OUTSIDE


@pytest.mark.parametrize("fault", KILLS)
def test_nothing_is_lost_or_doubled_by_a_kill(lane: Lane, fault: str) -> None:
    verdict = lane.crash([SHAPES[name] for name in KILLS[fault]], Fault.parse(fault))

    assert verdict.kills == 1, "nothing ran into the fault"
    assert verdict.findings == []


@pytest.mark.parametrize("fault", RECOVERY_KILLS)
def test_nothing_is_lost_or_doubled_by_a_kill_while_recovering(lane: Lane, fault: str) -> None:
    verdict = lane.crash([SHAPES["chain"], SHAPES["for_each"]], IN_FLIGHT, Fault.parse(fault))

    assert verdict.kills == 2, "nothing ran into the fault"
    assert verdict.findings == []


def test_no_secret_is_left_in_any_file_of_a_server_that_died(lane: Lane) -> None:
    lane.crash([SHAPES["credential"]], Fault.parse("credentials.used:1:after"))
    files = [lane.server.log, *(path for path in lane.server.data_dir.rglob("*") if path.is_file())]

    assert files
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []


def test_a_use_is_on_record_before_the_request_is_seen(lane: Lane) -> None:
    order = lane.orders.send(lane.server, SHAPES["credential"], hold=["claim"])
    lane.orders.acknowledge(lane.server, [order], 10)
    eventually(lambda: Effect(order.id, "claim", "") in lane.ledger.effects(), "the request is seen")

    lane.server.kill()
    lane.server.start()

    assert unrecorded(lane.server, lane.ledger, [order]) == set()
    lane.ledger.release("claim")
    assert judge(lane.server, lane.ledger, [order], lane.server.deaths[-1:], 20, "seen").findings == []


def test_a_restarted_server_takes_its_work_back_at_once(lane: Lane) -> None:
    verdict = lane.crash([SHAPES["chain"]], IN_FLIGHT)

    assert verdict.findings == []
    [seconds] = verdict.recovery_seconds
    assert seconds - (lane.server.answers[-1] - lane.server.deaths[-1]) <= 1

"""Whom a strike hit, as the journals say."""

from typing import Any

import pytest

from tests.chaos.strike import Strike, hits_of
from tests.crash.orders import JournaledEvent
from tests.crash.verdict import recoveries


def event(kind: str, at: float, pid: int | None = None) -> JournaledEvent:
    data: dict[str, Any] = {} if pid is None else {"place": {"pid": pid}}
    return JournaledEvent(kind, at, data)


#: Begun by 1, taken over by 2, ended there.
JOURNAL = [
    event("execution.admitted", 10.0),
    event("execution.started", 11.0, 1),
    event("node.started", 12.0),
    event("execution.started", 14.0, 2),
    event("execution.finished", 16.0),
]


@pytest.mark.parametrize(
    ("at", "pids", "hit"),
    [
        pytest.param(13.0, {1}, True, id="who-has-it"),
        pytest.param(13.0, {2}, False, id="who-has-it-later"),
        pytest.param(15.0, {1}, False, id="who-had-it-before"),
        pytest.param(15.0, {1, 2}, True, id="one-of-many"),
        pytest.param(10.5, {3}, True, id="nobody-had-begun-it"),
        pytest.param(13.0, None, True, id="everybody"),
    ],
)
def test_a_strike_hits_what_the_struck_process_has(at: float, pids: set[int] | None, hit: bool) -> None:
    assert Strike(at, pids).hits(JOURNAL) is hit


def test_a_recovery_is_the_time_until_what_was_hit_goes_on() -> None:
    strikes = [Strike(12.5, {1}), Strike(13.0, {7}), Strike(15.0, {2}), Strike(17.0, {2})]

    assert recoveries(JOURNAL, hits_of(strikes, JOURNAL)) == [1.5, 1.0]

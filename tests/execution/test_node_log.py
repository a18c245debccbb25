"""What one run of a node logs: bounded, masked, plain, and journaled with its end or while it runs."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from budflow.execution import node_log as module
from budflow.execution.node_log import ExecutionLog, Logging, NodeLog
from budflow.model.event import NodeLogged
from budflow.model.journal import decode, encode
from budflow.model.log import LogLine
from budflow.model.redaction import Redaction
from tests.until import until

NOW = datetime(2030, 1, 2, tzinfo=UTC)


def open_log(*, live: bool = False) -> tuple[NodeLog, list[NodeLogged]]:
    journal: list[NodeLogged] = []
    return NodeLog(ExecutionLog(lambda: NOW, journal.append), "ask", (3,), live=live), journal


def messages(lines: tuple[LogLine, ...]) -> list[str]:
    return [line.message for line in lines]


def test_lines_have_their_level_item_attempt_and_fields() -> None:
    log, _ = open_log()
    log.attempt = 2
    Logging(log).for_item(4).warning("late", status=503)
    Logging(log, first=10).for_item(4).error("gone")

    assert log.end() == (
        LogLine(NOW, "warning", "late", {"status": 503}, 4, 2),
        LogLine(NOW, "error", "gone", {}, 14, 2),
    )


def test_what_comes_after_the_end_is_not_kept() -> None:
    log, journal = open_log()
    Logging(log).info("in time")
    before = log.end()
    Logging(log).info("too late")
    log.flush()

    assert log.end() == before
    assert journal == []


async def test_a_run_that_is_let_go_journals_nothing_more() -> None:
    log, journal = open_log(live=True)
    Logging(log).info("not journaled yet")
    log.close()
    log.flush()
    Logging(log).info("too late")

    assert journal == []
    assert messages(log.end()) == ["not journaled yet"]


class Hostile:
    """A value whose own code fails."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def cyclic() -> dict[str, Any]:
    shape: dict[str, Any] = {}
    shape["self"] = [shape]
    return shape


@pytest.mark.parametrize(
    "value",
    [
        cyclic(),
        Hostile(),
        {"deep": {"deep": {"deep": {"deep": {"deep": {"deep": 1}}}}}},
        b"\x00\xff" * 5,
        "half \ud800 of a pair",
        {"half \udfff": 1, 2: 3, None: 4},
        float("nan"),
        float("inf"),
        10**5_000,
        -(2**64),
        {1, 2},
        (1, [2]),
        NOW,
        object(),
        "x" * 5_000_000,
        list(range(100_000)),
        {f"key {n}" * 50: "v" * 900 for n in range(1_000)},
        lambda: None,
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_value_can_be_logged_and_is_bounded(value: Any) -> None:
    log, _ = open_log()
    Logging(log).info("fields", value=value)
    Logging(log).info(value)
    lines = log.end()

    row = encode(0, NodeLogged(NOW, "ask", lines))
    assert decode(row).log == lines  # type: ignore[union-attr] # a NodeLogged
    assert len(lines) == 2
    assert len(row.payload) < 25_000


def test_fields_of_any_name_are_taken() -> None:
    log, _ = open_log()
    Logging(log).info("names", self=1, message=2, level=3, **{"\ud800": 4, "x" * 500: 5})

    [line] = log.end()
    assert list(line.fields.values()) == [1, 2, 3, 4, 5]


def test_secrets_are_masked_before_anything_is_cut() -> None:
    log, _ = open_log()
    secret = "canary-4711-of-the-log"
    log.redaction = Redaction([secret])
    Logging(log).info(
        "x" * 3_990 + secret, url=f"https://a.example/?key={secret}", **{secret: [secret], "n": {1: secret}}
    )
    Logging(log).info(f"{secret} " * 100_000)

    assert "canary" not in f"{log.end()}"


def test_a_run_keeps_so_many_lines_and_says_how_many_more_there_were() -> None:
    log, _ = open_log()
    for number in range(1_000_000):
        log.add("info", "again", {}, number)

    lines = log.end()
    assert len(lines) == module.RUN_LINES_MAX + 1
    assert (lines[-1].level, lines[-1].fields) == ("warning", {"dropped": 999_000})
    assert "999,000 more lines were dropped" in lines[-1].message


def test_an_execution_keeps_so_many_lines_and_says_at_its_end_how_many_more_there_were() -> None:
    execution = ExecutionLog(lambda: NOW, lambda _: None)
    for _ in range(12):
        log = NodeLog(execution, "ask")
        for _ in range(module.RUN_LINES_MAX):
            log.add("info", "again", {}, None)
        log.end()

    rest = execution.rest()
    assert rest is not None
    assert rest.log[0].fields == {"dropped": 2_000}
    assert ExecutionLog(lambda: NOW).rest() is None


def test_long_lines_use_up_what_an_execution_may_log() -> None:
    execution = ExecutionLog(lambda: NOW)
    while execution.chars > 0:
        log = NodeLog(execution, "ask")
        log.add("info", "x" * 10_000, {}, None)
    assert execution.lines > module.EXECUTION_LINES_MAX / 2

    NodeLog(execution, "next").add("info", "no room", {}, None)
    assert execution.crowded == 1


def test_what_the_journal_has_already_counts() -> None:
    execution = ExecutionLog(lambda: NOW)
    line = LogLine(NOW, "info", "again")
    execution.count([NodeLogged(NOW, "ask", (line,) * module.EXECUTION_LINES_MAX)])
    NodeLog(execution, "ask").add("info", "one more", {}, None)

    assert execution.crowded == 1


async def test_lines_of_a_node_that_goes_on_are_journaled_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.02)
    log, journal = open_log(live=True)
    Logging(log).info("first")
    Logging(log).info("second")
    await until(lambda: bool(journal))
    Logging(log).info("third")

    assert [(event.node, event.rounds, messages(event.log)) for event in journal] == [
        ("ask", (3,), ["first", "second"])
    ]
    assert messages(log.end()) == ["third"]
    await asyncio.sleep(0)
    assert len(journal) == 1


async def test_lines_of_a_node_that_holds_up_the_loop_are_journaled_meanwhile() -> None:
    clock, journal = [NOW], list[NodeLogged]()
    log = NodeLog(ExecutionLog(lambda: clock[0], journal.append), "ask", live=True)
    for number in range(6):
        clock[0] += timedelta(seconds=0.1)
        Logging(log).info(f"{number}")

    assert [messages(event.log) for event in journal] == [["0", "1", "2", "3"]]
    assert messages(log.end()) == ["4", "5"]


async def test_a_thread_of_the_node_may_log() -> None:
    log, journal = open_log(live=True)
    await asyncio.to_thread(Logging(log).info, "from a thread")

    assert messages(log.end()) == ["from a thread"]
    assert journal == []


def test_lines_from_another_process_are_taken_once_whatever_comes_first() -> None:
    log, _ = open_log()
    log.redaction = Redaction(["a-secret-value"])
    lines = [LogLine(NOW, "info", f"{number} a-secret-value", {}, None, 2) for number in range(5)]
    log.receive(0, lines[:2])
    log.receive(2, lines[2:3])
    log.receive(0, lines)
    log.receive(3, lines[3:])

    assert messages(log.end()) == [f"{number} ***" for number in range(5)]
    assert {line.attempt for line in log.end()} == {2}


async def test_no_line_is_lost_or_repeated_however_it_is_flushed() -> None:
    log, journal = open_log(live=True)
    for number in range(50):
        Logging(log).info(f"{number}")
        if number % 7 == 0:
            log.flush()

    told = [message for event in journal for message in messages(event.log)] + messages(log.end())
    assert told == [f"{number}" for number in range(50)]


def test_what_had_no_room_in_another_process_is_counted_as_if_it_had_been_logged_here() -> None:
    far, here = NodeLog(ExecutionLog(lambda: NOW), "a"), ExecutionLog(lambda: NOW)
    near = NodeLog(here, "a")
    for number in range(module.RUN_LINES_MAX + 3):
        far.add("info", f"line {number}", {}, None)
    lines, missed = far.sent()
    near.receive(0, lines)
    near.miss(missed)

    assert (len(lines), missed) == (module.RUN_LINES_MAX, 3)
    assert near.end()[-1].message.startswith("3 more lines were dropped")
    assert here.lines == module.EXECUTION_LINES_MAX - module.RUN_LINES_MAX

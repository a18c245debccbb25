"""Slots, due times and what becomes of missed slots."""

import time
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

import pytest
from hypothesis import given, settings, strategies as st

from budflow.model.schedule import (
    FIRE_MAX,
    LATE,
    RUN_ALL_MAX,
    Look,
    Missed,
    Schedule,
    due_at,
    last_slot,
    look_at,
    slots_after,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=seconds) for seconds in (1, 60, 3_600, 86_400))


def every(seconds: int, **different: object) -> Schedule:
    return Schedule(every_seconds=seconds, **different)  # type: ignore[arg-type]  # what a test says different


def slots(schedule: Schedule, after: datetime, count: int = 3) -> list[datetime]:
    return list(islice(slots_after(schedule, after), count))


def test_intervals_are_counted_from_1970_so_that_they_are_at_full_quarters() -> None:
    assert slots(every(900), NOON + SECOND) == [NOON + 15 * MINUTE, NOON + 30 * MINUTE, NOON + 45 * MINUTE]


def test_intervals_with_a_beginning_are_counted_from_there_and_it_is_the_first_slot() -> None:
    begin = NOON + 7 * SECOND

    assert slots(every(60, starting_at=begin), NOON - DAY) == [begin, begin + MINUTE, begin + 2 * MINUTE]


def test_intervals_are_elapsed_time_whatever_the_clocks_do() -> None:
    night = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    found = slots(every(3_600, timezone="Europe/Berlin", starting_at=night), night)

    assert [slot - night for slot in found] == [HOUR, 2 * HOUR, 3 * HOUR]


def test_nothing_comes_before_the_beginning_or_after_the_end() -> None:
    bounded = Schedule(crons=("0 12 * * *",), starting_at=NOON, until=NOON + 2 * DAY)

    assert slots(bounded, NOON - 30 * DAY, 9) == [NOON, NOON + DAY, NOON + 2 * DAY]


def test_several_expressions_come_in_order_each_moment_once() -> None:
    both = Schedule(crons=("0 12 * * *", "0 12,18 * * *"))

    assert slots(both, NOON - HOUR, 3) == [NOON, NOON + 6 * HOUR, NOON + DAY]


def test_the_calendar_ends_without_an_error() -> None:
    end = datetime(9999, 12, 31, 23, 59, 58, tzinfo=UTC)

    assert len(slots(every(1), end, 5)) <= 1
    for zone in ("UTC", "Europe/Berlin", "Asia/Tokyo"):
        assert len(slots(Schedule(crons=("* * * * * *",), timezone=zone), end, 5)) <= 1


def test_jitter_is_the_same_for_everybody_and_differs_from_slot_to_slot() -> None:
    jittered = every(60, jitter_seconds=30)
    due = [due_at(jittered, "wf_a/tick", slot) - slot for slot in slots(jittered, NOON, 20)]

    assert due == [due_at(jittered, "wf_a/tick", slot) - slot for slot in slots(jittered, NOON, 20)]
    assert due != [due_at(jittered, "wf_b/tick", slot) - slot for slot in slots(jittered, NOON, 20)]
    assert len(set(due)) == 20
    assert all(timedelta() <= late <= 30 * SECOND for late in due)


def test_what_is_due_is_started_in_order_and_the_next_look_is_at_the_next_slot() -> None:
    assert look_at(every(10), "a", NOON, NOON + 25 * SECOND) == Look(
        NOON, (NOON + 10 * SECOND, NOON + 20 * SECOND), NOON + 30 * SECOND
    )


def test_before_the_first_slot_nothing_is_due() -> None:
    assert look_at(every(10), "a", NOON, NOON + 9 * SECOND) == Look(NOON, (), NOON + 10 * SECOND)


def test_after_the_last_slot_there_is_nothing_to_look_for() -> None:
    assert look_at(every(10, until=NOON), "a", NOON, NOON + DAY) == Look(NOON, (), None)


@pytest.mark.parametrize("missed", ["run_once", "run_all", "skip"])
def test_slots_that_are_less_than_a_minute_late_all_start_whatever_the_policy(missed: Missed) -> None:
    look = look_at(every(1, missed=missed), "a", NOON, NOON + LATE)

    assert look.passed_until == NOON
    assert len(look.fire) == 60


def test_run_once_starts_the_last_of_the_missed_slots() -> None:
    look = look_at(every(3_600), "a", NOON, NOON + 5 * HOUR + MINUTE)

    assert look == Look(NOON + 4 * HOUR, (NOON + 5 * HOUR,), NOON + 6 * HOUR)


def test_skip_starts_only_what_is_not_missed() -> None:
    skipping = every(3_600, missed="skip")

    assert look_at(skipping, "a", NOON, NOON + 5 * HOUR + 2 * MINUTE) == Look(NOON + 5 * HOUR, (), NOON + 6 * HOUR)
    assert look_at(skipping, "a", NOON, NOON + 5 * HOUR + SECOND).fire == (NOON + 5 * HOUR,)


def test_run_all_starts_each_and_of_very_many_the_newest() -> None:
    few = look_at(every(3_600, missed="run_all"), "a", NOON, NOON + 5 * HOUR + 2 * MINUTE)
    assert few == Look(NOON, tuple(NOON + hours * HOUR for hours in range(1, 6)), NOON + 6 * HOUR)

    many = look_at(every(3_600, missed="run_all"), "a", NOON, NOON + 500 * HOUR + 2 * MINUTE)
    assert many.fire == tuple(NOON + hours * HOUR for hours in range(500 - RUN_ALL_MAX + 1, 501))
    assert slots(every(3_600), many.passed_until, 1) == [many.fire[0]]


@pytest.mark.parametrize("missed", ["run_once", "run_all", "skip"])
@pytest.mark.parametrize(
    "rule",
    [
        Schedule(every_seconds=1),
        Schedule(crons=("* * * * * *",), timezone="Europe/Berlin"),
        Schedule(crons=("*/7 1-22 * * *",), timezone="Australia/Lord_Howe"),
        Schedule(crons=("0 0 29 2 *",), timezone="America/New_York"),
        Schedule(crons=("0 * 1 1 *",), timezone="Asia/Tokyo"),
        Schedule(crons=("0 0 * * *",), jitter_seconds=3_600),
    ],
)
def test_decades_are_looked_at_in_no_time(rule: Schedule, missed: Missed) -> None:
    waiting = Schedule.from_json({**rule.to_json(), "missed": missed})
    began = time.process_time()

    look = look_at(waiting, "a", datetime(1970, 1, 1, tzinfo=UTC), datetime(2060, 1, 1, tzinfo=UTC))

    assert time.process_time() - began < 1.0
    assert len(look.fire) <= FIRE_MAX
    assert look.fire or look.passed_until > datetime(1970, 1, 1, tzinfo=UTC)


def test_a_schedule_is_stored_and_read_again_as_it_was() -> None:
    whole = Schedule(
        crons=("0 9 * * *", "@daily"),
        timezone="Europe/Vienna",
        starting_at=NOON,
        until=NOON + DAY,
        jitter_seconds=2.5,
        missed="run_all",
    )

    assert Schedule.from_json(whole.to_json()) == whole
    assert Schedule.from_json(every(60).to_json()) == every(60)


@pytest.mark.parametrize(
    ("seconds", "said"), [(30, "every 30s"), (900, "every 15m"), (5_400, "every 1h30m"), (90_061, "every 1d1h1m1s")]
)
def test_an_interval_is_told_in_units(seconds: int, said: str) -> None:
    assert every(seconds).rule == said


schedules = st.builds(
    Schedule,
    every_seconds=st.integers(1, 4_000),
    starting_at=st.none() | st.just(NOON - 7 * SECOND),
    until=st.none() | st.just(NOON + HOUR),
    jitter_seconds=st.sampled_from([0.0, 0.5, 45.0]),
    missed=st.sampled_from(["run_once", "run_all", "skip"]),
) | st.builds(
    Schedule,
    crons=st.sampled_from([("*/3 * * * *",), ("*/10 * * * * *",), ("0 12 * * *", "30 * * * *"), ("1 2 * * *",)]),
    timezone=st.sampled_from(["UTC", "Europe/Berlin"]),
    jitter_seconds=st.sampled_from([0.0, 20.0]),
    missed=st.sampled_from(["run_once", "run_all", "skip"]),
)


@settings(max_examples=60, deadline=None)
@given(schedule=schedules, gone=st.integers(1, 20_000), wide=st.integers(1, 5_000))
def test_the_last_slot_is_the_last_of_them_all(schedule: Schedule, gone: int, wide: int) -> None:
    up_to = NOON + gone * SECOND
    after = up_to - wide * SECOND
    every_one = list(takewhile(lambda slot: slot <= up_to, slots_after(schedule, after)))

    assert last_slot(schedule, after, up_to) == (every_one[-1] if every_one else None)


@settings(max_examples=60, deadline=None)
@given(schedule=schedules, looks=st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_who_looks_at_least_every_minute_starts_each_slot_once_however_often_that_is(
    schedule: Schedule, looks: list[int]
) -> None:
    now = settled = NOON
    fired: list[datetime] = []
    for seconds in looks:
        now += seconds * SECOND
        look = look_at(schedule, "a", settled, now)
        assert look.passed_until == settled  # Nothing is ever a minute late.
        assert look.due_at is None or look.due_at > now
        fired += look.fire
        settled = look.fire[-1] if look.fire else settled

    all_due = []
    for slot in slots_after(schedule, NOON):
        if due_at(schedule, "a", slot) > now:
            break
        all_due.append(slot)
    assert fired == all_due


@settings(max_examples=100, deadline=None)
@given(schedule=schedules, gone=st.integers(61, 40_000), ahead=st.integers(0, 40_000))
def test_whoever_looks_again_after_a_long_time_never_goes_back(schedule: Schedule, gone: int, ahead: int) -> None:
    first = look_at(schedule, "a", NOON, NOON + gone * SECOND)
    settled = first.fire[-1] if first.fire else first.passed_until
    second = look_at(schedule, "a", settled, NOON + (gone + ahead) * SECOND)

    assert first.passed_until >= NOON
    assert list(first.fire) == sorted(set(first.fire))
    assert all(slot > first.passed_until for slot in first.fire)
    assert second.passed_until >= settled
    assert not set(first.fire) & set(second.fire)

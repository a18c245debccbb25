"""Cron expressions in time zones, against a reading of the clock minute by minute where clocks change."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings, strategies as st

from budflow.model.cron import Cron, CronInvalid

#: Moments around which clocks change: by an hour, by half an hour, by a day, at midnight, and for good.
CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 3, 8, 5, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 11, 1, 5, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ("America/Caracas", datetime(2016, 5, 1, 7, tzinfo=UTC)),
    ("Asia/Pyongyang", datetime(2018, 5, 4, 15, tzinfo=UTC)),
    ("Asia/Tokyo", datetime(2026, 3, 29, 1, tzinfo=UTC)),
]
zones_and_changes = pytest.mark.parametrize(("zone", "change"), CHANGES)


def clock(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def matching(text: str, after: datetime, until: datetime) -> list[datetime]:
    """The times on a clock that cronsim finds, without any time zone."""
    return list(takewhile(lambda time: time <= until, CronSim(text, after)))


def read_off(text: str, zone: ZoneInfo, begin: datetime, end: datetime) -> list[datetime]:
    """What an expression means between two moments, by looking at the clock every minute."""
    every_hour = len(CronSim(text, clock(begin, zone)).hours) == 24
    wanted = set(matching(text, clock(begin, zone) - timedelta(days=2), clock(end, zone) + timedelta(days=2)))
    found: list[datetime] = []
    shown: set[datetime] = set()  # A clock time that is named by its hour counts once.
    moment = begin - timedelta(days=1, hours=6)
    before = clock(moment, zone)
    while moment < end:
        moment += timedelta(minutes=1)
        now = clock(moment, zone)
        skipped = any(before < time < now for time in wanted) if now - before > timedelta(minutes=1) else False
        is_meant = now in wanted if every_hour else (now in wanted and now not in shown) or skipped
        shown.add(now)
        if is_meant and moment > begin:
            found.append(moment)
        before = now
    return found


def between(cron: Cron, zone: ZoneInfo, begin: datetime, end: datetime) -> list[datetime]:
    return list(takewhile(lambda moment: moment <= end, cron.after(begin, zone)))


@zones_and_changes
@pytest.mark.parametrize("text", ["30 * * * *", "*/20 2 * * *", "15 0,2 * * *", "0 */2 * * *"])
def test_around_a_change_of_the_clocks_it_is_what_the_clock_shows(zone: str, change: datetime, text: str) -> None:
    begin, end = change - timedelta(hours=3), change + timedelta(hours=3)

    assert between(Cron.parse(text), ZoneInfo(zone), begin, end) == read_off(text, ZoneInfo(zone), begin, end)


def first(text: str, zone_name: str, after: str, count: int = 3) -> list[str]:
    zone = ZoneInfo(zone_name)
    found = Cron.parse(text).after(datetime.fromisoformat(after).replace(tzinfo=zone), zone)
    return [moment.astimezone(zone).isoformat() for moment in islice(found, count)]


def test_a_time_that_the_clocks_skip_runs_once_at_the_first_moment_after() -> None:
    assert first("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00") == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
        "2026-03-31T02:30:00+02:00",
    ]


def test_several_times_that_one_gap_skips_run_once_together() -> None:
    assert first("0,15,30 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00", 4) == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-29T03:15:00+02:00",
        "2026-03-29T03:30:00+02:00",
        "2026-03-30T02:00:00+02:00",
    ]


def test_a_gap_of_half_an_hour_skips_half_an_hour() -> None:
    assert first("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", 2) == [
        "2026-10-04T02:30:00+11:00",
        "2026-10-05T02:15:00+11:00",
    ]


def test_a_time_that_occurs_twice_runs_once_the_first_time() -> None:
    assert first("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", 2) == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ]
    assert first("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00", 2) == [
        "2026-04-05T01:45:00+11:00",
        "2026-04-06T01:45:00+10:30",
    ]


def test_in_the_second_of_two_equal_hours_nothing_comes_again() -> None:
    zone = ZoneInfo("Europe/Berlin")
    second_hour = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)

    assert next(Cron.parse("30 2 * * *").after(second_hour, zone)) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_a_whole_day_that_a_zone_leaves_out_runs_at_the_beginning_of_the_next() -> None:
    assert first("0 9 * * *", "Pacific/Apia", "2011-12-29T12:00") == [
        "2011-12-31T00:00:00+14:00",
        "2011-12-31T09:00:00+14:00",
        "2012-01-01T09:00:00+14:00",
    ]


def test_an_expression_for_every_hour_follows_the_clocks_as_they_go() -> None:
    assert first("30 * * * *", "Europe/Berlin", "2026-03-29T00:45", 2) == [
        "2026-03-29T01:30:00+01:00",
        "2026-03-29T03:30:00+02:00",
    ]
    assert first("30 * * * *", "Europe/Berlin", "2026-10-25T01:45") == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:30:00+01:00",
        "2026-10-25T03:30:00+01:00",
    ]


def test_the_hour_before_midnight_that_is_repeated_is_not_passed_by() -> None:
    zone = ZoneInfo("America/Santiago")  # On the 4th of April 2026 it is midnight, and 23:00 again.
    begin = datetime(2026, 4, 4, 12, tzinfo=UTC)

    found = list(islice(Cron.parse("50 * 4 4 *").after(begin, zone), 30))

    assert [moment.astimezone(zone).isoformat() for moment in found if moment.astimezone(zone).hour == 23][:2] == [
        "2026-04-04T23:50:00-03:00",
        "2026-04-04T23:50:00-04:00",
    ]


def test_seconds_stand_in_front() -> None:
    assert first("*/20 30 9 * * *", "UTC", "2026-01-01T00:00", 4) == [
        "2026-01-01T09:30:00+00:00",
        "2026-01-01T09:30:20+00:00",
        "2026-01-01T09:30:40+00:00",
        "2026-01-02T09:30:00+00:00",
    ]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@weekly", "0 0 * * SUN"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 JAN *"),
        (" @Midnight ", "0 0 * * 7"),
        ("0 9 * * mon-fri", "0 9 * * 1-5"),
    ],
)
def test_short_forms_and_names_mean_what_they_say(text: str, same: str) -> None:
    if text == " @Midnight ":
        same = "0 0 * * *"
    begin, zone = datetime(2026, 1, 1, tzinfo=UTC), ZoneInfo("Europe/Vienna")

    assert list(islice(Cron.parse(text).after(begin, zone), 5)) == list(islice(Cron.parse(same).after(begin, zone), 5))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "It has 0 fields"),
        ("* * * *", "It has 4 fields"),
        ("* * * * * * *", "It has 7 fields"),
        ("60 * * * *", "`60` cannot be the minute: that is 0 to 59"),
        ("* 24 * * *", "`24` cannot be the hour"),
        ("* * 32 * *", "`32` cannot be the day of the month"),
        ("* * * 13 *", "`13` cannot be the month"),
        ("* * * * 8", "`8` cannot be the day of the week"),
        ("61 * * * * *", "`61` cannot be the second"),
        ("*/0 * * * *", "`*/0` cannot be the minute"),
        ("5-1 * * * *", "`5-1` cannot be the minute"),
        ("a * * * *", "`a` cannot be the minute"),
        ("0 9 ? * MON", "`?` cannot be the day of the month"),
        ("0 9 * * MONDAY", "`MONDAY` cannot be the day of the week"),
        ("@reboot", "There is no `@reboot`"),
        ("0 0 30 2 *", "`0 0 30 2 *` never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
        ("*" * 201, "more than 200 characters"),
    ],
)
def test_what_is_no_expression_is_told_with_the_part_that_is_wrong(text: str, said: str) -> None:
    with pytest.raises(CronInvalid) as refused:
        Cron.parse(text)

    assert said in str(refused.value)


numbers = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7)}


@st.composite
def expressions(draw: st.DrawFn) -> str:
    def part(low: int, high: int) -> str:
        first_ = draw(st.integers(low, high))
        return draw(
            st.sampled_from(
                ["*", f"*/{draw(st.integers(1, 7))}", str(first_), f"{first_}-{draw(st.integers(first_, high))}"]
            )
        )

    return " ".join(part(*bounds) for bounds in numbers.values())


def chunks(cron: Cron, zone: ZoneInfo, begin: datetime, count: int, size: int) -> Iterator[datetime]:
    """The same moments, found anew every few of them."""
    last = begin
    for _ in range(count):
        for moment in islice(cron.after(last, zone), size):
            yield moment
            last = moment


@settings(max_examples=60, deadline=None)
@given(
    text=expressions(),
    where=st.sampled_from(CHANGES),
    minutes=st.integers(-3_000, 3_000),
    size=st.integers(1, 5),
)
def test_moments_only_grow_and_do_not_depend_on_how_they_are_asked_for(
    text: str, where: tuple[str, datetime], minutes: int, size: int
) -> None:
    try:
        cron = Cron.parse(text)
    except CronInvalid:
        return
    zone, begin = ZoneInfo(where[0]), where[1] + timedelta(minutes=minutes, microseconds=1)
    whole = list(islice(cron.after(begin, zone), 20))

    assert whole == sorted(set(whole))
    assert all(moment > begin for moment in whole)
    assert list(islice(chunks(cron, zone, begin, 20, size), len(whole))) == whole


@settings(max_examples=25, deadline=None)
@given(text=expressions(), where=st.sampled_from(CHANGES))
def test_any_expression_is_what_the_clock_shows(text: str, where: tuple[str, datetime]) -> None:
    try:
        cron = Cron.parse(text)
    except CronInvalid:
        return
    zone, begin, end = ZoneInfo(where[0]), where[1] - timedelta(hours=2), where[1] + timedelta(hours=2)

    assert between(cron, zone, begin, end) == read_off(text, zone, begin, end)


@settings(max_examples=60, deadline=None)
@given(
    text=expressions(),
    zone_name=st.sampled_from(["Asia/Tokyo", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "UTC"]),
    days=st.integers(0, 4_000),
)
def test_over_the_years_none_is_left_out(text: str, zone_name: str, days: int) -> None:
    try:
        cron = Cron.parse(text)
    except CronInvalid:
        return
    zone, begin = ZoneInfo(zone_name), datetime(2015, 1, 1, tzinfo=UTC) + timedelta(days=days)
    shown: set[datetime] = set()
    for time in islice(CronSim(text, clock(begin, zone) - timedelta(days=2)), 400):
        twice = [time.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
        there = [moment for moment in twice if clock(moment, zone) == time]
        shown.update(there if cron.every_hour else there[:1])
    end = max(shown) - timedelta(days=1)
    expected = sorted(moment for moment in shown if begin < moment <= end)

    found = between(cron, zone, begin, end)

    assert [moment for moment in found if moment in shown] == expected
    if cron.every_hour:
        assert found == expected  # Else there are those that a gap has moved.

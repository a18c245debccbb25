"""Datetimes and durations: units, zones, formats, business days, words."""

import pytest

from budflow.expressions.evaluate import ExpressionFailed
from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (
            "$now.plus(1, 'quarter').date(), $now.plus(months=1, days=1).date(), $now.minus(1, 'ms').time()",
            ["2026-04-30", "2026-03-01", "13:05:08"],
        ),
        (
            (
                "make_datetime(2026, 3, 28, 12, zone='Europe/Berlin').plus(days=1).iso(), make_datetime(2026, 3, "
                "28, 12, zone='Europe/Berlin').plus(hours=24).iso()"
            ),
            ["2026-03-29T12:00:00+02:00", "2026-03-29T13:00:00+02:00"],
        ),
        (
            (
                "make_datetime(2026, 3, 29, zone='Europe/Berlin').end_of('day').diff(make_datetime(2026, 3, 29, "
                "zone='Europe/Berlin'), 'hours').round()"
            ),
            23,
        ),
        (
            "$now.plus(duration(minutes=1)).time(), $now.start_of('quarter').date(), $now.end_of('quarters').date()",
            ["13:06:09", "2026-01-01", "2026-03-31"],
        ),
        (
            (
                "parse_datetime('2026-01-31').diff('2025-12-31', 'months'), $now.diff('2026-02-28', "
                "'year').round(2), $now.diff($now)"
            ),
            [1.0, -0.08, 0.0],
        ),
        (
            (
                "parse_datetime('2026-03-30').diff('2026-01-31', ['months', 'days']), "
                "$now.diff($now.minus(hours=25), ['days', 'hours'])"
            ),
            [{"months": 1, "days": 30.0}, {"days": 1, "hours": 1.0}],
        ),
        (
            "$now.format('d/M/yy h:m:s a Z ZZ ZZZ z q o W EEE'), $now.format(\"'Q'q 'at' HH\")",
            ["31/1/26 1:5:9 PM +0 +00:00 +0000 UTC 1 31 5 Sat", "Q1 at 13"],
        ),
        ("$now.to_zone('Asia/Kolkata').format('Z ZZ ZZZ z ZZZZ')", "+5:30 +05:30 +0530 Asia/Kolkata IST"),
        ("$now.format('SSS X x kkkk ooo do')", "000 1769864709 1769864709000 2026 031 31st"),
        (
            (
                "parse_datetime('1:05 pm 31-Jan-2026', \"h:mm a dd-MMM-yyyy\").iso(), parse_datetime('20260131', "
                "'yyyyMMdd').date()"
            ),
            ["2026-01-31T13:05:00+00:00", "2026-01-31"],
        ),
        (
            "parse_datetime('2026-01-31T12:00', zone='America/New_York').to_utc().hour(), parse_datetime($now) == $now",
            [17, True],
        ),
        (
            "$now.set(year=2028, day=29, month=2).date(), make_datetime(2026).is_same('2026-12-31', 'year')",
            ["2028-02-29", True],
        ),
        (
            (
                "make_datetime(2026, 12).days_in_month(), make_datetime(9999, 12).days_in_month(), "
                "make_datetime(2100).is_leap_year()"
            ),
            [31, 31, False],
        ),
        ("(0).to_datetime().year(), (25569).to_datetime('excel').year(), $now.extract('quarters')", [1970, 1970, 1]),
        (
            (
                "$now.plus_business_days(250).date(), $now.plus_business_days(0).date(), "
                "$now.plus_business_days(-1).date()"
            ),
            ["2027-01-15", "2026-01-31", "2026-01-30"],
        ),
        (
            (
                "$now.business_days_until('2027-01-31'), $now.business_days_until('2026-01-01'), "
                "$now.business_days_until($now)"
            ),
            [260, -22, 0],
        ),
        (
            (
                "$now.next_business_day(['2026-02-02', '2026-02-03']).date(), make_datetime(2026, 2, "
                "2).next_business_day().date()"
            ),
            ["2026-02-04", "2026-02-02"],
        ),
        (
            (
                "$now.humanize(), $now.plus(seconds=40).humanize(), $now.minus(years=2).humanize(), "
                "$now.plus(days=13).humanize()"
            ),
            ["just now", "in 40 seconds", "2 years ago", "in 2 weeks"],
        ),
        (
            (
                "duration().humanize(), duration(days=-8).humanize(), duration(weeks=1, seconds=1).humanize(1), "
                "duration(ms=5).total('ms')"
            ),
            ["0 seconds", "-1 week 1 day", "1 week", 5.0],
        ),
        (
            "$now.age(), make_datetime(2000, 2, 29).age('2026-03-01')",
            [0, 26],
        ),
        (
            (
                "[t.date() for t in time_range('2026-01-31', '2026-05-01', months=1)], time_range('2026-02-01', "
                "'2026-01-01')"
            ),
            [["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"], []],
        ),
    ],
)
def test_what_they_give(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("$now.plus(3)", "there is no unit"),
        ("$now.plus(unit='days')", "belong together"),
        ("$now.plus(3, 'dayz')", "Did you mean"),
        ("$now.plus(days='3')", "must be a number"),
        ("$now.plus(days=1e300)", ""),
        ("$now.plus(months=0.5)", "whole"),
        ("$now.start_of('millisecond')", "Units:"),
        ("$now.diff('soon')", "is not a datetime"),
        ("$now.diff($now, [])", "1 to 10 units"),
        ("$now.format('RR')", "not a time token"),
        ("$now.format('yyyy' * 100)", "at most 200"),
        ("$now.set(tzinfo=1)", "no part"),
        ("$now.set(day=32)", "day"),
        ("parse_datetime('31.02.2026')", "common format"),
        ("parse_datetime('2026-01-31', zone='Mars/Base')", "no time zone"),
        ("parse_datetime('x', 'yyyy-qq')", "not a time token"),
        ("$now.plus_business_days(10**9)", "from -100,000"),
        ("time_range('0001-01-01', '9999-01-01', seconds=1)", "steps"),
        ("time_range('2026-01-01', '2026-01-02', seconds=0.0000001)", "leads nowhere"),
        ("make_datetime(2026, 13)", "month"),
        ("(1e30).to_datetime()", ""),
        ("duration(months=1)", "there is no unit"),
    ],
)
def test_what_they_cannot_do_is_explained(expression: str, told: str, evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate(expression)
    assert told in f"{caught.value.message} {caught.value.hint}"

"""Functions on datetimes and durations."""

import pytest

from budflow.expressions.evaluate import ExpressionFailed
from tests.expressions.conftest import Evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$now", "2026-01-31T13:05:09+00:00"),
        ("$now.iso(), $now.date(), $now.time()", ["2026-01-31T13:05:09+00:00", "2026-01-31", "13:05:09"]),
        ("$now.format('%d.%m.%Y %H:%M %%')", "31.01.2026 13:05 %"),
        ("$now.plus(months=1).date(), $now.minus(years=2, days=1).date()", ["2026-02-28", "2024-01-30"]),
        ("$now.plus(weeks=1, hours=1, minutes=1, seconds=1).iso()", "2026-02-07T14:06:10+00:00"),
        ("$now.year(), $now.month(), $now.day(), $now.hour(), $now.minute(), $now.second()", [2026, 1, 31, 13, 5, 9]),
        ("$now.weekday(), $now.week()", [6, 5]),
        (
            "[$now.start_of(u).iso()[:19] for u in ['year', 'month', 'week', 'day']]",
            ["2026-01-01T00:00:00", "2026-01-01T00:00:00", "2026-01-26T00:00:00", "2026-01-31T00:00:00"],
        ),
        ("[$now.start_of(u).time() for u in ['hour', 'minute', 'second']]", ["13:00:00", "13:05:00", "13:05:09"]),
        (
            "[$now.end_of(u).iso()[:10] for u in ['year', 'month', 'week', 'day']]",
            ["2026-12-31", "2026-01-31", "2026-02-01", "2026-01-31"],
        ),
        ("$now.timestamp(), from_timestamp(0).iso()", [1769864709.0, "1970-01-01T00:00:00+00:00"]),
        ("$now.to_zone('UTC').hour()", 13),
        ("parse_datetime('2026-01-31T13:05:09Z') == $now", True),
        ("parse_datetime('31.01.2026', '%d.%m.%Y').iso()", "2026-01-31T00:00:00+00:00"),
        ("duration(days=1, hours=12).total_days(), duration(minutes=90).total_hours()", [1.5, 1.5]),
        ("duration(minutes=1).total_seconds(), duration(minutes=1)", [60.0, 60.0]),
        ("duration(hours=1) * 2 > duration(hours=1), duration(hours=2) / duration(hours=1)", [True, 2.0]),
    ],
)
def test_times(expression: str, value: object, evaluate: Evaluate) -> None:
    assert evaluate(expression) == value


def test_zones_move_the_clock_and_not_the_moment(evaluate: Evaluate) -> None:
    pytest.importorskip("zoneinfo").ZoneInfo("Europe/Berlin")
    assert evaluate("$now.to_zone('Europe/Berlin').iso(), $now.to_zone('Europe/Berlin') == $now") == [
        "2026-01-31T14:05:09+01:00",
        True,
    ]


@pytest.mark.parametrize(
    "expression",
    [
        "$now.plus(fortnights=1)",
        "$now.plus(1)",
        "$now.plus(years=9000)",
        "$now.plus(months=1.5)",
        "$now.start_of('era')",
        "$now.to_zone('Mars/Olympus')",
        "parse_datetime('yesterday')",
        "parse_datetime('x', '%Y')",
        "parse_datetime(1)",
        "$now + 1",
        "$now + $now",
        "$now < 1",
    ],
)
def test_arguments_of_the_wrong_kind_are_explained(expression: str, evaluate: Evaluate) -> None:
    with pytest.raises(ExpressionFailed):
        evaluate(expression)

"""Datetimes: moving, truncating, comparing, writing."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from budflow.expressions.arguments import listed, moment as as_moment, number, one_of, text as as_text, whole
from budflow.expressions.budget import Budget, Fault
from budflow.expressions.declare import function, method
from budflow.expressions.time_arithmetic import (
    amounts,
    between,
    by_months,
    end_of as end_of_unit,
    in_utc,
    later,
    shifted,
    start_of as start_of_unit,
    unit_of,
    zone_of,
)
from budflow.expressions.time_formats import READ_CHARS_MAX, read_by_pattern, read_time, write_time
from budflow.expressions.values import word_of

DIFFERENCE_UNITS_MAX = 10
PARTS = ("year", "month", "day", "hour", "minute", "second", "microsecond")


@method(datetime, date, name="iso", examples=[("$now.iso()", "2026-01-31T13:05:09+00:00")])
def iso(budget: Budget, moment: date) -> str:
    """The datetime as ISO 8601."""
    return moment.isoformat()


@method(
    *(datetime, date),
    name="format",
    examples=[
        ("$now.format('yyyy-MM-dd HH:mm')", "2026-01-31 13:05"),
        ("$now.format('%d.%m.%Y %H:%M')", "31.01.2026 13:05"),
        ("$now.format(\"EEEE, d 'of' MMMM, h:mm a\")", "Saturday, 31 of January, 1:05 PM"),
    ],
)
def format_method(budget: Budget, moment: date, pattern: str) -> str:
    """The datetime by tokens such as `yyyy-MM-dd`, or by strftime directives such as `%Y-%m-%d`."""
    return write_time(as_moment(moment), pattern)


@method(
    *(datetime, date),
    name="plus",
    examples=[
        ("$now.plus(days=1, hours=2).iso()", "2026-02-01T15:05:09+00:00"),
        ("$now.plus(months=1).date()", "2026-02-28"),
        ("$now.plus(2, 'weeks').date()", "2026-02-14"),
    ],
)
def plus(
    budget: Budget, moment: date, amount: float | None = None, unit: str | None = None, **units: float
) -> datetime:
    """The datetime so much later, by units from years to milliseconds; a month's last day stays within the month."""
    return _moved(as_moment(moment), amount, unit, units, 1)


@method(
    *(datetime, date),
    name="minus",
    examples=[("$now.minus(years=2, days=1).date()", "2024-01-30"), ("$now.minus(90, 'minutes').time()", "11:35:09")],
)
def minus(
    budget: Budget, moment: date, amount: float | None = None, unit: str | None = None, **units: float
) -> datetime:
    """The datetime so much earlier, by units from years to milliseconds; a month's last day stays within the month."""
    return _moved(as_moment(moment), amount, unit, units, -1)


@method(
    *(datetime, date),
    name="start_of",
    examples=[
        ("$now.start_of('month').iso()", "2026-01-01T00:00:00+00:00"),
        ("$now.start_of('week').date()", "2026-01-26"),
    ],
)
def start_of(budget: Budget, moment: date, unit: str) -> datetime:
    """The start of the year, quarter, month, week (Monday), day, hour, minute or second."""
    return start_of_unit(as_moment(moment), unit_of(unit))


@method(*(datetime, date), name="end_of", examples=[("$now.end_of('day').iso()", "2026-01-31T23:59:59.999999+00:00")])
def end_of(budget: Budget, moment: date, unit: str) -> datetime:
    """The last microsecond of the year, quarter, month, week (to Sunday), day, hour, minute or second."""
    return end_of_unit(as_moment(moment), unit_of(unit))


@method(
    *(datetime, date),
    name="diff",
    examples=[
        ("$now.diff('2026-01-01T00:00Z', 'hours')", 733.0858333333333),
        ("parse_datetime('2026-03-15').diff('2026-01-01', ['months', 'days'])", {"months": 2, "days": 14.0}),
    ],
)
def diff(budget: Budget, moment: date, other: object, unit: str | list[str] = "days") -> object:
    """How many units the datetime is later than the other (a datetime or text); for a list of units a dict."""
    until, since = as_moment(moment), time_of(other)
    if type(unit) is str:
        return between(since, until, unit_of(unit))
    names = [as_text(name, "unit") for name in listed(budget, unit, "unit")]
    if not 0 < len(names) <= DIFFERENCE_UNITS_MAX:
        raise Fault(f"name from 1 to {DIFFERENCE_UNITS_MAX} units")
    found: dict[str, object] = {}
    for at, name in enumerate(names):
        amount = between(since, until, unit_of(name))
        if at < len(names) - 1:
            whole = int(amount)
            found[name] = whole
            since = shifted(since, whole, unit_of(name))
        else:
            found[name] = round(amount, 9)
    return found


@method(
    *(datetime, date),
    name="is_between",
    examples=[("$now.is_between('2026-01-01', '2026-12-31')", True)],
)
def is_between(budget: Budget, moment: date, start: object, end: object) -> bool:
    """Whether the datetime lies between the two (datetimes or texts), or is one of them."""
    return in_utc(time_of(start)) <= in_utc(as_moment(moment)) <= in_utc(time_of(end))


@method(*(datetime, date), name="is_before", examples=[("$now.is_before('2026-02-01')", True)])
def is_before(budget: Budget, moment: date, other: object) -> bool:
    """Whether the datetime is earlier than the other (a datetime or text)."""
    return in_utc(as_moment(moment)) < in_utc(time_of(other))


@method(*(datetime, date), name="is_after", examples=[("$now.is_after('2026-02-01')", False)])
def is_after(budget: Budget, moment: date, other: object) -> bool:
    """Whether the datetime is later than the other (a datetime or text)."""
    return in_utc(as_moment(moment)) > in_utc(time_of(other))


@method(
    *(datetime, date),
    name="is_same",
    examples=[
        ("$now.is_same('2026-01-02T00:00Z', 'month')", True),
        ("$now.is_same('2026-01-02T00:00Z', 'day')", False),
    ],
)
def is_same(budget: Budget, moment: date, other: object, unit: str = "day") -> bool:
    """Whether both lie in the same year, month, week, day …, by the clocks of this datetime's zone."""
    here = as_moment(moment)
    there = time_of(other)
    if here.tzinfo is not None:
        there = in_utc(there).astimezone(here.tzinfo)
    return start_of_unit(here, unit_of(unit)) == start_of_unit(there, unit_of(unit))


@method(
    *(datetime, date), name="set", examples=[("$now.set(day=1, hour=9, minute=0).iso()", "2026-01-01T09:00:09+00:00")]
)
def set_method(budget: Budget, moment: date, **parts: int) -> datetime:
    """The datetime with some of year, month, day, hour, minute, second, microsecond replaced."""
    for name, value in parts.items():
        whole(value, one_of(name, PARTS, "part"))
    return as_moment(moment).replace(**parts)  # type: ignore[arg-type]  # whole numbers, none of them a zone


@function(
    "parse_datetime",
    examples=[
        ("parse_datetime('2026-01-31T13:05:09Z') == $now", True),
        ("parse_datetime('Jan 31, 2026 1:05 PM').iso()", "2026-01-31T13:05:00+00:00"),
        ("parse_datetime('31.01.2026 13:05', zone='Europe/Berlin').iso()", "2026-01-31T13:05:00+01:00"),
        ("parse_datetime('31/01/26', 'dd/MM/yy').date()", "2026-01-31"),
    ],
)
def parse_datetime(
    budget: Budget, text: object, pattern: str | None = None, zone: str = "UTC", day_first: bool = False
) -> datetime:
    """The datetime a text holds, in a common format or by a pattern; `zone` is for a text without one."""
    if isinstance(text, date):
        return as_moment(text)
    if type(text) is not str or len(text) > READ_CHARS_MAX:
        raise Fault(f"a datetime is read from text of at most {READ_CHARS_MAX} characters, and this is {word_of(text)}")
    found = read_time(text, day_first=bool(day_first)) if pattern is None else read_by_pattern(text, pattern)
    if found is None:
        raise Fault(
            f"{text[:40]!r} is not a datetime in a common format",
            'Give its pattern: parse_datetime(text, "dd.MM.yyyy").',
        )
    return found if found.tzinfo else found.replace(tzinfo=zone_of(zone) if zone != "UTC" else UTC)


@method(
    str,
    name="to_datetime",
    examples=[("'31 January 2026'.to_datetime().iso()", "2026-01-31T00:00:00+00:00")],
)
def to_datetime(
    budget: Budget, text: str, pattern: str | None = None, zone: str = "UTC", day_first: bool = False
) -> datetime:
    """The datetime the text holds, as parse_datetime() reads it."""
    return parse_datetime.call(budget, text, pattern, zone, day_first)  # type: ignore[return-value]  # it gives a datetime


@function(
    "make_datetime",
    examples=[("make_datetime(2026, 1, 31, 9, 30, zone='Europe/Berlin').iso()", "2026-01-31T09:30:00+01:00")],
)
def make_datetime(
    budget: Budget,
    year: int,
    month: int = 1,
    day: int = 1,
    hour: int = 0,
    minute: int = 0,
    second: int = 0,
    *,
    zone: str = "UTC",
) -> datetime:
    """The datetime of these parts."""
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC if zone == "UTC" else zone_of(zone))


def time_of(value: object) -> datetime:
    """A datetime given as one, or as text in a common format; without a zone it counts as UTC."""
    if isinstance(value, date):
        return as_moment(value)
    found = read_time(value) if type(value) is str else None
    if found is None:
        raise Fault(
            f"{word_of(value)} is not a datetime" if type(value) is not str else f"{value[:40]!r} is not a datetime"
        )
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _moved(
    moment: datetime, amount: float | timedelta | None, unit: str | None, units: dict[str, float], sign: int
) -> datetime:
    if isinstance(amount, timedelta) and unit is None:
        moment = later(moment, amount * sign)
    elif isinstance(amount, Mapping):
        raise Fault("amount must be a number, and this is a dict", "Name the units: .plus(days=1, hours=2).")
    elif amount is not None:
        moment = shifted(moment, number(amount, "amount") * sign, unit_of(unit))
    elif unit is not None:
        raise Fault("an amount and a unit belong together", "Write .plus(3, 'days') or .plus(days=3).")
    months = 0.0
    steps = amounts(units) if units else ()
    for count, name in steps:
        if name in ("year", "quarter", "month"):
            months = by_whole(months, count, name)
    moment = by_months(moment, sign * int(months)) if months else moment
    for count, name in steps:
        if name not in ("year", "quarter", "month"):
            moment = shifted(moment, sign * count, name)
    return moment


def by_whole(months: float, count: float, unit: str) -> float:
    """The months so far and so many units more, which must be whole."""
    if type(count) is not int:
        raise Fault(f"{unit}s must be whole")
    return months + count * {"year": 12, "quarter": 3, "month": 1}[unit]

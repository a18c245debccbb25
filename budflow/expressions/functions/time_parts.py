"""Datetimes: their parts, and seconds since 1970."""

from datetime import date, datetime, timedelta

from budflow.expressions.arguments import moment as as_moment, number, one_of
from budflow.expressions.budget import Budget, Fault
from budflow.expressions.declare import function, method
from budflow.expressions.time_arithmetic import in_utc, unit_of
from budflow.expressions.time_formats import EPOCH

EXCEL_BEGINS = timedelta(days=-25_569)  # Excel counts days from 1899-12-30.
STAMP_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "excel": 86_400.0}


@method(*(datetime, date), name="date", examples=[("$now.date()", "2026-01-31")])
def date_method(budget: Budget, moment: date) -> str:
    """The day alone, as `2026-01-31`."""
    return as_moment(moment).date().isoformat()


@method(datetime, name="time", examples=[("$now.time()", "13:05:09")])
def time_method(budget: Budget, moment: datetime) -> str:
    """The time of day alone, as `13:05:00`."""
    return moment.time().replace(microsecond=0).isoformat()


@method(*(datetime, date), name="year", examples=[("$now.year()", 2026)])
def year(budget: Budget, moment: date) -> int:
    """The year."""
    return moment.year


@method(*(datetime, date), name="quarter", examples=[("$now.quarter()", 1)])
def quarter(budget: Budget, moment: date) -> int:
    """The quarter of the year, from 1."""
    return (moment.month + 2) // 3


@method(*(datetime, date), name="month", examples=[("$now.month()", 1)])
def month(budget: Budget, moment: date) -> int:
    """The month, from 1."""
    return moment.month


@method(*(datetime, date), name="day", examples=[("$now.day()", 31)])
def day(budget: Budget, moment: date) -> int:
    """The day of the month, from 1."""
    return moment.day


@method(datetime, name="hour", examples=[("$now.hour()", 13)])
def hour(budget: Budget, moment: datetime) -> int:
    """The hour, 0 to 23."""
    return moment.hour


@method(datetime, name="minute", examples=[("$now.minute()", 5)])
def minute(budget: Budget, moment: datetime) -> int:
    """The minute, 0 to 59."""
    return moment.minute


@method(datetime, name="second", examples=[("$now.second()", 9)])
def second(budget: Budget, moment: datetime) -> int:
    """The second, 0 to 59."""
    return moment.second


@method(datetime, name="millisecond", examples=[("$now.millisecond()", 0)])
def millisecond(budget: Budget, moment: datetime) -> int:
    """The millisecond, 0 to 999."""
    return moment.microsecond // 1000


@method(*(datetime, date), name="weekday", examples=[("$now.weekday()", 6)])
def weekday(budget: Budget, moment: date) -> int:
    """The day of the week by ISO 8601: 1 is Monday, 7 is Sunday."""
    return moment.isoweekday()


@method(*(datetime, date), name="week", examples=[("$now.week()", 5)])
def week(budget: Budget, moment: date) -> int:
    """The week of the year by ISO 8601."""
    return moment.isocalendar().week


@method(*(datetime, date), name="iso_week", examples=[("parse_datetime('2027-01-01').iso_week()", "2026-W53")])
def iso_week(budget: Budget, moment: date) -> str:
    """The year and week by ISO 8601, whose year can differ around New Year."""
    found = moment.isocalendar()
    return f"{found.year:04}-W{found.week:02}"


@method(*(datetime, date), name="day_of_year", examples=[("$now.plus(days=1).day_of_year()", 32)])
def day_of_year(budget: Budget, moment: date) -> int:
    """The day of the year, from 1."""
    return moment.timetuple().tm_yday


@method(*(datetime, date), name="day_name", examples=[("$now.day_name()", "Saturday")])
def day_name(budget: Budget, moment: date) -> str:
    """The English name of the day."""
    return moment.strftime("%A")


@method(*(datetime, date), name="month_name", examples=[("$now.month_name()", "January")])
def month_name(budget: Budget, moment: date) -> str:
    """The English name of the month."""
    return moment.strftime("%B")


@method(*(datetime, date), name="days_in_month", examples=[("make_datetime(2028, 2).days_in_month()", 29)])
def days_in_month(budget: Budget, moment: date) -> int:
    """How many days the month has."""
    following = date(moment.year + moment.month // 12, moment.month % 12 + 1, 1) if moment.year < 9999 else None
    return 31 if following is None and moment.month == 12 else ((following or date.max) - timedelta(days=1)).day


@method(*(datetime, date), name="is_leap_year", examples=[("make_datetime(2028).is_leap_year()", True)])
def is_leap_year(budget: Budget, moment: date) -> bool:
    """Whether the year has a 29th of February."""
    return moment.year % 4 == 0 and (moment.year % 100 != 0 or moment.year % 400 == 0)


@method(*(datetime, date), name="extract", examples=[("$now.extract('week'), $now.extract('hour')", [5, 13])])
def extract(budget: Budget, moment: date, unit: str = "week") -> int:
    """A part by its name: year, quarter, month, week, day, hour, minute, second, millisecond."""
    at = as_moment(moment)
    name = unit_of(unit)
    if name == "week":
        return at.isocalendar().week
    if name == "quarter":
        return (at.month + 2) // 3
    if name == "millisecond":
        return at.microsecond // 1000
    return int(getattr(at, name))


@method(*(datetime, date), name="timestamp", examples=[("$now.timestamp()", 1769864709.0)])
def timestamp(budget: Budget, moment: date) -> float:
    """Seconds since 1970-01-01 UTC; without a zone the datetime counts as UTC."""
    return in_utc(as_moment(moment)).timestamp()


@method(*(datetime, date), name="epoch_seconds", examples=[("$now.epoch_seconds()", 1769864709)])
def epoch_seconds(budget: Budget, moment: date) -> int:
    """Whole seconds since 1970-01-01 UTC."""
    return (in_utc(as_moment(moment)) - EPOCH) // timedelta(seconds=1)


@method(*(datetime, date), name="epoch_milliseconds", examples=[("$now.epoch_milliseconds()", 1769864709000)])
def epoch_milliseconds(budget: Budget, moment: date) -> int:
    """Whole milliseconds since 1970-01-01 UTC, as JavaScript counts."""
    return (in_utc(as_moment(moment)) - EPOCH) // timedelta(milliseconds=1)


@function("from_timestamp", examples=[("from_timestamp(0).iso()", "1970-01-01T00:00:00+00:00")])
def from_timestamp(budget: Budget, seconds: float) -> datetime:
    """The datetime (UTC) so many seconds after 1970-01-01 UTC."""
    return EPOCH + timedelta(seconds=number(seconds, "seconds"))


@method(
    *(int, float),
    name="to_datetime",
    examples=[
        ("(1769864709000).to_datetime().iso()", "2026-01-31T13:05:09+00:00"),
        ("(1769864709).to_datetime('s').iso()", "2026-01-31T13:05:09+00:00"),
        ("(46053).to_datetime('excel').date()", "2026-01-31"),
    ],
)
def to_datetime(budget: Budget, stamp: float, unit: str = "ms") -> datetime:
    """The datetime (UTC) of a number of ms, s or us since 1970, or of days as Excel counts them."""
    kind = one_of(unit, tuple(STAMP_UNITS), "unit")
    if kind == "ms":
        return EPOCH + timedelta(milliseconds=number(stamp))
    if kind == "us":
        return EPOCH + timedelta(microseconds=number(stamp))
    begins = EXCEL_BEGINS if kind == "excel" else timedelta()
    found = EPOCH + begins + timedelta(seconds=number(stamp) * STAMP_UNITS[kind])
    if kind == "excel" and stamp < 0:
        raise Fault("Excel counts no days before 1900")
    return found

"""Functions on datetimes and durations."""

import calendar
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from budflow.expressions.budget import Budget, Fault
from budflow.expressions.declare import function, method
from budflow.expressions.formats import format_time, parse_time

TEXT_CHARS_MAX = 100  # Of a text that is read as a datetime.
ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+\-]{0,31}(/[A-Za-z0-9_+\-]{1,32}){0,2}")
UNITS = ("year", "month", "week", "day", "hour", "minute", "second")
MONTHS_MAX = 12 * 10_000


@method(datetime, name="iso")
def iso(budget: Budget, moment: datetime) -> str:
    """The datetime as ISO 8601."""
    return moment.isoformat()


@method(datetime, name="format")
def format_method(budget: Budget, moment: datetime, pattern: str) -> str:
    """The datetime by strftime directives, such as `%Y-%m-%d %H:%M`."""
    return format_time(moment, pattern)


@method(datetime, name="plus")
def plus(
    budget: Budget,
    moment: datetime,
    *,
    years: int = 0,
    months: int = 0,
    weeks: float = 0,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
) -> datetime:
    """The datetime so much later; a month's last day stays within the month."""
    return _shift(moment, years * 12 + months) + timedelta(
        weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds
    )


@method(datetime, name="minus")
def minus(
    budget: Budget,
    moment: datetime,
    *,
    years: int = 0,
    months: int = 0,
    weeks: float = 0,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
) -> datetime:
    """The datetime so much earlier; a month's last day stays within the month."""
    return _shift(moment, -(years * 12 + months)) - timedelta(
        weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds
    )


@method(datetime, name="start_of")
def start_of(budget: Budget, moment: datetime, unit: str) -> datetime:
    """The start of the year, month, week (Monday), day, hour, minute or second."""
    return _start_of(moment, unit)


@method(datetime, name="end_of")
def end_of(budget: Budget, moment: datetime, unit: str) -> datetime:
    """The last microsecond of the year, month, week (to Sunday), day, hour, minute or second."""
    start = _start_of(moment, unit)
    if unit in ("year", "month"):
        following = _shift(start, 12 if unit == "year" else 1)
    else:
        following = start + timedelta(**{f"{unit}s": 1})
    return following - timedelta(microseconds=1)


@method(datetime, name="to_zone")
def to_zone(budget: Budget, moment: datetime, zone: str) -> datetime:
    """The same moment on the clocks of a time zone, such as `Europe/Berlin`; without a zone it counts as UTC."""
    if type(zone) is not str or not ZONE.fullmatch(zone):
        raise Fault("this is not a time zone", "Zones look like Europe/Berlin or UTC.")
    try:
        found = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Fault(f"there is no time zone {zone!r}", "Zones look like Europe/Berlin or UTC.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(found)


@method(datetime, name="timestamp")
def timestamp(budget: Budget, moment: datetime) -> float:
    """Seconds since 1970-01-01 UTC; without a zone the datetime counts as UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@method(datetime, name="date")
def date_method(budget: Budget, moment: datetime) -> str:
    """The day alone, as `2026-01-31`."""
    return moment.date().isoformat()


@method(datetime, name="time")
def time_method(budget: Budget, moment: datetime) -> str:
    """The time of day alone, as `13:05:00`."""
    return moment.time().replace(microsecond=0).isoformat()


@method(datetime, name="year")
def year(budget: Budget, moment: datetime) -> int:
    """The year."""
    return moment.year


@method(datetime, name="month")
def month(budget: Budget, moment: datetime) -> int:
    """The month, from 1."""
    return moment.month


@method(datetime, name="day")
def day(budget: Budget, moment: datetime) -> int:
    """The day of the month, from 1."""
    return moment.day


@method(datetime, name="hour")
def hour(budget: Budget, moment: datetime) -> int:
    """The hour, 0 to 23."""
    return moment.hour


@method(datetime, name="minute")
def minute(budget: Budget, moment: datetime) -> int:
    """The minute, 0 to 59."""
    return moment.minute


@method(datetime, name="second")
def second(budget: Budget, moment: datetime) -> int:
    """The second, 0 to 59."""
    return moment.second


@method(datetime, name="weekday")
def weekday(budget: Budget, moment: datetime) -> int:
    """The day of the week by ISO 8601: 1 is Monday, 7 is Sunday."""
    return moment.isoweekday()


@method(datetime, name="week")
def week(budget: Budget, moment: datetime) -> int:
    """The week of the year by ISO 8601."""
    return moment.isocalendar().week


@method(timedelta, name="total_seconds")
def total_seconds(budget: Budget, duration: timedelta) -> float:
    """The duration in seconds."""
    return duration.total_seconds()


@method(timedelta, name="total_hours")
def total_hours(budget: Budget, duration: timedelta) -> float:
    """The duration in hours."""
    return duration / timedelta(hours=1)


@method(timedelta, name="total_days")
def total_days(budget: Budget, duration: timedelta) -> float:
    """The duration in days."""
    return duration / timedelta(days=1)


@function("duration")
def duration_function(
    budget: Budget,
    *,
    weeks: float = 0,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
) -> timedelta:
    """A length of time, to add to a datetime or compare with."""
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)


@function("parse_datetime")
def parse_datetime(budget: Budget, text: str, pattern: str | None = None) -> datetime:
    """The datetime a text holds, by ISO 8601 or by strptime directives; without a zone it counts as UTC."""
    if type(text) is not str or len(text) > TEXT_CHARS_MAX:
        raise Fault(f"a datetime is read from text of at most {TEXT_CHARS_MAX} characters")
    if pattern is None:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise Fault(
                f"{text[:40]!r} is not an ISO 8601 datetime", 'Give its pattern: parse_datetime(text, "%d.%m.%Y").'
            ) from None
    else:
        moment = parse_time(text, pattern)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@function("from_timestamp")
def from_timestamp(budget: Budget, seconds: float) -> datetime:
    """The datetime (UTC) so many seconds after 1970-01-01 UTC."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def _shift(moment: datetime, months: int) -> datetime:
    if not months:
        return moment
    if type(months) is not int or abs(months) > MONTHS_MAX:
        raise Fault("years and months must be whole numbers, and not that many")
    years, index = divmod(moment.month - 1 + months, 12)
    target = moment.year + years
    if not 1 <= target <= 9999:
        raise Fault("the datetime would leave the years 1 to 9999")
    return moment.replace(year=target, month=index + 1, day=min(moment.day, calendar.monthrange(target, index + 1)[1]))


def _start_of(moment: datetime, unit: str) -> datetime:
    if unit not in UNITS:
        raise Fault(f"there is no unit {str(unit)[:20]!r}", f"Units: {', '.join(UNITS)}.")
    if unit == "week":
        moment -= timedelta(days=moment.weekday())
        unit = "day"
    return moment.replace(
        month=1 if unit == "year" else moment.month,
        day=1 if unit in UNITS[:2] else moment.day,
        hour=0 if unit in UNITS[:4] else moment.hour,
        minute=0 if unit in UNITS[:5] else moment.minute,
        second=0 if unit in UNITS[:6] else moment.second,
        microsecond=0,
    )

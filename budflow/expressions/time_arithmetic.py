"""Moving datetimes by units and measuring between them: days and more by the calendar, hours and less by the clock."""

import calendar
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from budflow.expressions.arguments import number, one_of
from budflow.expressions.budget import Fault

MONTHS_MAX = 12 * 10_000
ZONES_CACHED_MAX = 256
ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+\-]{0,31}(/[A-Za-z0-9_+\-]{1,32}){0,2}")
UNITS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")
MONTHS_IN: Mapping[str, int] = MappingProxyType({"year": 12, "quarter": 3, "month": 1})
LENGTHS: Mapping[str, timedelta] = MappingProxyType(
    {
        "week": timedelta(weeks=1),
        "day": timedelta(days=1),
        "hour": timedelta(hours=1),
        "minute": timedelta(minutes=1),
        "second": timedelta(seconds=1),
        "millisecond": timedelta(milliseconds=1),
        "microsecond": timedelta(microseconds=1),
    }
)
KNOWN: Mapping[str, str] = MappingProxyType(
    {
        **{f"{unit}{ending}": unit for unit in (*MONTHS_IN, *LENGTHS) for ending in ("", "s")},
        "y": "year",
        "w": "week",
        "d": "day",
        "h": "hour",
        "min": "minute",
        "s": "second",
        "ms": "millisecond",
    }
)


def unit_of(word: object) -> str:
    """A unit by its name, singular or plural."""
    return KNOWN[one_of(word, KNOWN, "unit")]


def zone_of(name: object) -> tzinfo:
    """A time zone by its name, such as `Europe/Berlin`."""
    if type(name) is not str or not ZONE.fullmatch(name):
        raise Fault("this is not a time zone", "Zones look like Europe/Berlin or UTC.")
    return _zone(name)


@lru_cache(maxsize=ZONES_CACHED_MAX)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Fault(f"there is no time zone {name!r}", "Zones look like Europe/Berlin or UTC.") from None


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC; without a zone it counts as UTC."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def shifted(moment: datetime, amount: float, unit: str) -> datetime:
    """The datetime so many units later."""
    if unit in MONTHS_IN:
        return by_months(moment, amount * MONTHS_IN[unit])
    length = LENGTHS[unit] * amount
    if unit in ("week", "day"):
        return moment + length
    return later(moment, length)


def later(moment: datetime, length: timedelta) -> datetime:
    """The datetime so much later by the clock, also where summer time begins between."""
    if moment.tzinfo is None or moment.tzinfo is UTC:
        return moment + length
    return (moment.astimezone(UTC) + length).astimezone(moment.tzinfo)


def by_months(moment: datetime, months: float) -> datetime:
    """The datetime so many months later; a month's last day stays within the month."""
    if not months:
        return moment
    if type(months) is not int or abs(months) > MONTHS_MAX:
        raise Fault("years and months must be whole numbers, and not that many")
    years, index = divmod(moment.month - 1 + months, 12)
    target = moment.year + years
    if not 1 <= target <= 9999:
        raise Fault("the datetime would leave the years 1 to 9999")
    return moment.replace(year=target, month=index + 1, day=min(moment.day, calendar.monthrange(target, index + 1)[1]))


def start_of(moment: datetime, unit: str) -> datetime:
    """The start of the year, quarter, month, week (Monday), day, hour, minute or second the datetime is in."""
    if unit not in UNITS:
        raise Fault(f"nothing starts or ends with a {unit}", f"Units: {', '.join(UNITS)}.")
    if unit == "week":
        moment -= timedelta(days=moment.weekday())
        unit = "day"
    rank = UNITS.index(unit)
    month = 1 if unit == "year" else (moment.month - 1) // 3 * 3 + 1 if unit == "quarter" else moment.month
    return moment.replace(
        month=month,
        day=1 if rank <= 2 else moment.day,
        hour=0 if rank <= 4 else moment.hour,
        minute=0 if rank <= 5 else moment.minute,
        second=0 if rank <= 6 else moment.second,
        microsecond=0,
    )


def end_of(moment: datetime, unit: str) -> datetime:
    """The last microsecond of the unit the datetime is in."""
    return shifted(start_of(moment, unit), 1, unit) - timedelta(microseconds=1)


def between(earlier: datetime, moment: datetime, unit: str) -> float:
    """How many units lie between the two, with a fraction; negative when the second is earlier."""
    if unit in MONTHS_IN:
        return _months_between(earlier, moment) / MONTHS_IN[unit]
    if unit in ("week", "day") and earlier.tzinfo is not None and earlier.tzinfo is moment.tzinfo:
        return (moment - earlier) / LENGTHS[unit]  # By the calendar: a day in which the clock changes is one too.
    return (in_utc(moment) - in_utc(earlier)) / LENGTHS[unit]


def amounts(given: Mapping[str, object]) -> list[tuple[float, str]]:
    """The amounts by unit that are not zero, the longest unit first."""
    known = {unit_of(word): number(amount, word) for word, amount in given.items()}
    return [(known[unit], unit) for unit in (*MONTHS_IN, *LENGTHS) if known.get(unit)]


def _months_between(earlier: datetime, moment: datetime) -> float:
    if moment.tzinfo is not earlier.tzinfo:
        moment, earlier = in_utc(moment), in_utc(earlier)
    if moment < earlier:
        return -_months_between(moment, earlier)
    months = (moment.year - earlier.year) * 12 + moment.month - earlier.month
    if months and by_months(earlier, months) > moment:
        months -= 1
    begin = by_months(earlier, months)
    last = (begin.year, begin.month) == (9999, 12)
    return months + (moment - begin) / (timedelta(days=31) if last else by_months(earlier, months + 1) - begin)

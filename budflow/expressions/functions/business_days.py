"""Datetimes: Monday to Friday, without the holidays that are given."""

from datetime import date, datetime, timedelta

from budflow.expressions.arguments import listed, moment as as_moment, whole
from budflow.expressions.budget import Budget
from budflow.expressions.declare import method
from budflow.expressions.functions.times import time_of

DAYS_MAX = 100_000
HOLIDAYS_MAX = 10_000
HOLIDAYS_A_STEP = 8


@method(*(datetime, date), name="is_weekend", examples=[("$now.is_weekend()", True)])
def is_weekend(budget: Budget, moment: date) -> bool:
    """Whether the day is a Saturday or a Sunday."""
    return moment.isoweekday() > 5


@method(
    *(datetime, date),
    name="is_business_day",
    examples=[
        ("$now.plus(days=2).is_business_day(), $now.plus(days=2).is_business_day(['2026-02-02'])", [True, False])
    ],
)
def is_business_day(budget: Budget, moment: date, holidays: object = ()) -> bool:
    """Whether the day is one of Monday to Friday and none of the holidays (datetimes or texts)."""
    return _works(as_moment(moment).date(), _days(budget, holidays))


@method(
    *(datetime, date),
    name="plus_business_days",
    examples=[
        ("$now.plus_business_days(1).date()", "2026-02-02"),
        ("$now.plus_business_days(-5).date()", "2026-01-26"),
        ("$now.plus_business_days(1, holidays=['2026-02-02']).date()", "2026-02-03"),
    ],
)
def plus_business_days(budget: Budget, moment: date, days: int, holidays: object = ()) -> datetime:
    """The datetime so many business days later, or earlier when negative."""
    at = as_moment(moment)
    left = whole(days, "days", low=-DAYS_MAX, high=DAYS_MAX)
    free = _days(budget, holidays)
    step = timedelta(days=1 if left > 0 else -1)
    weeks = 0 if free else max(abs(left) // 5 - 1, 0)  # Whole weeks need no counting.
    at += 7 * weeks * step
    left = abs(left) - 5 * weeks
    while left:
        budget.spend(1)
        at += step
        left -= _works(at.date(), free)
    return at


@method(
    *(datetime, date),
    name="business_days_until",
    examples=[
        ("$now.business_days_until('2026-02-06')", 4),
        ("$now.business_days_until('2026-02-06', ['2026-02-03'])", 3),
    ],
)
def business_days_until(budget: Budget, moment: date, end: object, holidays: object = ()) -> int:
    """How many business days there are from the day up to, not including, the end; negative when that is earlier."""
    first, last = as_moment(moment).date(), time_of(end).date()
    if last < first:
        return -_count(budget, last, first, _days(budget, holidays))
    return _count(budget, first, last, _days(budget, holidays))


@method(*(datetime, date), name="next_business_day", examples=[("$now.next_business_day().date()", "2026-02-02")])
def next_business_day(budget: Budget, moment: date, holidays: object = ()) -> datetime:
    """The datetime itself on a business day, else at the same time of the next one."""
    at = as_moment(moment)
    free = _days(budget, holidays)
    while not _works(at.date(), free):
        budget.spend(1)
        at += timedelta(days=1)
    return at


def _works(day: date, free: frozenset[date]) -> bool:
    return day.isoweekday() < 6 and day not in free


def _count(budget: Budget, first: date, last: date, free: frozenset[date]) -> int:
    weeks, rest = divmod((last - first).days, 7)
    days = weeks * 5 + sum((first + timedelta(days=at)).isoweekday() < 6 for at in range(rest))
    return days - sum(first <= day < last and day.isoweekday() < 6 for day in free)


def _days(budget: Budget, holidays: object) -> frozenset[date]:
    if holidays == ():
        return frozenset()
    given = listed(budget, holidays, "holidays")
    whole(len(given), "the number of holidays", high=HOLIDAYS_MAX)
    budget.spend(len(given) * HOLIDAYS_A_STEP)
    return frozenset(time_of(value).date() for value in given)

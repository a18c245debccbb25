"""Durations: lengths of time, to add to datetimes, and what time is called in words."""

from datetime import date, datetime, timedelta

from budflow.expressions.arguments import moment as as_moment, now, number, one_of, whole
from budflow.expressions.budget import Budget, Fault
from budflow.expressions.declare import function, method
from budflow.expressions.functions.times import time_of
from budflow.expressions.time_arithmetic import (
    KNOWN,
    LENGTHS,
    amounts,
    between as units_between,
    in_utc,
    shifted,
    unit_of,
)

WORDS = (
    *(("year", timedelta(days=365.2425)), ("month", timedelta(days=30.436875)), ("week", timedelta(weeks=1))),
    *(("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))),
)
JUST_NOW = timedelta(seconds=10)


@function("duration", examples=[("duration(hours=1, minutes=30)", 5400.0), ("$now + duration(days=1) > $now", True)])
def duration_function(budget: Budget, **units: float) -> timedelta:
    """A length of time by units from weeks to milliseconds, to add to a datetime or compare with."""
    total = timedelta()
    for name, amount in units.items():
        total += LENGTHS[KNOWN[one_of(name, LENGTHS_BY_NAME, "unit")]] * number(amount, name)
    return total


@method(timedelta, name="total_seconds", examples=[("duration(minutes=1).total_seconds()", 60.0)])
def total_seconds(budget: Budget, duration: timedelta) -> float:
    """The duration in seconds."""
    return duration.total_seconds()


@method(timedelta, name="total_minutes", examples=[("duration(hours=1.5).total_minutes()", 90.0)])
def total_minutes(budget: Budget, duration: timedelta) -> float:
    """The duration in minutes."""
    return duration / timedelta(minutes=1)


@method(timedelta, name="total_hours", examples=[("duration(minutes=90).total_hours()", 1.5)])
def total_hours(budget: Budget, duration: timedelta) -> float:
    """The duration in hours."""
    return duration / timedelta(hours=1)


@method(timedelta, name="total_days", examples=[("duration(days=1, hours=12).total_days()", 1.5)])
def total_days(budget: Budget, duration: timedelta) -> float:
    """The duration in days."""
    return duration / timedelta(days=1)


@method(timedelta, name="total", examples=[("duration(seconds=1.5).total('milliseconds')", 1500.0)])
def total(budget: Budget, duration: timedelta, unit: str = "seconds") -> float:
    """The duration in a unit from weeks to microseconds."""
    return duration / LENGTHS[KNOWN[one_of(unit, LENGTHS_BY_NAME, "unit")]]


@method(timedelta, name="abs", examples=[("duration(hours=-1).abs().total_hours()", 1.0)])
def abs_method(budget: Budget, duration: timedelta) -> timedelta:
    """The duration without its sign."""
    return abs(duration)


@method(
    timedelta,
    name="humanize",
    examples=[
        ("duration(hours=26, minutes=5).humanize()", "1 day 2 hours"),
        ("duration(seconds=3725).humanize(3)", "1 hour 2 minutes 5 seconds"),
    ],
)
def humanize_duration(budget: Budget, duration: timedelta, parts: int = 2) -> str:
    """The duration in English words, by its largest `parts` units."""
    left, made = abs(duration), []
    wanted = whole(parts, "parts", low=1, high=7)
    for name, length in (*WORDS[2:], ("second", timedelta(seconds=1))):
        count, left = divmod(left, length)
        if count:
            made.append(_counted(count, name))
    shown = " ".join(made[:wanted]) or "0 seconds"
    return f"-{shown}" if duration < timedelta() else shown


@method(
    *(datetime, date),
    name="humanize",
    examples=[
        ("$now.minus(hours=3).humanize()", "3 hours ago"),
        ("$now.plus(days=1).humanize()", "in 1 day"),
        ("parse_datetime('2026-06-01').humanize('2026-01-01')", "in 5 months"),
    ],
)
def humanize(budget: Budget, moment: date, since: object = None) -> str:
    """How far the datetime lies from now (or from `since`), in English words."""
    at = in_utc(as_moment(moment))
    distance = at - in_utc(now(budget) if since is None else time_of(since))
    size = abs(distance)
    if size < JUST_NOW:
        return "just now"
    name, length = next(((name, length) for name, length in WORDS if size >= length), ("second", timedelta(seconds=1)))
    words = _counted(round(size / length), name)
    return f"in {words}" if distance > timedelta() else f"{words} ago"


@method(*(datetime, date), name="diff_to_now", examples=[("$now.minus(days=2).diff_to_now('hours')", -48.0)])
def diff_to_now(budget: Budget, moment: date, unit: str = "days") -> float:
    """How many units the datetime is later than now; negative when it has passed."""
    return units_between(now(budget), as_moment(moment), unit_of(unit))


@method(
    *(datetime, date),
    name="is_in_last",
    examples=[
        ("$now.minus(minutes=5).is_in_last(10, 'minutes')", True),
        ("$now.minus(days=5).is_in_last(3, 'days')", False),
    ],
)
def is_in_last(budget: Budget, moment: date, amount: float, unit: str = "minutes") -> bool:
    """Whether the datetime lies within so many units before now."""
    at = now(budget)
    return in_utc(shifted(at, -number(amount, "amount"), unit_of(unit))) <= in_utc(as_moment(moment)) <= in_utc(at)


@method(
    *(datetime, date),
    name="is_in_next",
    examples=[("$now.plus(hours=5).is_in_next(1, 'days')", True)],
)
def is_in_next(budget: Budget, moment: date, amount: float, unit: str = "minutes") -> bool:
    """Whether the datetime lies within so many units after now."""
    at = now(budget)
    return in_utc(at) <= in_utc(as_moment(moment)) <= in_utc(shifted(at, number(amount, "amount"), unit_of(unit)))


@method(*(datetime, date), name="age", examples=[("parse_datetime('1990-06-15').age()", 35)])
def age(budget: Budget, moment: date, at: object = None) -> int:
    """How many whole years have passed since the datetime, until now (or until `at`)."""
    until = now(budget) if at is None else time_of(at)
    return int(units_between(as_moment(moment), until, "year"))


@function(
    "time_range",
    examples=[
        ("[t.date() for t in time_range('2026-01-30', '2026-02-02')]", ["2026-01-30", "2026-01-31", "2026-02-01"]),
        ("[t.format('HH:mm') for t in time_range('2026-01-01', '2026-01-02', hours=8)]", ["00:00", "08:00", "16:00"]),
    ],
)
def time_range(budget: Budget, start: object, end: object, **step: float) -> list[datetime]:
    """The datetimes from `start` up to, not including, `end`, a step (a day unless given) apart."""
    first, last = time_of(start), in_utc(time_of(end))
    steps = amounts(step) or [(1, "day")]
    made: list[datetime] = []
    at = first
    while in_utc(at) < last:
        budget.spend(2)
        made.append(at)
        if len(made) % 1_000 == 0:
            budget.elements(len(made))
        for amount, unit in steps:
            at = shifted(first, amount * len(made), unit) if len(steps) == 1 else shifted(at, amount, unit)
        if at <= made[-1]:
            raise Fault("this step leads nowhere", "Steps are ahead, and not below a microsecond.")
    return made


def _counted(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


LENGTHS_BY_NAME = {word: unit for word, unit in KNOWN.items() if unit in LENGTHS}

"""Cron expressions: the moments that they name in a time zone, whatever its clocks do.

The fields are read and matched by cronsim, as Debian's cron does. How clock times become moments is decided here: of an
expression that names hours, a time that the clocks skip counts at the first moment after the gap, and a time that
occurs twice counts once, the first time. One for every hour follows the clocks as they go: what they skip is left out,
and what they repeat is repeated.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

TEXT_MAX = 200

_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)
#: How far is looked ahead for a change of the clocks before the expression is asked again.
_PIECE_DAYS = 32
_SEARCH = timedelta(days=50 * 366)
_ANY_DAY = datetime(2000, 1, 1)  # noqa: DTZ001 - a time on a clock, not a moment
_SHORT = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = (
    ("second", "0 to 59"),
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, `L` for the last or `LW` for the last from Monday to Friday"),
    ("month", "1 to 12 or JAN to DEC"),
    ("day of the week", "0 to 7 or SUN to SAT, with 0 and 7 both Sunday, `5#2` the second Friday, `5L` the last"),
)
_HOURS_A_DAY = 24


class CronInvalid(ValueError):
    """The text is no cron expression, or never comes to be; the message says which part and what would do."""


@dataclass(frozen=True, slots=True)
class Cron:
    """An expression; `fields` are six, seconds first. Use `Cron.parse`."""

    fields: str
    every_hour: bool

    @classmethod
    def parse(cls, text: str) -> "Cron":
        """Read five fields, six with seconds first, or a short form such as `@daily`. Raises CronInvalid."""
        return _parse(text)

    def after(self, moment: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """The moments after `moment`, in UTC, each later than the one before, to the end of the calendar."""
        try:
            yield from self._as_clocks_go(moment, zone) if self.every_hour else self._by_the_clock(moment, zone)
        except OverflowError:  # The calendar ends.
            return

    def _by_the_clock(self, moment: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        last, times = moment, CronSim(self.fields, _clock(moment, zone))
        while (time := next(times, None)) is not None:
            found, is_skipped = _moment_of(time, zone)
            if found > last:  # Else it is in an hour that is repeated.
                yield found
                last = found
            if is_skipped:  # Whatever else the gap has skipped is this very moment.
                times = CronSim(self.fields, _clock(found, zone) - _SECOND)

    def _as_clocks_go(self, moment: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """Piece by piece between changes of the clocks. A match at the beginning of a piece belongs to it, apart from
        `moment` itself.
        """
        last = at = moment.replace(microsecond=0)
        inclusive = timedelta()
        while at - last < _SEARCH:
            offset, change = _offset(at, zone), _change_after(at, zone)
            end = change or at + _PIECE_DAYS * _DAY
            times = CronSim(self.fields, _clock(at, zone) - inclusive)
            found = _next_match(times, offset)
            while found is not None and found < end:
                yield found
                last = found
                found = _next_match(times, offset)
            if found is None:
                return
            # Nothing for weeks: go close to the next time, but not so close that a repeated hour is passed by.
            is_far = change is None and last < at and found - end > 2 * _DAY
            at, inclusive = (found - 2 * _DAY if is_far else end), _SECOND


@lru_cache(maxsize=1024)
def _parse(text: str) -> Cron:
    if len(text) > TEXT_MAX:
        raise CronInvalid(f"It has more than {TEXT_MAX} characters.")
    fields = (_SHORT.get(text.strip().lower(), text)).split()
    if len(fields) == 1 and fields[0].startswith("@"):
        raise CronInvalid(f"There is no `{fields[0]}`; there are {', '.join(f'`{name}`' for name in _SHORT)}.")
    if len(fields) == len(_FIELDS) - 1:
        fields.insert(0, "0")
    if len(fields) != len(_FIELDS):
        raise CronInvalid(
            f"It has {len(fields)} fields; it needs 5 (minute, hour, day of the month, month, day of the week), or 6 "
            "with the second first."
        )
    for place, ((name, range_), given) in enumerate(zip(_FIELDS, fields, strict=True)):
        alone = ["*"] * len(_FIELDS)
        alone[place] = given
        try:
            CronSim(" ".join(alone), _ANY_DAY)
        except (CronSimError, ValueError, AssertionError, IndexError):
            raise CronInvalid(
                f"`{given}` cannot be the {name}: that is {range_}; `*` is any, and there are lists (`1,2`), ranges "
                "(`1-5`) and steps (`*/5`)."
            ) from None
    joined = " ".join(fields)
    try:
        times = CronSim(joined, _ANY_DAY)
        found = next(times, None)
    except CronSimError:
        found = None
    if found is None:
        raise CronInvalid(f"`{text.strip()}` never comes: no month has a day that fits.")
    return Cron(joined, every_hour=len(times.hours) == _HOURS_A_DAY)


def _clock(moment: datetime, zone: ZoneInfo) -> datetime:
    """What a clock in the zone shows then."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _next_match(times: CronSim, offset: timedelta) -> datetime | None:
    time = next(times, None)
    return None if time is None else (time - offset).replace(tzinfo=UTC)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _moment_of(time: datetime, zone: ZoneInfo) -> tuple[datetime, bool]:
    """When clocks show `time` for the first time; where they skip it, the first moment after, and True."""
    # PEP 495: in a gap, fold=0 takes the offset from before it, which gives a moment after it; fold=1 the reverse.
    moment = time.replace(tzinfo=zone).astimezone(UTC)
    if _clock(moment, zone) == time:
        return moment, False
    return _change_between(time.replace(tzinfo=zone, fold=1).astimezone(UTC), moment, zone), True


def _change_after(at: datetime, zone: ZoneInfo) -> datetime | None:
    """The first moment after `at` with another offset, where there is one within _PIECE_DAYS."""
    offset, day = _offset(at, zone), at
    for _ in range(_PIECE_DAYS):
        following = day + _DAY
        if _offset(following, zone) != offset:
            return _change_between(day.replace(microsecond=0), following, zone)
        day = following
    return None


def _change_between(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    """The first second after `early`, up to `late`, with another offset than at `early`."""
    offset = _offset(early, zone)
    low, high = 0, -(-(late - early) // _SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(early + middle * _SECOND, zone) == offset:
            low = middle
        else:
            high = middle
    return early + high * _SECOND

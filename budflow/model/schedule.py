"""Schedules: from a rule to its slots, the moments at which a workflow is to start, and which of them are due.

Pure: what is stored of a schedule is up to when its slots are settled, and all else follows from that and the time.
"""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import islice
from typing import Any, Literal
from zoneinfo import ZoneInfo

from budflow.model.cron import Cron

Missed = Literal["run_once", "run_all", "skip"]

#: A slot is missed when nobody started it within so long after it was due; until then it is only late, and starts.
LATE = timedelta(seconds=60)
#: How many missed slots `run_all` starts, the newest; those before them are passed over.
RUN_ALL_MAX = 100
#: How many slots are started at one look.
FIRE_MAX = 100
JITTER_SECONDS_MAX = 3_600

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a workflow starts: at the times of `crons` in the time zone, or every `every_seconds`.

    Intervals are counted from `starting_at`, else from 1970-01-01T00:00Z. No slot is before `starting_at` or after
    `until`, both in UTC.
    """

    crons: tuple[str, ...] = ()
    every_seconds: int | None = None
    timezone: str = "UTC"
    starting_at: datetime | None = None
    until: datetime | None = None
    jitter_seconds: float = 0.0
    missed: Missed = "run_once"

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.timezone)

    @property
    def rule(self) -> str:
        """The rule in a few words, such as `0 9 * * *` or `every 1h30m`."""
        if self.every_seconds is None:
            return " or ".join(self.crons)
        text, left = "every ", self.every_seconds
        for unit, seconds in _UNITS.items():
            count, left = divmod(left, seconds)
            text += f"{count}{unit}" if count else ""
        return text

    def has_slots_of(self, other: "Schedule") -> bool:
        """Whether both have the same slots, but for when they end: then what is settled of one is so of the other."""
        return (self.crons, self.every_seconds, self.timezone, self.starting_at) == (
            other.crons,
            other.every_seconds,
            other.timezone,
            other.starting_at,
        )

    def to_json(self) -> dict[str, Any]:
        """The shape in which it is stored."""
        return {
            "crons": list(self.crons),
            "every_seconds": self.every_seconds,
            "timezone": self.timezone,
            "starting_at": None if self.starting_at is None else self.starting_at.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "jitter_seconds": self.jitter_seconds,
            "missed": self.missed,
        }

    @classmethod
    def from_json(cls, shape: Mapping[str, Any]) -> "Schedule":
        """The reverse of `to_json`."""
        starting_at, until = shape["starting_at"], shape["until"]
        return cls(
            crons=tuple(shape["crons"]),
            every_seconds=shape["every_seconds"],
            timezone=shape["timezone"],
            starting_at=None if starting_at is None else datetime.fromisoformat(starting_at),
            until=None if until is None else datetime.fromisoformat(until),
            jitter_seconds=shape["jitter_seconds"],
            missed=shape["missed"],
        )


@dataclass(frozen=True, slots=True)
class Look:
    """What is to be done about a schedule: slots up to `passed_until` count as settled, those of `fire` are started in
    their order. `due_at` is when to look again; None: there is nothing more to come.
    """

    passed_until: datetime
    fire: tuple[datetime, ...]
    due_at: datetime | None


def slots_after(schedule: Schedule, moment: datetime) -> Iterator[datetime]:
    """The slots after `moment`, in UTC, each later than the one before."""
    if schedule.starting_at is not None:
        moment = max(moment, schedule.starting_at - _MICROSECOND)
    for slot in _every(schedule, moment) if schedule.every_seconds is not None else _by_crons(schedule, moment):
        if schedule.until is not None and slot > schedule.until:
            return
        yield slot


def last_slot(schedule: Schedule, after: datetime, up_to: datetime) -> datetime | None:
    """The latest slot in (after, up_to], found without going through those before it."""
    begin = _begin_of_newest(schedule, after, up_to, 1)
    return None if begin is None else next(slots_after(schedule, begin))


def due_at(schedule: Schedule, origin: str, slot: datetime) -> datetime:
    """When to start a slot: itself plus its jitter, which follows from it and from `origin`, whose schedule it is."""
    if not schedule.jitter_seconds:
        return slot
    digest = blake2b(f"{origin}/{slot.astimezone(UTC).isoformat()}".encode(), digest_size=8).digest()
    return slot + timedelta(seconds=schedule.jitter_seconds) * (int.from_bytes(digest) / 2**64)


def look_at(schedule: Schedule, origin: str, settled_until: datetime, now: datetime) -> Look:
    """What is due at `now` of what is not settled.

    The same for everybody who looks at the same time. Slots start in their order: one whose jitter is larger than what
    is between it and the next one holds that one up.
    """
    oldest = next(slots_after(schedule, settled_until), None)
    if oldest is None:
        return Look(settled_until, (), None)
    passed = settled_until
    if due_at(schedule, origin, oldest) < now - LATE:
        passed = _pass_over(schedule, origin, settled_until, now)
    fire: list[datetime] = []
    for slot in slots_after(schedule, passed):
        due = due_at(schedule, origin, slot)
        if due > now or len(fire) == FIRE_MAX:
            return Look(passed, tuple(fire), due)
        fire.append(slot)
    return Look(passed, tuple(fire), None)


def _pass_over(schedule: Schedule, origin: str, settled_until: datetime, now: datetime) -> datetime:
    """Up to when the slots are passed over, by the policy for missed ones."""
    if schedule.missed == "run_once":
        newest = _newest_due(schedule, origin, settled_until, now)
        before = None if newest is None else last_slot(schedule, settled_until, newest - _MICROSECOND)
        return before or settled_until
    newest = _newest_due(schedule, origin, settled_until, now - LATE)
    if newest is None:
        return settled_until
    if schedule.missed == "skip":
        return newest
    return _begin_of_newest(schedule, settled_until, newest, RUN_ALL_MAX) or settled_until


def _newest_due(schedule: Schedule, origin: str, after: datetime, at: datetime) -> datetime | None:
    """The last slot that was due by then, of those that start in order."""
    newest = last_slot(schedule, after, at - timedelta(seconds=schedule.jitter_seconds))
    for slot in slots_after(schedule, newest or after):
        if due_at(schedule, origin, slot) > at:
            break
        newest = slot
    return newest


def _begin_of_newest(schedule: Schedule, after: datetime, up_to: datetime, count: int) -> datetime | None:
    """The latest moment, not before `after`, behind which there are `count` slots up to `up_to`; None: there are less.

    By going back in growing steps and then halving, so that centuries of seconds take milliseconds.
    """

    def has(begin: datetime) -> bool:
        found = list(islice(slots_after(schedule, begin), count))
        return len(found) == count and found[-1] <= up_to

    if after >= up_to or not has(after):
        return None
    span, step = (up_to - after) // _MICROSECOND, 1_000_000
    while step < span and not has(up_to - step * _MICROSECOND):
        step *= 2
    enough, short = min(step, span), step // 2 if step > 1_000_000 else 0
    while enough - short > 1:
        middle = (enough + short) // 2
        if has(up_to - middle * _MICROSECOND):
            enough = middle
        else:
            short = middle
    return up_to - enough * _MICROSECOND


def _every(schedule: Schedule, moment: datetime) -> Iterator[datetime]:
    step, anchor = timedelta(seconds=schedule.every_seconds or 1), schedule.starting_at or _EPOCH
    slot = anchor + ((moment - anchor) // step + 1) * step
    try:
        while True:
            yield slot
            slot += step
    except OverflowError:  # The calendar ends.
        return


def _by_crons(schedule: Schedule, moment: datetime) -> Iterator[datetime]:
    zone, last = schedule.zone, moment
    for slot in heapq.merge(*(Cron.parse(text).after(moment, zone) for text in schedule.crons)):
        if slot > last:  # Several may name the same moment.
            yield slot
            last = slot

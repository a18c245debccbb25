"""trigger.schedule: where an execution enters that the time starts."""

import re
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator, model_validator

from budflow.model.cron import TEXT_MAX, Cron
from budflow.model.item import ItemList, Json
from budflow.model.node import Batch, Example, Outputs, Params, Static, node
from budflow.model.schedule import JITTER_SECONDS_MAX, Missed, Schedule
from budflow.model.time_zone import is_time_zone

CRONS_MAX = 20
DAY_SECONDS = 86_400
EVERY_SECONDS_MAX = 10 * 366 * DAY_SECONDS
_SECONDS = {"weeks": 7 * DAY_SECONDS, "days": DAY_SECONDS, "hours": 3_600, "minutes": 60, "seconds": 1}
_PART = re.compile(r"(\d{1,10}) *(weeks?|w|days?|d|hours?|h|minutes?|mins?|min|m|seconds?|secs?|sec|s)")
_WRITTEN = "Write an interval such as 30s, 15m, 1h30m or 2d."
_YEARS = range(1970, 9000)

Amount = Annotated[int, Static]


class Every(Params):
    """An interval, in elapsed time: a day is 24 hours whatever the clocks do."""

    weeks: Amount = Field(default=0, ge=0, description="Weeks of the interval.")
    days: Amount = Field(default=0, ge=0, description="Days of 24 hours.")
    hours: Amount = Field(default=0, ge=0, description="Hours.")
    minutes: Amount = Field(default=0, ge=0, description="Minutes.")
    seconds: Amount = Field(default=0, ge=0, description="Seconds.")

    @property
    def total_seconds(self) -> int:
        """All of it."""
        return sum(getattr(self, unit) * seconds for unit, seconds in _SECONDS.items())


class ScheduleParams(Params):
    """At what times executions start."""

    cron: Annotated[list[str] | None, Static] = Field(
        default=None,
        min_length=1,
        max_length=CRONS_MAX,
        description="Times on the clock, as a cron expression such as `0 9 * * MON-FRI` (minute, hour, day of the "
        "month, month, day of the week; a sixth field in front is the second), or a short form such as `@daily`; or "
        "several of them in a list. Either this or `every`.",
    )
    every: Annotated[Every | None, Static] = Field(
        default=None,
        description='An interval such as "15m", "1h30m" or {"minutes": 15}. Counted from `starting_at`, else from '
        "1970-01-01T00:00Z, so that 15 minutes are at 0, 15, 30 and 45 past. Either this or `cron`.",
    )
    timezone: Annotated[str | None, Static] = Field(
        default=None,
        description="Whose clocks `cron` means: a name of the IANA database, such as Europe/Vienna. Left out, it is "
        "the workflow's `settings.timezone`.",
    )
    jitter_seconds: Annotated[float, Static] = Field(
        default=0,
        ge=0,
        le=JITTER_SECONDS_MAX,
        description="Start up to so many seconds later, another time for each slot, so that not all start at once.",
    )
    missed: Annotated[Missed, Static] = Field(
        default="run_once",
        description="What becomes of slots that are more than a minute late because no server ran: `run_once` starts "
        "the last of them, `run_all` each (the newest 100), `skip` none.",
    )
    starting_at: Annotated[datetime | None, Static] = Field(
        default=None,
        description="No slot before this time, such as 2026-03-29T09:00:00+02:00; without an offset it is a time of "
        "the time zone. With `every` it is the first slot.",
    )
    until: Annotated[datetime | None, Static] = Field(
        default=None, description="No slot after this time, written like `starting_at`."
    )

    @field_validator("cron", mode="before", json_schema_input_type=str | list[str] | None)
    @classmethod
    def _one_or_several(cls, cron: object) -> object:
        return [cron] if isinstance(cron, str) else cron

    @field_validator("cron")
    @classmethod
    def _each_comes(cls, cron: list[str] | None) -> list[str] | None:
        for text in cron or ():
            Cron.parse(text)
        return cron

    @field_validator("every", mode="before", json_schema_input_type=str | Every | None)
    @classmethod
    def _from_text(cls, every: object) -> object:
        if isinstance(every, str):
            return _units(every)
        if isinstance(every, bool | int | float):
            raise ValueError(f"A number alone has no unit. {_WRITTEN}")  # noqa: TRY004 - pydantic takes ValueError
        return every

    @field_validator("every")
    @classmethod
    def _at_least_a_second(cls, every: Every | None) -> Every | None:
        if every is not None and not 0 < every.total_seconds <= EVERY_SECONDS_MAX:
            raise ValueError("An interval has at least 1 second and at most 10 years.")
        return every

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, timezone: str | None) -> str | None:
        if timezone is not None and not is_time_zone(timezone):
            close = get_close_matches(timezone[:TEXT_MAX], sorted(available_timezones()), n=1)
            advice = f"Did you mean `{close[0]}`?" if close else "Write one such as `Europe/Vienna` or `UTC`."
            raise ValueError(f"There is no time zone `{timezone[:100]}`. {advice}")
        return timezone

    @field_validator("starting_at", "until", mode="before")
    @classmethod
    def _is_text(cls, moment: object) -> object:
        if moment is not None and not isinstance(moment, str | datetime):
            raise ValueError("Write a text such as 2026-03-29T09:00:00+02:00.")
        return moment

    @field_validator("starting_at", "until")
    @classmethod
    def _is_near(cls, moment: datetime | None) -> datetime | None:
        if moment is not None and moment.year not in _YEARS:
            raise ValueError("The year must be 1970 or later, and before 9000.")
        return moment

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if (self.cron is None) == (self.every is None):
            raise ValueError(
                "Give either `cron`, such as `0 9 * * *`, or `every`, such as `15m`"
                + ("." if self.cron is None else ", not both.")
            )
        if self.starting_at is not None and self.until is not None:
            zone = ZoneInfo(self.timezone or "UTC")
            if _moment(self.until, zone) < _moment(self.starting_at, zone):
                raise ValueError("`until` is before `starting_at`: it would never run.")
        return self

    def schedule(self, default_timezone: str) -> Schedule:
        """The rule, with the time zone of the workflow where it names none."""
        timezone = self.timezone or default_timezone
        zone = ZoneInfo(timezone)
        return Schedule(
            crons=tuple(text.strip() for text in self.cron or ()),
            every_seconds=None if self.every is None else self.every.total_seconds,
            timezone=timezone,
            starting_at=None if self.starting_at is None else _moment(self.starting_at, zone),
            until=None if self.until is None else _moment(self.until, zone),
            jitter_seconds=self.jitter_seconds,
            missed=self.missed,
        )


def slot_item(schedule: Schedule, slot: datetime, *, backfill: bool = False) -> Json:
    """The `json` of the item that a slot brings in; equal whoever starts it, and whenever."""
    here = slot.astimezone(schedule.zone)
    return {
        "scheduled_at": here.isoformat(),
        "slot": slot.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "timezone": schedule.timezone,
        "date": here.strftime("%Y-%m-%d"),
        "time": here.strftime("%H:%M:%S"),
        "year": here.year,
        "month": here.month,
        "day": here.day,
        "hour": here.hour,
        "minute": here.minute,
        "second": here.second,
        "weekday": _WEEKDAYS[here.weekday()],
        "rule": schedule.rule,
        "backfill": backfill,
    }


def scheduled_by_hand(schedule: Schedule, items: ItemList, now: datetime) -> ItemList:
    """The items of a start by hand: an empty one is the slot of this second, so that the workflow can be tried out."""
    if all(item.json for item in items.items):
        return items
    slot = slot_item(schedule, now.replace(microsecond=0))
    return ItemList([item if item.json else item._replace(json=slot) for item in items.items], items.lineage)


_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SLOT = slot_item(
    Schedule(crons=("0 9 * * MON-FRI",), timezone="Europe/Vienna"), datetime(2026, 3, 30, 7, 0, tzinfo=UTC)
)


@node(
    "trigger.schedule",
    kind="batch",
    params=ScheduleParams,
    trigger=True,
    examples=[
        Example(
            title="Every working day at nine in Vienna",
            params={"cron": "0 9 * * MON-FRI", "timezone": "Europe/Vienna"},
            given=[_SLOT],
            expect={"main": [_SLOT]},
        ),
        Example(
            title="Every quarter of an hour, at any second of its first half minute",
            params={"every": "15m", "jitter_seconds": 30, "missed": "skip"},
            given=[{"slot": "2026-03-30T07:15:00Z"}],
            expect={"main": [{"slot": "2026-03-30T07:15:00Z"}]},
        ),
        Example(
            title="At several times of the day, for a year",
            params={
                "cron": ["0 8 * * *", "30 17 * * *"],
                "starting_at": "2026-01-01T00:00:00",
                "until": "2026-12-31T23:59:59",
                "missed": "run_all",
            },
            given=[{"slot": "2026-03-30T08:00:00Z"}],
            expect={"main": [{"slot": "2026-03-30T08:00:00Z"}]},
        ),
    ],
)
def start_on_schedule(batch: Batch[ScheduleParams]) -> Outputs:
    """Start an execution at times on the clock (cron) or at intervals, once the workflow is published.

    One item leaves by `main`: `scheduled_at` (the slot in the time zone, such as 2026-03-30T09:00:00+02:00), `slot`
    (the same in UTC), `timezone`, `date`, `time`, `year`, `month`, `day`, `hour`, `minute`, `second`, `weekday`
    (Monday …), `rule` and `backfill` (whether somebody asked for a time that has passed). Work on the slot rather than
    on `$now`: an execution that starts late then does the same.

    Each slot starts one execution, however many servers there are and whatever dies. A time that the clocks skip in
    spring runs once, at the first moment after; one that occurs twice in autumn runs once; an expression for every hour
    and an interval go on in elapsed time. `POST /api/v1/schedules/preview` and `budflow schedule preview` tell the next
    slots of a rule. To try the workflow out, start it by hand with `trigger` set to this node's key: an empty item then
    becomes that of the present second.
    """
    outputs = Outputs()
    for index in range(len(batch.items)):
        outputs.pass_on("main", index)
    return outputs


def _units(text: str) -> dict[str, Any]:
    """An interval such as `1h30m` by units."""
    found = [(int(amount), unit[0]) for amount, unit in _PART.findall(text.strip().lower())]
    rest = _PART.sub("", text.strip().lower()).replace(",", "").strip()
    names = {name[0]: name for name in _SECONDS}
    units = {names[unit]: amount for amount, unit in found}
    if rest or not found or len(units) != len(found):
        raise ValueError(f"`{text[:80]}` is no interval. {_WRITTEN}")
    return units


def _moment(written: datetime, zone: ZoneInfo) -> datetime:
    return (written if written.tzinfo is not None else written.replace(tzinfo=zone)).astimezone(UTC)

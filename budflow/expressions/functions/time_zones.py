"""Datetimes: time zones, by their names in the IANA database."""

from datetime import UTC, datetime, timedelta

from budflow.expressions.budget import Budget
from budflow.expressions.declare import method
from budflow.expressions.time_arithmetic import in_utc, zone_of
from budflow.expressions.time_formats import offset_of, zone_name


@method(
    datetime,
    name="to_zone",
    examples=[
        ("$now.to_zone('Europe/Berlin').iso()", "2026-01-31T14:05:09+01:00"),
        ("$now.to_zone('Asia/Tokyo') == $now", True),
    ],
)
def to_zone(budget: Budget, moment: datetime, zone: str) -> datetime:
    """The same moment on the clocks of a time zone, such as `Europe/Berlin`; without a zone it counts as UTC."""
    return in_utc(moment).astimezone(zone_of(zone))


@method(datetime, name="to_utc", examples=[("$now.to_zone('Asia/Tokyo').to_utc().iso()", "2026-01-31T13:05:09+00:00")])
def to_utc(budget: Budget, moment: datetime) -> datetime:
    """The same moment on the clocks of UTC."""
    return in_utc(moment).astimezone(UTC)


@method(
    datetime,
    name="with_zone",
    examples=[("$now.with_zone('America/New_York').iso()", "2026-01-31T13:05:09-05:00")],
)
def with_zone(budget: Budget, moment: datetime, zone: str) -> datetime:
    """The same date and time of day, in another time zone: another moment."""
    return moment.replace(tzinfo=zone_of(zone))


@method(datetime, name="zone", examples=[("$now.to_zone('Europe/Berlin').zone()", "Europe/Berlin")])
def zone_method(budget: Budget, moment: datetime) -> str:
    """The name of the datetime's time zone."""
    return zone_name(moment)


@method(datetime, name="zone_abbreviation", examples=[("$now.to_zone('Europe/Berlin').zone_abbreviation()", "CET")])
def zone_abbreviation(budget: Budget, moment: datetime) -> str:
    """What the zone's clocks are called at the moment, such as `CET`."""
    return moment.tzname() or "UTC"


@method(datetime, name="offset", examples=[("$now.to_zone('Asia/Kolkata').offset()", "+05:30")])
def offset(budget: Budget, moment: datetime) -> str:
    """How far the clocks are ahead of UTC, such as `+01:00`."""
    return offset_of(moment, ":")


@method(datetime, name="offset_minutes", examples=[("$now.to_zone('America/New_York').offset_minutes()", -300)])
def offset_minutes(budget: Budget, moment: datetime) -> int:
    """How many minutes the clocks are ahead of UTC."""
    return (moment.utcoffset() or timedelta()) // timedelta(minutes=1)


@method(
    datetime,
    name="is_dst",
    examples=[
        ("$now.to_zone('Europe/Berlin').is_dst(), $now.plus(months=6).to_zone('Europe/Berlin').is_dst()", [False, True])
    ],
)
def is_dst(budget: Budget, moment: datetime) -> bool:
    """Whether it is summer time in the datetime's zone."""
    return bool(moment.dst())

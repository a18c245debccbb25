"""trigger.schedule."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from budflow.graph.validate import check
from budflow.model.schedule import Schedule
from budflow.nodes.trigger.schedule import ScheduleParams, slot_item
from tests.nodes.harness import LIBRARY, run

DAILY = {"cron": "0 9 * * *"}


def schedule(**params: Any) -> Schedule:
    return ScheduleParams.model_validate(params).schedule("Europe/Vienna")


def test_the_item_of_a_slot_enters_as_it_came() -> None:
    item = slot_item(schedule(**DAILY), datetime(2026, 3, 29, 1, tzinfo=UTC))

    assert run("trigger.schedule", DAILY, [item]).ports == {"main": [item]}


def test_an_item_has_the_slot_on_the_clocks_of_its_zone_and_in_utc() -> None:
    item = slot_item(schedule(**DAILY), datetime(2026, 3, 29, 7, tzinfo=UTC), backfill=True)

    assert item["scheduled_at"] == "2026-03-29T09:00:00+02:00"
    assert item["slot"] == "2026-03-29T07:00:00Z"
    assert (item["weekday"], item["hour"], item["backfill"]) == ("Sunday", 9, True)


def test_the_time_zone_of_the_workflow_holds_where_the_trigger_names_none() -> None:
    assert schedule(**DAILY).timezone == "Europe/Vienna"
    assert schedule(**DAILY, timezone="Asia/Tokyo").timezone == "Asia/Tokyo"


def test_one_expression_or_several() -> None:
    assert schedule(cron="0 9 * * *").crons == ("0 9 * * *",)
    assert schedule(cron=["0 9 * * *", " @daily "]).crons == ("0 9 * * *", "@daily")


@pytest.mark.parametrize(
    ("every", "seconds"),
    [
        ("30s", 30),
        ("15m", 900),
        ("15 minutes", 900),
        ("15 min", 900),
        ("1h30m", 5_400),
        ("1 hour, 30 mins", 5_400),
        ("1H 30M", 5_400),
        ("2d", 172_800),
        ("1w", 604_800),
        ({"minutes": 15}, 900),
        ({"hours": 1, "seconds": 5}, 3_605),
    ],
)
def test_an_interval_is_written_as_a_text_or_by_units(every: Any, seconds: int) -> None:
    assert schedule(every=every).every_seconds == seconds


def test_times_without_an_offset_are_those_of_the_zone() -> None:
    bounded = schedule(every="1d", starting_at="2026-03-29T09:00:00", until="2026-12-31T00:00:00Z")

    assert bounded.starting_at == datetime(2026, 3, 29, 7, tzinfo=UTC)
    assert bounded.until == datetime(2026, 12, 31, tzinfo=UTC)


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({}, "", "Give either `cron`"),
    ({**DAILY, "every": "1h"}, "", "not both"),
    ({"cron": "0 9 * *"}, "/cron", "It has 4 fields"),
    ({"cron": "0 0 30 2 *"}, "/cron", "never comes"),
    ({"cron": ["0 9 * * *", "61 * * * *"]}, "/cron", "`61` cannot be the minute"),
    ({"cron": []}, "/cron", "at least 1 item"),
    ({"cron": ["@daily"] * 21}, "/cron", "at most 20 items"),
    ({"cron": 5}, "/cron", "must be an array"),
    ({"cron": "{{ $json.x }}"}, "/cron", "fixed when the workflow is saved"),
    ({"every": 15}, "/every", "has no unit"),
    ({"every": "15"}, "/every", "is no interval"),
    ({"every": "soon"}, "/every", "is no interval"),
    ({"every": "1.5h"}, "/every", "is no interval"),
    ({"every": "15 months"}, "/every", "is no interval"),
    ({"every": "1h 1h"}, "/every", "is no interval"),
    ({"every": "0s"}, "/every", "at least 1 second"),
    ({"every": {"weeks": 1_000}}, "/every", "at most 10 years"),
    ({"every": {"minutes": -1}}, "/every/minutes", "greater than or equal to 0"),
    ({"every": {"minute": 1}}, "/every/minute", "no field `minute`"),
    ({**DAILY, "timezone": "Europe/Wien"}, "/timezone", "There is no time zone `Europe/Wien`"),
    ({**DAILY, "timezone": "../etc/passwd"}, "/timezone", "There is no time zone"),
    ({**DAILY, "jitter_seconds": -1}, "/jitter_seconds", "greater than or equal to 0"),
    ({**DAILY, "jitter_seconds": 3_601}, "/jitter_seconds", "less than or equal to 3600"),
    ({**DAILY, "missed": "all"}, "/missed", "may not be `all`"),
    ({**DAILY, "starting_at": 5}, "/starting_at", "Write a text"),
    ({**DAILY, "starting_at": "soon"}, "/starting_at", "valid datetime"),
    ({**DAILY, "until": "1800-01-01T00:00:00"}, "/until", "The year must be 1970"),
    ({**DAILY, "starting_at": "2026-02-01T00:00", "until": "2026-01-01T00:00"}, "", "`until` is before `starting_at`"),
    ({**DAILY, "crom": "x"}, "/crom", "no field `crom`"),
]


@pytest.mark.parametrize(("params", "where", "said"), WRONG, ids=[str(params)[:60] for params, _, _ in WRONG])
def test_each_fault_is_one_problem_that_says_where_and_what_to_do(params: Any, where: str, said: str) -> None:
    document = {
        "format": 1,
        "name": "Tick",
        "nodes": {"tick": {"type": "trigger.schedule", "params": params}},
        "edges": [],
    }

    [problem] = check(document, LIBRARY).problems

    assert problem.path == f"/nodes/tick/params{where}"
    assert said in problem.message
    assert problem.code
    assert problem.hint
    assert problem.blocks == "run"


def test_a_zone_that_is_misspelt_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(ValidationError, match="Did you mean `Europe/Vienna`"):
        ScheduleParams.model_validate({**DAILY, "timezone": "Europe/Viena"})

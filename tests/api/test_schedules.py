"""Schedules over HTTP: what is armed, the next slots of a rule, and starting times that have passed."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from budflow.model.identity import utc_now
from budflow.services.fire_schedules import fire_due_schedules
from tests.http_server import HttpServer, workflow
from tests.services.scheduling import HOUR, settle

DAILY = {"cron": "0 9 * * *", "timezone": "Europe/Vienna"}


def daily(**params: Any) -> dict[str, Any]:
    return workflow({"tick": ("trigger.schedule", {**DAILY, **params}), "done": ("data.set", {})}, ("tick", "done"))


async def refused_post(server: HttpServer, path: str, status: int, body: dict[str, Any]) -> dict[str, Any]:
    answer = await server.client.post(f"/api/v1/schedules/{path}", json=body)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def post(server: HttpServer, path: str, **body: Any) -> dict[str, Any]:
    return await refused_post(server, path, 200, body)


async def listed(server: HttpServer, **asked: Any) -> list[dict[str, Any]]:
    answer = await server.client.get("/api/v1/schedules", params=asked)
    schedules: list[dict[str, Any]] = answer.json()["schedules"]
    return schedules


async def test_publishing_tells_when_it_starts_next(server: HttpServer) -> None:
    workflow_id = await server.create(daily())

    published = (await server.client.post(f"/api/v1/workflows/{workflow_id}/publish")).json()

    [(node, told)] = published["schedules"].items()
    assert node == "tick"
    moments = [datetime.fromisoformat(moment) for moment in told]
    assert len(moments) == 3
    assert all(moment > utc_now() and (moment.hour, moment.minute) == (9, 0) for moment in moments)
    [shown] = await listed(server, workflow_id=workflow_id)
    assert shown["next"] == told


async def test_what_is_armed_is_listed_until_it_is_unpublished(server: HttpServer) -> None:
    workflow_id = await server.publish(daily(missed="skip", jitter_seconds=5))
    other = await server.publish(daily())

    [shown] = await listed(server, workflow_id=workflow_id)
    assert {name: shown[name] for name in ("node", "version", "rule", "timezone", "missed", "jitter_seconds")} == {
        "node": "tick",
        "version": 1,
        "rule": "0 9 * * *",
        "timezone": "Europe/Vienna",
        "missed": "skip",
        "jitter_seconds": 5,
    }
    assert (shown["last_slot"], shown["last_execution_id"], shown["last_error"]) == (None, None, None)

    await server.client.post(f"/api/v1/workflows/{workflow_id}/unpublish")
    assert [one["workflow_id"] for one in await listed(server)] == [other]
    await server.client.delete(f"/api/v1/workflows/{other}")
    assert await listed(server) == []


async def test_a_disabled_trigger_is_not_armed(server: HttpServer) -> None:
    document = daily()
    document["nodes"]["tick"]["disabled"] = True
    document["nodes"]["start"] = {"type": "trigger.manual"}
    document["edges"].append({"from": "start", "to": "done"})

    await server.publish(document)

    assert await listed(server) == []


async def test_going_back_to_an_old_version_arms_its_rule(server: HttpServer) -> None:
    workflow_id = await server.publish(daily())
    changed = {"document": daily(cron="0 10 * * *"), "expected_version": 1}
    await server.client.put(f"/api/v1/workflows/{workflow_id}", json=changed)
    await server.client.post(f"/api/v1/workflows/{workflow_id}/publish")
    assert (await listed(server))[0]["rule"] == "0 10 * * *"

    await server.client.post(f"/api/v1/workflows/{workflow_id}/rollback", json={"version": 1, "publish": True})

    assert [(one["rule"], one["version"]) for one in await listed(server)] == [("0 9 * * *", 3)]


async def test_a_rule_is_previewed_before_it_is_saved(server: HttpServer) -> None:
    view = await post(server, "preview", **DAILY, count=2, after="2026-03-28T12:00:00Z")

    assert view == {
        "timezone": "Europe/Vienna",
        "slots": [
            {"scheduled_at": "2026-03-29T09:00:00+02:00", "slot": "2026-03-29T07:00:00Z"},
            {"scheduled_at": "2026-03-30T09:00:00+02:00", "slot": "2026-03-30T07:00:00Z"},
        ],
    }
    assert len((await post(server, "preview", every="15m"))["slots"]) == 5
    assert (await post(server, "preview", every="1d", until="2026-01-01T00:00:00Z"))["slots"] == []


@pytest.mark.parametrize(
    ("body", "path", "said"),
    [
        ({"cron": "0 0 30 2 *"}, "/cron", "never comes"),
        ({"cron": "x"}, "/cron", "1 fields"),
        ({"every": "soon"}, "/every", "no interval"),
        ({**DAILY, "timezone": "Mars"}, "/timezone", "no time zone"),
        ({**DAILY, "count": 0}, "/count", "greater than or equal to 1"),
        ({**DAILY, "count": 101}, "/count", "less than or equal to 100"),
        ({**DAILY, "after": "2026-01-01T00:00:00"}, "/after", "timezone"),
        ({**DAILY, "crom": 1}, "/crom", "no field"),
        ({}, "", "Give either"),
    ],
)
async def test_a_rule_that_cannot_be_is_refused_with_the_field(
    server: HttpServer, body: dict[str, Any], path: str, said: str
) -> None:
    refused = await refused_post(server, "preview", 422, body)

    [problem] = refused["problems"]
    assert problem["path"] == path
    assert said in problem["message"]
    assert ".." not in problem["message"]
    assert problem["hint"]


def days_ago(days: int) -> datetime:
    return utc_now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)


async def test_a_backfill_starts_each_slot_of_a_range_once(server: HttpServer) -> None:
    workflow_id = await server.publish(daily(cron="0 12 * * *", timezone="UTC"))
    asked: dict[str, Any] = {"since": days_ago(4).isoformat(), "until": days_ago(1).isoformat()}
    path = f"{workflow_id}/tick/backfill"
    slots = [day.replace(hour=12).isoformat().replace("+00:00", "Z") for day in map(days_ago, (4, 3, 2))]

    dry = await post(server, path, **asked, dry_run=True)
    assert [(one["slot"], one["execution_id"], one["repeated"]) for one in dry["slots"]] == [
        (slot, None, False) for slot in slots
    ]

    first = await post(server, path, **asked)
    assert [(one["slot"], one["repeated"]) for one in first["slots"]] == [(slot, False) for slot in slots]
    ids = [one["execution_id"] for one in first["slots"]]
    detail = await server.ended(ids[0])
    assert (detail["execution"]["mode"], detail["execution"]["status"]) == ("schedule", "succeeded")

    again = await post(server, path, **asked)
    assert [(one["execution_id"], one["repeated"]) for one in again["slots"]] == [(id_, True) for id_ in ids]
    executions = (await server.client.get("/api/v1/executions")).json()["executions"]
    assert sorted(one["id"] for one in executions) == sorted(ids)


async def test_a_backfill_of_many_goes_on_where_it_ended(server: HttpServer) -> None:
    workflow_id = await server.publish(daily(cron="0 12 * * *", timezone="UTC"))
    path = f"{workflow_id}/tick/backfill"
    asked: dict[str, Any] = {"since": days_ago(6).isoformat(), "until": days_ago(0).isoformat(), "limit": 4}

    first = await post(server, path, **asked)
    rest = await post(server, path, **{**asked, "since": first["next_since"]})

    assert [len(view["slots"]) for view in (first, rest)] == [4, 2]
    assert rest["next_since"] is None
    assert not any(one["repeated"] for one in rest["slots"])


async def test_the_time_does_not_start_again_what_a_backfill_has_started(server: HttpServer) -> None:
    services = server.runtime.services
    workflow_id = await server.publish(daily(cron="0 12 * * *", timezone="UTC", missed="skip"))
    slot = days_ago(3).replace(hour=12)
    await post(server, f"{workflow_id}/tick/backfill", since=slot.isoformat(), until=(slot + HOUR).isoformat())
    await settle(services, workflow_id, slot - HOUR)

    seen = await fire_due_schedules(services, now=slot)

    assert seen.fired == 0
    assert len((await server.client.get("/api/v1/executions")).json()["executions"]) == 1


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        (days_ago(1), days_ago(-2), "future"),
        (days_ago(1), days_ago(2), "later than"),
        (days_ago(400), days_ago(1), "more than a year"),
    ],
)
async def test_a_range_that_cannot_be_backfilled_is_refused(
    server: HttpServer, since: datetime, until: datetime, said: str
) -> None:
    workflow_id = await server.publish(daily())

    body = {"since": since.isoformat(), "until": until.isoformat()}
    refused = await refused_post(server, f"{workflow_id}/tick/backfill", 422, body)

    assert refused["code"] == "schedule.backfill_refused"
    assert said in refused["detail"]
    assert refused["hint"]


async def test_what_is_not_armed_cannot_be_backfilled(server: HttpServer) -> None:
    workflow_id = await server.create(daily())

    for path in (f"{workflow_id}/tick/backfill", "wf_none/tick/backfill", f"{workflow_id}/none/backfill"):
        body = {"since": days_ago(2).isoformat(), "until": days_ago(1).isoformat()}
        refused = await refused_post(server, path, 404, body)
        assert refused["code"] == "schedule.not_found"


async def test_times_of_a_backfill_need_an_offset(server: HttpServer) -> None:
    body = {"since": "2026-01-01T00:00:00", "until": "yesterday"}
    refused = await refused_post(server, "wf_a/tick/backfill", 422, body)

    assert [problem["path"] for problem in refused["problems"]] == ["/since", "/until"]


async def test_strangers_see_no_schedules(server: HttpServer) -> None:
    assert (await server.stranger.get("/api/v1/schedules")).status_code == 401

"""`budflow schedule`: what is armed, the next slots of a rule, and times that have passed."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from budflow.model.identity import utc_now
from tests.cli.conftest import Cli, OwnerThread, told, write
from tests.http_server import workflow


def daily(cli: Cli, path: Path) -> str:
    """The id of a published workflow that starts every day at noon in UTC."""
    document = workflow(
        {"tick": ("trigger.schedule", {"cron": "0 12 * * *"}), "done": ("data.set", {})}, ("tick", "done")
    )
    created = told(cli("workflow", "create", write(path / "flow.json", document), "--publish", "--json"))
    workflow_id: str = created["workflow"]["id"]
    return workflow_id


def days_ago(days: int) -> str:
    return (utc_now() - timedelta(days=days)).strftime("%Y-%m-%dT00:00:00Z")


def test_what_is_armed_is_listed_with_its_next_slot(cli: Cli, served: OwnerThread, tmp_path: Path) -> None:
    workflow_id = daily(cli, tmp_path)

    shown = cli("schedule", "list").stdout
    assert "0 12 * * *" in shown
    assert "12:00:00Z" in shown
    [one] = told(cli("schedule", "list", "--workflow", workflow_id, "--json"))["schedules"]
    assert (one["workflow_id"], one["node"], one["last_error"]) == (workflow_id, "tick", None)


def test_a_rule_is_previewed(cli: Cli, served: OwnerThread) -> None:
    shown = cli(
        "schedule", "preview", "0 9 * * MON-FRI", "--timezone", "Europe/Vienna", "--after", "2026-03-28T12:00Z"
    ).stdout
    assert "2026-03-30 09:00:00+02:00" in shown
    assert "2026-03-30T07:00:00Z" in shown

    view = told(cli("schedule", "preview", "@daily", "0 12 * * *", "-n", "3", "--json"))
    assert len(view["slots"]) == 3
    assert len(told(cli("schedule", "preview", "--every", "15m", "--json"))["slots"]) == 5


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["0 0 30 2 *"], 1, "never comes"),
        (["--every", "soon"], 1, "no interval"),
        ([], 1, "Give either"),
        (["@daily", "--after", "soon"], 2, "is no time"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(
    cli: Cli, served: OwnerThread, arguments: list[str], code: int, said: str
) -> None:
    refused = cli("schedule", "preview", *arguments, exits=code)

    assert said in " ".join(refused.stderr.split())


def test_times_that_have_passed_are_started_once(cli: Cli, served: OwnerThread, tmp_path: Path) -> None:
    workflow_id = daily(cli, tmp_path)
    asked = ["schedule", "backfill", workflow_id, "tick", "--since", days_ago(3), "--until", days_ago(1)]

    assert cli(*asked, "--dry-run").stdout.count("would start") == 2
    view: dict[str, Any] = told(cli(*asked, "--json"))
    assert [one["repeated"] for one in view["slots"]] == [False, False]
    assert cli(*asked).stdout.count("started before") == 2
    assert "--since" in cli(*asked, "--limit", "1").stdout
    assert "schedule.not_found" in cli(*asked[:3], "none", *asked[4:], exits=1).stderr

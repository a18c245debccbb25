"""budflow schedule: list what the time starts, preview a rule, and start times that have passed."""

from datetime import datetime
from typing import Annotated, Any

import typer

from budflow.cli.client import connect
from budflow.cli.draw_schedules import backfill_table, schedules_table, slots_table
from budflow.cli.exit_codes import UsageError
from budflow.cli.options import AsJson, one_id
from budflow.cli.report import out, write_json, write_page

app = typer.Typer(no_args_is_help=True, help="List what the time starts, preview a rule, start times that have passed.")


@app.command("list")
def list_schedules(
    ctx: typer.Context,
    workflow: Annotated[str | None, typer.Option(metavar="ID", help="Only those of this workflow.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Continue a list: `next_cursor` of the page before.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the armed schedules: when they start a workflow next, and what kept them from it last.

    Example: budflow schedule list
    """
    with connect(ctx.obj) as client:
        page = client.get("/schedules", workflow_id=workflow, limit=limit, cursor=cursor)
    write_page(page, "schedules", schedules_table, as_json=as_json)


@app.command()
def preview(
    ctx: typer.Context,
    cron: Annotated[
        list[str] | None, typer.Argument(metavar="[CRON]...", help="Cron expressions, each one argument in quotes.")
    ] = None,
    every: Annotated[str | None, typer.Option(metavar="INTERVAL", help="Instead: an interval, such as 15m.")] = None,
    timezone: Annotated[str | None, typer.Option(metavar="ZONE", help="Such as Europe/Vienna; else UTC.")] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=100, help="How many slots.")] = 5,
    after: Annotated[
        str | None, typer.Option(metavar="TIME", help="The slots after this time; else after now.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell the next slots of a rule.

    Examples:

      budflow schedule preview '0 9 * * MON-FRI' --timezone Europe/Vienna

      budflow schedule preview --every 15m -n 10
    """
    asked: dict[str, Any] = {
        "cron": cron or None,
        "every": every,
        "timezone": timezone,
        "count": count,
        "after": None if after is None else _time("--after", after),
    }
    with connect(ctx.obj) as client:
        view = client.post("/schedules/preview", asked)
    if as_json:
        write_json(view)
    else:
        out().print(slots_table(view))


@app.command()
def backfill(
    ctx: typer.Context,
    workflow_id: Annotated[str, typer.Argument(callback=one_id, help="The workflow's id.")],
    node: Annotated[str, typer.Argument(callback=one_id, help="Key of its `trigger.schedule`.")],
    since: Annotated[str, typer.Option(metavar="TIME", help="The first time, such as 2026-03-01T00:00:00+01:00.")],
    until: Annotated[str, typer.Option(metavar="TIME", help="The last time, itself included.")],
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many slots at most, the oldest first.")] = 100,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell which slots there are.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start an execution for each slot of a time range; one that has started one before is left as it is.

    Example: budflow schedule backfill WORKFLOW_ID every_morning --since 2026-03-01T00:00Z --until 2026-03-07T00:00Z
    """
    body = {
        "since": _time("--since", since),
        "until": _time("--until", until),
        "limit": limit,
        "dry_run": dry_run,
    }
    with connect(ctx.obj) as client:
        view = client.post(f"/schedules/{workflow_id}/{node}/backfill", body)
    if as_json:
        write_json(view)
        return
    out().print(backfill_table(view))
    if view["next_since"] is not None:
        out().print(f"There are more; go on with --since {view['next_since']}", markup=False)


def _time(option: str, text: str) -> str:
    """A time as the server takes it; without an offset it is one of this machine's clock."""
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError):
        raise UsageError(f"{option}: `{text}` is no time. Write one such as 2026-03-01T09:00:00+01:00.") from None

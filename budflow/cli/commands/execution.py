"""budflow execution: list, show, start, cancel and watch the executions of a server."""

import sys
from typing import Annotated, Any, Literal

import orjson
import typer

from budflow.cli.client import TERMINAL, Client, connect
from budflow.cli.draw import event_line, execution_page, execution_tree, executions_table
from budflow.cli.exit_codes import FAILED
from budflow.cli.input import read_items
from budflow.cli.options import AsJson, note_json, one_id
from budflow.cli.report import out, progress, write_json

app = typer.Typer(no_args_is_help=True, help="List, show, start, cancel and watch the executions of a server.")

ExecutionId = Annotated[
    str, typer.Argument(callback=one_id, help="The execution's id, as `budflow execution list` shows it.")
]
Status = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]


@app.command("list")
def list_executions(
    ctx: typer.Context,
    workflow: Annotated[str | None, typer.Option(metavar="ID", help="Only those of this workflow.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only those with this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Continue a list: `next_cursor` of the page before.")] = None,
    as_json: AsJson = False,
) -> None:
    """List executions, newest first.

    Example: budflow execution list --status failed
    """
    with connect(ctx.obj) as client:
        page = client.get("/executions", workflow_id=workflow, status=status, limit=limit, cursor=cursor)
    if as_json:
        write_json(page)
        return
    out().print(executions_table(page["executions"]))
    if page["next_cursor"]:
        out().print(f"More: --cursor {page['next_cursor']}", markup=False)


@app.command()
def show(
    ctx: typer.Context,
    execution_id: ExecutionId,
    items: Annotated[bool, typer.Option("--items", help="With the items that each node put out.")] = False,
    node: Annotated[str | None, typer.Option(metavar="KEY", help="With --items: only those of this node.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="With --items: how many a port.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show an execution: its nodes with times, items and places.

    Example: budflow execution show EXECUTION_ID --items --node enrich
    """
    with connect(ctx.obj) as client:
        detail = client.execution(execution_id, detail="items" if items else "nodes", node=node, limit=limit)
    if as_json:
        write_json(detail)
        return
    out().print(execution_page(detail))
    for one in detail["nodes"] if items else ():
        for port, view in (one["items"] or {}).items():
            out().print(f"\n{one['key']}.{port}: {view['total']} items", markup=False)
            for item in view["items"]:
                out().print_json(orjson.dumps(item).decode())


@app.command()
def start(
    ctx: typer.Context,
    workflow_id: Annotated[str, typer.Argument(callback=one_id, help="The workflow's id.")],
    given: Annotated[
        str | None,
        typer.Option("--input", "-i", metavar="JSON", help="An object or a list of objects; @FILE or - reads it."),
    ] = None,
    version: Annotated[int | None, typer.Option(min=1, help="The published one, else the latest.")] = None,
    trigger: Annotated[str | None, typer.Option(metavar="KEY", help="The trigger to enter by.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; exits with 1 when it failed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start an execution of a workflow.

    Example: budflow execution start WORKFLOW_ID --input '{"total": 120}' --wait
    """
    items = read_items(given)
    with connect(ctx.obj) as client:
        detail = client.start(workflow_id, items=items, version=version, trigger=trigger)
        if wait:
            with progress(f"Running {detail['execution']['id']} …"):
                detail = client.wait(detail["execution"]["id"])
    if as_json:
        write_json(detail)
    elif wait:
        out().print(execution_tree(detail))
    else:
        out().print(f"{detail['execution']['id']} {detail['execution']['status']}", markup=False)
    if wait and detail["execution"]["status"] != "succeeded":
        raise typer.Exit(FAILED)


@app.command()
def cancel(ctx: typer.Context, execution_id: ExecutionId, as_json: AsJson = False) -> None:
    """Cancel an execution, wherever it runs.

    Example: budflow execution cancel EXECUTION_ID
    """
    with connect(ctx.obj) as client:
        view = client.post(f"/executions/{execution_id}/cancel")
    if as_json:
        write_json(view)
    else:
        said = "is being cancelled" if view["status"] not in TERMINAL else view["status"]
        out().print(f"{execution_id} {said}", markup=False)


@app.command()
def watch(ctx: typer.Context, execution_id: ExecutionId, as_json: AsJson = False) -> None:
    """Follow an execution to its end, then show it. Exits with 1 when it did not succeed.

    Example: budflow execution watch EXECUTION_ID
    """
    with connect(ctx.obj) as client:
        if not as_json:
            _print_events(client, execution_id)
        detail: dict[str, Any] = client.wait(execution_id)
    if as_json:
        write_json(detail)
    else:
        out().print(execution_tree(detail))
    if detail["execution"]["status"] != "succeeded":
        raise typer.Exit(FAILED)


@app.command()
def events(
    ctx: typer.Context,
    execution_id: ExecutionId,
    as_json: Annotated[
        bool, typer.Option("--json", callback=note_json, help="Write each event as one line of JSON, as it comes.")
    ] = False,
) -> None:
    """Print the journal of an execution, and what is added to it until the end.

    Example: budflow execution events EXECUTION_ID --json | jq .type
    """
    with connect(ctx.obj) as client:
        if as_json:
            for event in client.events(execution_id):
                sys.stdout.write(orjson.dumps(event).decode() + "\n")
                sys.stdout.flush()
        else:
            _print_events(client, execution_id)


def _print_events(client: Client, execution_id: str) -> None:
    for event in client.events(execution_id):
        out().print(event_line(event["type"], event["at"], event["data"]))

"""budflow execution: list, show, start, cancel, prune and watch the executions of a server, and read their logs."""

import sys
from typing import Annotated, Any, Literal

import orjson
import typer

from budflow.cli.client import TERMINAL, Client, connect
from budflow.cli.draw import event_line, execution_page, execution_tree, executions_table, log_line, waits_table
from budflow.cli.exit_codes import FAILED
from budflow.cli.input import read_items
from budflow.cli.options import AsJson, note_json, one_id
from budflow.cli.report import out, progress, write_json, write_page

app = typer.Typer(no_args_is_help=True, help="List, show, start, cancel and watch the executions of a server.")

ExecutionId = Annotated[
    str, typer.Argument(callback=one_id, help="The execution's id, as `budflow execution list` shows it.")
]
Wait = Annotated[
    bool,
    typer.Option("--wait", help="Wait until it has ended, or waits for somebody; exits with 1 unless it succeeded."),
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
    write_page(page, "executions", executions_table, as_json=as_json)


@app.command()
def show(
    ctx: typer.Context,
    execution_id: ExecutionId,
    items: Annotated[bool, typer.Option("--items", help="With the items that each node put out.")] = False,
    node: Annotated[
        str | None, typer.Option(metavar="PATH", help="Only this node, or one round of it, such as `price[3]`.")
    ] = None,
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
    until: Annotated[str | None, typer.Option(metavar="KEY", help="Run only this node and what leads to it.")] = None,
    pinned: Annotated[
        bool, typer.Option("--pinned", help="Test run: nodes give their pinned data instead of running.")
    ] = False,
    priority: Annotated[
        int | None, typer.Option(min=-100, max=100, help="Added to the workflow's own; higher leaves a queue first.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Idempotency key: an equal start with it is made only once.")
    ] = None,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Start an execution of a workflow.

    Example: budflow execution start WORKFLOW_ID --input '{"total": 120}' --wait
    """
    items = read_items(given)
    with connect(ctx.obj) as client:
        detail = client.start(
            workflow_id,
            items=items,
            version=version,
            trigger=trigger,
            until_node=until,
            use_pinned=pinned or None,
            priority=priority,
            idempotency_key=key,
        )
        _tell_started(client, detail, wait, as_json)


@app.command()
def retry(ctx: typer.Context, execution_id: ExecutionId, wait: Wait = False, as_json: AsJson = False) -> None:
    """Let a failed or cancelled execution go on from its last good nodes, as a new one.

    Example: budflow execution retry EXECUTION_ID --wait
    """
    with connect(ctx.obj) as client:
        _tell_started(client, client.post(f"/executions/{execution_id}/retry", {}), wait, as_json)


@app.command()
def fork(
    ctx: typer.Context,
    execution_id: ExecutionId,
    node: Annotated[
        str | None, typer.Option("--from", metavar="PATH", help="The node to run again; left out, the trigger.")
    ] = None,
    version: Annotated[int | None, typer.Option(min=1, help="Go on by another version of the workflow.")] = None,
    given: Annotated[
        str | None,
        typer.Option("--input", "-i", metavar="JSON", help="What the trigger brings in instead, without --from."),
    ] = None,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Run an execution again from a node on, as a new one that keeps what other nodes gave.

    Example: budflow execution fork EXECUTION_ID --from enrich --version 4 --wait
    """
    items = None if given is None else read_items(given)
    with connect(ctx.obj) as client:
        body = {"node": node, "version": version, "items": items}
        _tell_started(client, client.post(f"/executions/{execution_id}/fork", body), wait, as_json)


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
def pause(ctx: typer.Context, execution_id: ExecutionId, as_json: AsJson = False) -> None:
    """Start no more nodes of an execution until it is continued; those that run go on to their end.

    Example: budflow execution pause EXECUTION_ID
    """
    with connect(ctx.obj) as client:
        view = client.post(f"/executions/{execution_id}/pause")
    if as_json:
        write_json(view)
    else:
        out().print(f"{execution_id} is being paused", markup=False)


@app.command("continue")
def continue_(ctx: typer.Context, execution_id: ExecutionId, as_json: AsJson = False) -> None:
    """Let a paused execution go on.

    Example: budflow execution continue EXECUTION_ID
    """
    with connect(ctx.obj) as client:
        view = client.post(f"/executions/{execution_id}/continue")
    if as_json:
        write_json(view)
    else:
        out().print(f"{execution_id} goes on", markup=False)


@app.command()
def prune(
    ctx: typer.Context,
    workflow: Annotated[str | None, typer.Option(metavar="ID", help="Only executions of this workflow.")] = None,
    as_json: AsJson = False,
) -> None:
    """Remove ended executions that retention no longer keeps, which the server also does every minute.

    Example: budflow execution prune
    """
    removed = {"executions": 0, "blobs": 0}
    with connect(ctx.obj) as client, progress("Removing …"):
        more = True
        while more:  # The server takes some seconds for each part.
            view = client.post("/executions/prune", {"workflow_id": workflow})
            removed = {what: count + view[what] for what, count in removed.items()}
            more = view["more"]
    if as_json:
        write_json(removed)
    else:
        out().print(f"Removed: executions {removed['executions']}, blobs {removed['blobs']}", markup=False)


@app.command()
def watch(ctx: typer.Context, execution_id: ExecutionId, as_json: AsJson = False) -> None:
    """Follow an execution to its end, then show it. Exits with 1 when it did not succeed.

    Example: budflow execution watch EXECUTION_ID
    """
    with connect(ctx.obj) as client:
        if not as_json:
            _print_events(client, execution_id)
        detail: dict[str, Any] = client.wait(execution_id, to_the_end=True)
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


@app.command()
def logs(
    ctx: typer.Context,
    execution_id: ExecutionId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is logged from now on, until it has ended.")
    ] = False,
    node: Annotated[
        str | None, typer.Option(metavar="PATH", help="Only this node, or one round of it, such as `price[3]`.")
    ] = None,
    level: Annotated[
        Literal["debug", "info", "warning", "error"], typer.Option(help="The least important lines that are shown.")
    ] = "info",
    as_json: Annotated[
        bool, typer.Option("--json", callback=note_json, help="Write each line as one line of JSON, as it comes.")
    ] = False,
) -> None:
    """Print what an execution logged: what its nodes wrote, and what the engine did with them.

    Example: budflow execution logs EXECUTION_ID --follow --level warning
    """
    console = out()
    with connect(ctx.obj) as client:
        read = client.follow_logs if follow else client.logs
        for line in read(execution_id, node=node, level=level):
            if as_json:
                sys.stdout.write(orjson.dumps(line).decode() + "\n")
                sys.stdout.flush()
            else:
                console.print(log_line(line), soft_wrap=True)


def _tell_started(client: Client, detail: dict[str, Any], wait: bool, as_json: bool) -> None:
    """What was started: its id, or with `wait` what came of it."""
    if wait:
        with progress(f"Running {detail['execution']['id']} …"):
            detail = client.wait(detail["execution"]["id"])
    if as_json:
        write_json(detail)
    elif wait:
        out().print(execution_tree(detail))
        if detail["waits"]:
            out().print(waits_table(detail["waits"]))
    else:
        out().print(f"{detail['execution']['id']} {detail['execution']['status']}", markup=False)
    if wait and detail["execution"]["status"] != "succeeded":
        raise typer.Exit(FAILED)


def _print_events(client: Client, execution_id: str) -> None:
    for event in client.events(execution_id):
        out().print(event_line(event["type"], event["at"], event["data"]))

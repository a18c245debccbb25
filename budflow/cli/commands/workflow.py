"""budflow workflow: list, show, create, change and publish the workflows of a server."""

from typing import Annotated, Any

import typer

from budflow.cli.client import connect
from budflow.cli.draw import moment, nodes_table, workflows_table
from budflow.cli.draw_difference import difference_table
from budflow.cli.draw_plan import plan_table
from budflow.cli.options import AsJson, one_id, read_file
from budflow.cli.report import facts, out, problems_table, table, write_json, write_page
from budflow.graph.parse import read_json

app = typer.Typer(no_args_is_help=True, help="List, show, create, change and publish the workflows of a server.")

WorkflowId = Annotated[
    str, typer.Argument(callback=one_id, help="The workflow's id, as `budflow workflow list` shows it.")
]
File = Annotated[str, typer.Argument(help="The workflow document, or - for stdin.")]


@app.command("list")
def list_workflows(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Option(help="Only those whose name contains this.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Continue a list: `next_cursor` of the page before.")] = None,
    as_json: AsJson = False,
) -> None:
    """List workflows, newest first.

    Example: budflow workflow list --name order
    """
    with connect(ctx.obj) as client:
        page = client.get("/workflows", name=name, limit=limit, cursor=cursor)
    write_page(page, "workflows", workflows_table, as_json=as_json)


@app.command()
def show(
    ctx: typer.Context,
    workflow_id: WorkflowId,
    version: Annotated[int | None, typer.Option(min=1, help="The latest when left out.")] = None,
    document: Annotated[bool, typer.Option("--document", help="Print only the document, ready to be changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a workflow with its document.

    Example: budflow workflow show WORKFLOW_ID --document > workflow.json
    """
    with connect(ctx.obj) as client:
        view = client.get(f"/workflows/{workflow_id}", version=version)
    if document or as_json:
        write_json(view["document"] if document else view)
        return
    workflow = view["workflow"]
    out().print(
        facts(
            {
                "id": workflow["id"],
                "name": workflow["name"],
                "version": f"{view['version']} of {workflow['latest_version']}",
                "published": workflow["published_version"] or "no",
                "saved": f"{moment(view['created_at'])} by {view['created_by']}",
            }
        )
    )
    out().print(nodes_table(view["document"]))


@app.command()
def create(
    ctx: typer.Context,
    file: File,
    publish_it: Annotated[bool, typer.Option("--publish", help="Arm its triggers at once.")] = False,
    as_json: AsJson = False,
) -> None:
    """Store a new workflow.

    Examples:

      budflow workflow create examples/webhook.json --publish

      budflow --url https://flows.example workflow create - < workflow.json
    """
    document = read_json(read_file(file))
    with connect(ctx.obj) as client:
        saved = client.post("/workflows", {"document": document})
        published = client.post(f"/workflows/{saved['workflow']['id']}/publish", {}) if publish_it else None
    _show_saved(saved, published, as_json)


@app.command()
def update(
    ctx: typer.Context,
    workflow_id: WorkflowId,
    file: File,
    expected_version: Annotated[
        int | None,
        typer.Option(min=1, help="The version your change started from; the latest one of now when left out."),
    ] = None,
    publish_it: Annotated[bool, typer.Option("--publish", help="Publish the new version at once.")] = False,
    as_json: AsJson = False,
) -> None:
    """Store a changed document as the next version. What is published stays until you publish again.

    Example: budflow workflow update WORKFLOW_ID workflow.json --expected-version 3
    """
    document = read_json(read_file(file))
    with connect(ctx.obj) as client:
        before = expected_version or client.get(f"/workflows/{workflow_id}")["workflow"]["latest_version"]
        saved = client.put(f"/workflows/{workflow_id}", {"document": document, "expected_version": before})
        published = client.post(f"/workflows/{workflow_id}/publish", {}) if publish_it else None
    _show_saved(saved, published, as_json)


@app.command()
def publish(
    ctx: typer.Context,
    workflow_id: WorkflowId,
    version: Annotated[int | None, typer.Option(min=1, help="The latest when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Arm the triggers of a version, in place of the version published before.

    Example: budflow workflow publish WORKFLOW_ID
    """
    with connect(ctx.obj) as client:
        view = client.post(f"/workflows/{workflow_id}/publish", {"version": version})
    if as_json:
        write_json(view)
        return
    out().print(f"{workflow_id}: version {view['workflow']['published_version']} is published.", markup=False)
    for webhook in view["webhooks"]:
        out().print(f"  {webhook}", markup=False)
    if view["problems"]:
        out().print(problems_table(view["problems"]))


@app.command()
def unpublish(ctx: typer.Context, workflow_id: WorkflowId, as_json: AsJson = False) -> None:
    """Disarm the triggers of a workflow; running executions go on.

    Example: budflow workflow unpublish WORKFLOW_ID
    """
    with connect(ctx.obj) as client:
        view = client.post(f"/workflows/{workflow_id}/unpublish")
    if as_json:
        write_json(view)
    else:
        out().print(f"{workflow_id} is not published any more.", markup=False)


@app.command()
def delete(
    ctx: typer.Context,
    workflow_id: WorkflowId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a workflow with its versions and webhooks; its executions stay readable.

    Example: budflow workflow delete WORKFLOW_ID --yes
    """
    if not yes:
        typer.confirm(f"Delete {workflow_id} with all its versions?", abort=True, err=True)
    with connect(ctx.obj) as client:
        view = client.delete(f"/workflows/{workflow_id}")
    if as_json:
        write_json(view)
    else:
        out().print(f"{workflow_id} is deleted.", markup=False)


@app.command()
def versions(ctx: typer.Context, workflow_id: WorkflowId, as_json: AsJson = False) -> None:
    """List the versions of a workflow, newest first.

    Example: budflow workflow versions WORKFLOW_ID
    """
    with connect(ctx.obj) as client:
        view = client.get(f"/workflows/{workflow_id}/versions")
    if as_json:
        write_json(view)
        return
    rows = [
        (one["version"], "yes" if one["published"] else "", moment(one["created_at"]), one["created_by"])
        for one in view["versions"]
    ]
    out().print(table("version", "published", "saved", "by", rows=rows))


@app.command()
def diff(
    ctx: typer.Context,
    workflow_id: WorkflowId,
    before: Annotated[
        int | None, typer.Argument(min=1, help="The earlier version; the one before, if left out.")
    ] = None,
    after: Annotated[int | None, typer.Argument(min=1, help="The later version; the latest, if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what changed from one version to another, in what they mean.

    Example: budflow workflow diff WORKFLOW_ID 3 5
    """
    with connect(ctx.obj) as client:
        view = client.get(f"/workflows/{workflow_id}/diff", before=before, after=after)
    if as_json:
        write_json(view)
        return
    where = f"{workflow_id}: version {view['before']} to {view['after']}"
    out().print(f"{where}: no difference." if view["equal"] else f"{where}:", markup=False)
    if not view["equal"]:
        out().print(difference_table(view))


@app.command()
def plan(
    ctx: typer.Context,
    workflow_id: WorkflowId,
    version: Annotated[int | None, typer.Option(min=1, help="The version; the latest, if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how a version will be run: which nodes are fused, what goes where, and why.

    Example: budflow workflow plan WORKFLOW_ID
    """
    with connect(ctx.obj) as client:
        view = client.get(f"/workflows/{workflow_id}/plan", version=version)
    if as_json:
        write_json(view)
    else:
        out().print(f"{workflow_id}, version {view['version']}, on {view['executor']}:", markup=False)
        out().print(plan_table(view))


@app.command()
def rollback(
    ctx: typer.Context,
    workflow_id: WorkflowId,
    version: Annotated[int, typer.Argument(min=1, help="The version to go back to.")],
    publish_it: Annotated[bool, typer.Option("--publish", help="Publish it at once.")] = False,
    as_json: AsJson = False,
) -> None:
    """Store an old version's document again, as the newest version.

    Example: budflow workflow rollback WORKFLOW_ID 3 --publish
    """
    with connect(ctx.obj) as client:
        saved = client.post(f"/workflows/{workflow_id}/rollback", {"version": version, "publish": publish_it})
    if as_json:
        write_json(saved)
        return
    live = ", published" if publish_it else ""
    said = f"{workflow_id}: version {saved['version']} is what version {version} was{live}."
    out().print(said, markup=False)


def _show_saved(saved: dict[str, Any], published: dict[str, Any] | None, as_json: bool) -> None:
    """What a save made; what a publish armed."""
    if as_json:
        write_json({**saved, "published": published})
        return
    workflow = saved["workflow"]
    out().print(f"{workflow['id']}: {workflow['name']}, version {saved['version']}", markup=False)
    if saved["problems"]:
        out().print(problems_table(saved["problems"]))
    for webhook in published["webhooks"] if published else ():
        out().print(f"  {webhook}", markup=False)

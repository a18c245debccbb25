"""budflow wait: list what executions wait for, and answer it."""

from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from budflow.cli.client import connect
from budflow.cli.draw import waits_table
from budflow.cli.exit_codes import UsageError
from budflow.cli.input import read_value
from budflow.cli.options import AsJson, one_id
from budflow.cli.report import out, write_json, write_page

app = typer.Typer(no_args_is_help=True, help="List what executions wait for, and answer it.")

Reason = Literal["webhook", "form", "approval", "ask", "timer", "limit"]


@app.command("list")
def list_waits(
    ctx: typer.Context,
    reason: Annotated[
        Reason | None, typer.Option(help="Only those for this reason; else all that somebody can answer.")
    ] = None,
    execution: Annotated[str | None, typer.Option(metavar="ID", help="Only those of this execution.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Continue a list: `next_cursor` of the page before.")] = None,
    as_json: AsJson = False,
) -> None:
    """List open waits, the oldest first, with the address by which somebody without an account may answer.

    Example: budflow wait list --reason approval
    """
    with connect(ctx.obj) as client:
        page = client.get("/waits", reason=reason, execution_id=execution, limit=limit, cursor=cursor)
    write_page(page, "waits", waits_table, as_json=as_json)


@app.command()
def answer(
    ctx: typer.Context,
    execution_id: Annotated[str, typer.Argument(callback=one_id, help="The execution that waits.")],
    node: Annotated[str, typer.Argument(help="The path of the node that waits, as `budflow wait list` shows it.")],
    approve: Annotated[bool | None, typer.Option("--approve/--reject", help="Decide an approval.")] = None,
    comment: Annotated[str, typer.Option(help="With --approve or --reject: why.")] = "",
    given: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", metavar="JSON", help="Any other answer, such as the fields of a form; @FILE or - reads it."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Answer an open wait; the execution goes on. Only the first answer counts.

    Examples:

      budflow wait answer EXECUTION_ID ask --approve --comment "Fine."

      budflow wait answer EXECUTION_ID 'address[3]' --input '{"street": "Main Street 1"}'

      budflow wait answer EXECUTION_ID charge --input '"skip"'
    """
    if approve is not None and given is not None:
        raise UsageError("--input and --approve or --reject cannot both be the answer.")
    said: Any = None if given is None else read_value(given)
    if approve is not None:
        said = {"approved": approve, "comment": comment}
    with connect(ctx.obj) as client:
        view = client.post(f"/executions/{execution_id}/waits/{quote(node, safe='')}/answer", {"answer": said})
    if as_json:
        write_json(view)
    else:
        out().print(f"{execution_id} {node}: answered", markup=False)

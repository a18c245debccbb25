"""budflow doctor: check this machine and these settings, and say what to do about what is wrong."""

from typing import Annotated

import typer
from rich.text import Text

from budflow.cli.checkup import checkup
from budflow.cli.exit_codes import FAILED
from budflow.cli.options import AsJson, Options
from budflow.cli.report import out, progress, table, write_json

app = typer.Typer()
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@app.command()
def doctor(
    ctx: typer.Context,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check Python, the data directory and its keys, the database, the blobs, the port, Ray and Docker.

    Exits with 1 when something would keep the server from working. Nothing is changed.

    Examples:

      budflow doctor

      BUDFLOW_EXECUTOR=ray budflow doctor --json
    """
    options: Options = ctx.obj
    settings = options.settings()
    with progress("Looking …"):
        findings = checkup(settings)
    bad = [one for one in findings if one.level == "fail" or (strict and one.level == "warn")]
    if as_json:
        write_json({"ok": not bad, "findings": [one.to_json() for one in findings]})
    else:
        rows = [(Text(one.level, style=COLOURS[one.level]), one.subject, one.message, one.hint) for one in findings]
        out().print(table("", "what", "found", "what to do", rows=rows))
    if bad:
        raise typer.Exit(FAILED)

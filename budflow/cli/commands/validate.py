"""budflow validate: check a workflow file and list every problem, without a server."""

import asyncio
from typing import Annotated

import typer

from budflow.app import open_temporary
from budflow.cli.exit_codes import FAILED
from budflow.cli.options import AsJson, Options, read_file
from budflow.cli.report import out, problems_table, write_json
from budflow.graph.parse import read_json
from budflow.model.principal import OWNER
from budflow.services.validate_workflow import ValidateWorkflow, ValidationView, validate_workflow

app = typer.Typer()


@app.command()
def validate(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(help="The workflow document, or - for stdin.")],
    as_json: AsJson = False,
) -> None:
    """Check a workflow document and list every problem with what to do about it.

    Exits with 1 when there is a problem. The same validator stands behind creating, publishing and running; whether the
    credentials that nodes name are there, and may be used, only they can tell, since a server keeps them.

    Examples:

      budflow validate examples/hello.json

      budflow validate --json - < draft.json
    """
    options: Options = ctx.obj
    view = asyncio.run(_validate(options, read_file(file)))
    if as_json:
        write_json(view)
    elif view.problems:
        out().print(problems_table([problem.model_dump() for problem in view.problems]))
        may = [step for step, can in (("saved", view.can_save), ("run", view.can_run)) if can]
        out().print(f"It can be {' and '.join(may)}, but not published yet." if may else "It cannot be saved.")
    else:
        out().print(f"{file}: no problems.", markup=False)
    if view.problems:
        raise typer.Exit(FAILED)


async def _validate(options: Options, text: str) -> ValidationView:
    document = read_json(text)
    async with open_temporary(options.settings()) as runtime:
        # A value that is no object is told as a problem of the document, not as one of the request.
        request = ValidateWorkflow.model_construct(document=document)
        return _without_credentials(await validate_workflow(runtime.services, OWNER, request))


def _without_credentials(view: ValidationView) -> ValidationView:
    """What was found, but for credentials that are missing here: without a server there are none."""
    problems = [problem for problem in view.problems if problem.code != "credential.unknown"]
    blocks = {problem.blocks for problem in problems}
    can_run = blocks.isdisjoint({"save", "run"})
    return view.model_copy(
        update={"can_run": can_run, "can_publish": can_run and "publish" not in blocks, "problems": problems}
    )

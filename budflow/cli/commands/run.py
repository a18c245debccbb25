"""budflow run: run a workflow file once, to its end, and print the result."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import typer

from budflow.app import Runtime, open_temporary
from budflow.cli.client import Client, connect
from budflow.cli.draw import event_line
from budflow.cli.exit_codes import FAILED, UsageError
from budflow.cli.input import read_items
from budflow.cli.options import AsJson, Options, read_file
from budflow.cli.report import block, err, progress, write_json
from budflow.errors import BudflowError
from budflow.graph.parse import read_json
from budflow.model.execution import TERMINAL
from budflow.model.principal import OWNER
from budflow.services.create_workflow import CreateWorkflow, create_workflow
from budflow.services.get_execution import GetExecution, get_execution
from budflow.services.start_execution import StartExecution, start_execution
from budflow.services.wait_execution import wait_for_end
from budflow.services.watch_execution import WatchExecution, watch_execution

CALLER = replace(OWNER, door="cli")
ITEMS_PAGE = 1000
BYTES_PAGE = 16 * 1024 * 1024

app = typer.Typer()


class CredentialsNeedServer(BudflowError):
    """This workflow uses credentials, which only a server keeps."""

    code = "run.credentials"
    http_status = 409
    hint = "Start `budflow serve`, add them there (`budflow credential add`) and add --record to this command."


class SubWorkflowNeedsServer(BudflowError):
    """This workflow calls other workflows, which only a server knows."""

    code = "run.sub_workflow"
    http_status = 409
    hint = (
        "Start `budflow serve`, store and publish the called workflow (`budflow workflow create`, `budflow workflow "
        "publish`), put its id into `flow.sub_workflow` and add --record to this command."
    )


@app.command()
def run(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(help="The workflow document, or - for stdin.")],
    given: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", metavar="JSON", help="An object (one item) or a list of objects; @FILE or - reads it."
        ),
    ] = None,
    trigger: Annotated[
        str | None, typer.Option(metavar="KEY", help="The trigger to enter by; the `trigger.manual` when left out.")
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Let the running server do it, so that workflow and execution are kept.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell every event on stderr.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a workflow document once, to its end, and print its result on stdout.

    One item is printed as its object, several as a list; with --json the whole execution is, node by node. No server
    is needed and nothing is kept, unless --record says so. Exits with 1 when the execution fails.

    Examples:

      budflow run examples/hello.json --input '{"name": "Ada"}'

      curl https://example.com/order.json | budflow run intake.json --input -

      budflow run intake.json --input @order.json --record --json
    """
    options: Options = ctx.obj
    if file == given == "-":
        raise UsageError("The document and the input cannot both come from stdin.")
    document, items = read_json(read_file(file)), read_items(given)
    if record:
        with connect(options) as client:
            detail = _run_recorded(client, document, items, trigger, verbose)
    else:
        _refuse_what_needs_a_server(document)
        detail = asyncio.run(_run_here(options, document, items, trigger, verbose))
    if as_json:
        write_json(detail)
    elif detail["execution"]["status"] == "succeeded":
        result = [item["json"] for item in detail["result"]["items"]]
        write_json(result[0] if len(result) == 1 else result)
    _leave(detail["execution"], quiet=as_json)


def _leave(execution: Mapping[str, Any], *, quiet: bool) -> None:
    """Exit with 1 and tell why, unless it succeeded."""
    if execution["status"] == "succeeded":
        return
    failure = execution["failure"]
    if not quiet:
        if execution["status"] == "waiting":
            hint = "Only a server keeps it until it is answered: run it with --record, then see `budflow wait list`."
            block(f"The execution waits: {execution['waiting']}.", "execution.waits", hint)
        elif failure is None:
            block(f"The execution was {execution['status']}.", "execution.cancelled", "Run it again.")
        else:
            where = f"Node `{failure['node']}`: " if failure.get("node") else ""
            block(f"{where}{failure['message']}", failure["code"], failure.get("hint", ""))
    raise typer.Exit(FAILED)


def _refuse_what_needs_a_server(document: object) -> None:
    """Look through the document and all bodies inside it, which nobody has checked yet."""
    graphs = [document]
    while graphs:
        graph = graphs.pop()
        nodes = graph.get("nodes") if isinstance(graph, Mapping) else None
        for node in nodes.values() if isinstance(nodes, Mapping) else ():
            if not isinstance(node, Mapping):
                continue
            if node.get("type") == "flow.sub_workflow":
                raise SubWorkflowNeedsServer
            if node.get("credentials"):
                raise CredentialsNeedServer
            bodies = node.get("bodies")
            graphs.extend(bodies.values() if isinstance(bodies, Mapping) else ())


async def _run_here(
    options: Options, document: Any, items: list[dict[str, Any]], trigger: str | None, verbose: bool
) -> dict[str, Any]:
    async with open_temporary(options.settings()) as runtime:
        # A document that is no object is refused by the validator like any other that is wrong.
        saved = await create_workflow(runtime.services, CALLER, CreateWorkflow.model_construct(document=document))
        request = StartExecution(workflow_id=saved.workflow.id, items=items, trigger=trigger)
        started = await start_execution(runtime.services, CALLER, request)
        with progress(f"Running {saved.workflow.name} …"):
            await _follow(runtime, started.execution.id, verbose)
        return await _read_here(runtime, started.execution.id)


async def _follow(runtime: Runtime, execution_id: str, verbose: bool) -> None:
    """Wait for the end, or until it waits for somebody; with `verbose` tell each event on stderr as it comes."""
    telling = asyncio.create_task(_tell(runtime, execution_id)) if verbose else None
    execution = await runtime.services.store.get_execution(CALLER.project_id, execution_id)
    if execution is not None:  # Else it broke before it was ever stored; reading it says so.
        await wait_for_end(runtime.services, execution, None)
    if telling is not None:
        row = await runtime.services.store.get_execution(CALLER.project_id, execution_id)
        if row is not None and row.status not in TERMINAL:
            telling.cancel()  # It has told all there is.
        await asyncio.gather(telling, return_exceptions=True)


async def _tell(runtime: Runtime, execution_id: str) -> None:
    async for event in await watch_execution(runtime.services, CALLER, WatchExecution(execution_id=execution_id)):
        err().print(event_line(event.type, event.at, event.data))


async def _read_here(runtime: Runtime, execution_id: str) -> dict[str, Any]:
    """The execution with its whole result."""
    pages: list[dict[str, Any]] = []
    while _goes_on(pages):
        request = GetExecution(execution_id=execution_id, offset=_seen(pages), limit=ITEMS_PAGE, bytes_max=BYTES_PAGE)
        pages.append((await get_execution(runtime.services, CALLER, request)).model_dump(mode="json"))
    return _joined(pages)


def _read_recorded(client: Client, execution_id: str) -> dict[str, Any]:
    """The same from the server."""
    pages: list[dict[str, Any]] = []
    while _goes_on(pages):
        page = client.execution(execution_id, offset=_seen(pages), limit=ITEMS_PAGE, bytes_max=BYTES_PAGE)
        pages.append(page)
    return _joined(pages)


def _goes_on(pages: list[dict[str, Any]]) -> bool:
    """Whether there is more of the result. An item that is larger than a page ends it, and is told as truncated."""
    if not pages:
        return True
    result = pages[-1]["result"]
    return bool(result and result["truncated"] and result["items"])


def _seen(pages: list[dict[str, Any]]) -> int:
    return sum(len(page["result"]["items"]) for page in pages)


def _joined(pages: list[dict[str, Any]]) -> dict[str, Any]:
    detail = pages[0]
    if detail["result"] is not None:
        items = [item for page in pages for item in page["result"]["items"]]
        detail["result"] = {**pages[-1]["result"], "items": items}
    return detail


def _run_recorded(
    client: Client, document: Any, items: list[dict[str, Any]], trigger: str | None, verbose: bool
) -> dict[str, Any]:
    saved = client.post("/workflows", {"document": document})
    started = client.start(saved["workflow"]["id"], items=items, trigger=trigger)
    execution_id = started["execution"]["id"]
    sys.stderr.write(f"{saved['workflow']['id']} version {saved['version']}, {execution_id}\n")
    if verbose:
        for event in client.events(execution_id):
            err().print(event_line(event["type"], event["at"], event["data"]))
    else:
        with progress(f"Running {saved['workflow']['name']} on the server …"):
            client.wait(execution_id)
    return _read_recorded(client, execution_id)

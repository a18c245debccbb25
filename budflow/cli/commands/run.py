"""budflow run: run a workflow file once, to its end, and print the result."""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
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
from budflow.services.retry_execution import RetryExecution, retry_execution
from budflow.services.start_execution import StartExecution, start_execution
from budflow.services.wait_execution import wait_for_end
from budflow.services.watch_execution import WatchExecution, watch_execution
from ray_jobs.open import open_tasks

CALLER = replace(OWNER, door="cli")
ITEMS_PAGE = 1000
BYTES_PAGE = 16 * 1024 * 1024
RETRIES_MAX = 100

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


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to run, with what and how. `ray` is an address, or `local`; None: in this process."""

    document: Any
    items: list[dict[str, Any]]
    trigger: str | None
    ray: str | None
    retries: int
    verbose: bool


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
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT|local",
            help="Run it on the Ray cluster of which this machine is a node, or on a Ray that is started for it.",
        ),
    ] = None,
    retries: Annotated[
        int,
        typer.Option(
            min=0, max=RETRIES_MAX, help="When it fails, let it go on from its last good nodes, at most so often."
        ),
    ] = 0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell every event on stderr.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a workflow document once, to its end, and print its result on stdout.

    One item is printed as its object, several as a list; with --json the whole execution is, node by node. No server
    is needed and nothing is kept, unless --record says so. Exits with 1 when the execution fails.

    With --ray the execution is a task on a Ray cluster and each of its heavy nodes another one, with the `resources`
    of the node. The output is the same; the events of --verbose come when it has ended. Ctrl-C ends it there too.

    Examples:

      budflow run examples/hello.json --input '{"name": "Ada"}'

      curl https://example.com/order.json | budflow run intake.json --input -

      budflow run intake.json --input @order.json --record --json

      budflow run train.json --ray head.example:6379 --retries 2
    """
    options: Options = ctx.obj
    if file == given == "-":
        raise UsageError("The document and the input cannot both come from stdin.")
    if record and ray is not None:
        raise UsageError("--ray needs no server, and --record is for one; where that runs it, its settings say.")
    wish = Wish(read_json(read_file(file)), read_items(given), trigger, ray, retries, verbose)
    if record:
        with connect(options) as client:
            detail = _run_recorded(client, wish)
    else:
        _refuse_what_needs_a_server(wish.document)
        with redirect_stdout(sys.stderr):  # Ray tells of its nodes on stdout, where the result is to stand alone.
            detail = asyncio.run(_run_here(options, wish))
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


async def _run_here(options: Options, wish: Wish) -> dict[str, Any]:
    async with open_temporary(options.settings(ray_address=wish.ray)) as runtime:
        services = runtime.services
        # A document that is no object is refused by the validator like any other that is wrong.
        saved = await create_workflow(services, CALLER, CreateWorkflow.model_construct(document=wish.document))
        if wish.ray is not None:
            await _use_ray(runtime, wish.ray)
        request = StartExecution(workflow_id=saved.workflow.id, items=wish.items, trigger=wish.trigger)
        execution_id = (await start_execution(services, CALLER, request)).execution.id
        with progress(f"Running {saved.workflow.name} …"):
            await _follow(runtime, execution_id, wish.verbose)
            for retry in range(wish.retries):
                row = await services.store.get_execution(CALLER.project_id, execution_id)
                if row is None or row.status != "failed":
                    break
                _tell_retry(retry + 1, wish.retries, row.failure.message if row.failure else "")
                again = await retry_execution(services, CALLER, RetryExecution(execution_id=execution_id))
                execution_id = again.execution.id
                await _follow(runtime, execution_id, wish.verbose)
        return await _read_here(runtime, execution_id)


async def _use_ray(runtime: Runtime, address: str) -> None:
    """Have executions run on Ray. Raises what `open_tasks` raises."""
    opening = asyncio.ensure_future(asyncio.to_thread(open_tasks, runtime.settings))
    with progress(f"Starting Ray ({address}) …" if address == "local" else f"Joining Ray at {address} …"):
        try:
            executor = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread cannot be stopped; what it opens must be closed, or its processes would outlive this one.
            await (await opening).close()
            raise
    await runtime.services.supervisor.use(executor).close()


def _tell_retry(number: int, of: int, message: str) -> None:
    sys.stderr.write(f"It failed: {message} Retry {number} of {of}.\n")


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


def _run_recorded(client: Client, wish: Wish) -> dict[str, Any]:
    saved = client.post("/workflows", {"document": wish.document})
    started = client.start(saved["workflow"]["id"], items=wish.items, trigger=wish.trigger)
    execution_id = started["execution"]["id"]
    sys.stderr.write(f"{saved['workflow']['id']} version {saved['version']}, {execution_id}\n")
    for retry in range(wish.retries + 1):
        if wish.verbose:
            for event in client.events(execution_id):
                err().print(event_line(event["type"], event["at"], event["data"]))
        else:
            with progress(f"Running {saved['workflow']['name']} on the server …"):
                client.wait(execution_id)
        detail = _read_recorded(client, execution_id)
        if detail["execution"]["status"] != "failed" or retry == wish.retries:
            break
        _tell_retry(retry + 1, wish.retries, detail["execution"]["failure"]["message"])
        execution_id = client.post(f"/executions/{execution_id}/retry", {})["execution"]["id"]
    return detail

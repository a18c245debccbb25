"""budflow serve: run the server with its API, webhooks and MCP, until it is told to stop."""

import asyncio
import sys
from typing import Annotated, Literal

import orjson
import typer
import uvloop

from budflow.cli.options import AsJson, Options
from budflow.log import configure
from budflow.server.serve import Served, serve

app = typer.Typer()


@app.command("serve")
def serve_command(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="A loopback address; over BUDFLOW_HOST.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0 takes a free one; over BUDFLOW_PORT.")] = None,
    executor: Annotated[
        Literal["inprocess", "ray"] | None, typer.Option(help="Where executions run; over BUDFLOW_EXECUTOR.")
    ] = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None, typer.Option(help="Over BUDFLOW_LOG_LEVEL.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the server: API, webhooks and MCP on one port of this machine.

    It owns the data directory: the other commands reach it by the socket there, and a `budflow mcp` that owned it
    hands over. SIGTERM and Ctrl-C let what runs end for ten seconds at most; a second one ends it at once. With --json
    one line on stdout tells where it answers, when it does.

    Examples:

      budflow serve

      budflow serve --port 0 --json

      BUDFLOW_DATABASE_URL=postgresql://budflow@localhost/budflow budflow serve
    """
    options: Options = ctx.obj
    settings = options.settings(host=host, port=port, executor=executor, log_level=log_level)
    configure(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, _tell_json if as_json else _tell))


def _tell(served: Served) -> None:
    sys.stderr.write(f"BudFlow answers at {served.url} (API docs: {served.docs}); Ctrl-C stops it.\n")
    sys.stderr.flush()


def _tell_json(served: Served) -> None:
    shape = {"url": served.url, "docs": served.docs, "mcp": f"{served.url}/mcp", "socket": str(served.socket)}
    sys.stdout.write(orjson.dumps(shape).decode() + "\n")
    sys.stdout.flush()

"""budflow mcp: speak MCP on stdin and stdout, for an agent's desktop client."""

import asyncio

import typer
import uvloop

from budflow.cli.options import Options
from budflow.log import configure
from budflow.server.stdio import serve_stdio

app = typer.Typer()


@app.command()
def mcp(ctx: typer.Context) -> None:
    """Speak MCP on stdin and stdout; desktop clients of agents start this by themselves.

    It passes everything on to the server that owns the data directory. Without one it becomes the owner: workflows run
    here, webhooks are not served, and it hands over as soon as you start `budflow serve`.

    A client's settings name the command `budflow` with the argument `mcp`.

    Example: claude mcp add budflow -- budflow mcp
    """
    options: Options = ctx.obj
    settings = options.settings()
    configure(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_stdio(settings))

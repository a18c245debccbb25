"""budflow worker: take executions from the queue in PostgreSQL and run them, until it is told to stop."""

import asyncio
import sys
from contextlib import redirect_stdout
from typing import Annotated, Literal

import orjson
import typer
import uvloop

from budflow.cli.draw_runners import RunnersShown
from budflow.cli.options import AsJson, Options
from budflow.cli.runner_options import LabelOption, RayAddress, ResourceOption, RunnersOption, wanted_runners
from budflow.log import configure
from budflow.server.work import Working, work
from budflow.server.work_on_ray import work_on_ray
from budflow.settings import Settings
from ray_jobs.placement import Wanted

app = typer.Typer()


@app.command("worker")
def worker_command(
    ctx: typer.Context,
    running_max: Annotated[
        int | None, typer.Option(min=1, help="How many executions at the same time; over BUDFLOW_RUNNING_MAX.")
    ] = None,
    drain_seconds: Annotated[
        float | None,
        typer.Option(min=0, help="How long what runs may take to end when stopped; over BUDFLOW_DRAIN_SECONDS."),
    ] = None,
    ray: RayAddress = None,
    runners: RunnersOption = None,
    label: LabelOption = None,
    resource: ResourceOption = None,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | None, typer.Option(help="Over BUDFLOW_LOG_LEVEL.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run executions beside your servers, on this machine or another one; it needs their PostgreSQL.

    It takes its share of what is queued. It must have the encryption keys of the servers, and the same place for blobs:
    BUDFLOW_ENCRYPTION_KEYS and BUDFLOW_BLOB_URL, or on the same machine their data directory. SIGTERM and Ctrl-C let
    what runs end for ten seconds at most and give back the rest; a second one ends it at once, and what it had is taken
    over by others. With --json one line on stdout tells when it takes executions.

    With --ray it keeps runner actors on a Ray cluster, each such a worker itself: it makes them on every node, replaces
    those that die, and drains them at the end unless another worker keeps them too. With --json a line on stdout tells
    of them whenever one of them changes.

    Examples:

      BUDFLOW_DATABASE_URL=postgresql://budflow@db.example/budflow budflow worker

      budflow --config cluster.toml worker --running-max 50 --drain-seconds 60 --json

      RAY_AUTH_TOKEN_PATH=token budflow worker --ray head.example:6379 --label tier=runner
    """
    options: Options = ctx.obj
    wanted = wanted_runners(ray, runners, label, resource)
    settings = options.settings(
        running_max=running_max, drain_seconds=drain_seconds, log_level=log_level, ray_address=ray
    )
    configure(settings.log_level)
    if wanted is not None:
        _keep_on_ray(settings, wanted, as_json)
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work(settings, _tell_json if as_json else _tell))


def _keep_on_ray(settings: Settings, wanted: Wanted, as_json: bool) -> None:
    stdout = sys.stdout
    # What Ray tells of its nodes it prints to stdout, between our lines.
    with redirect_stdout(sys.stderr), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        left = runner.run(work_on_ray(settings, wanted, RunnersShown(stdout if as_json else None)))
    if as_json:
        stdout.write(orjson.dumps({"ended": left.ended, "kept_by_others": left.others}).decode() + "\n")
        return
    others = f", and {left.others} stay, which other workers keep" if left.others else ""
    sys.stderr.write(f"{left.ended} runner actors were drained{others}.\n")


def _tell(working: Working) -> None:
    sys.stderr.write(
        f"BudFlow works as {working.runner} on up to {working.running_max} executions at a time; Ctrl-C stops it.\n"
    )
    sys.stderr.flush()


def _tell_json(working: Working) -> None:
    shape = {
        "runner": working.runner,
        "host": working.host,
        "pid": working.pid,
        "running_max": working.running_max,
    }
    sys.stdout.write(orjson.dumps(shape).decode() + "\n")
    sys.stdout.flush()

"""budflow status: what the server and its whole installation are made of, and how they are doing."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any

import orjson
import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from budflow.cli.client import Client, connect
from budflow.cli.draw import moment
from budflow.cli.draw_cluster import (
    latency_text,
    leader_text,
    queue_text,
    ray_nodes_table,
    runners_table,
    throughput_text,
    waiting_text,
    wakes_text,
)
from budflow.cli.draw_sandbox import sandbox_text
from budflow.cli.exit_codes import ServerNotRunning, ServerUnreachable, UsageError
from budflow.cli.options import AsJson, Options
from budflow.cli.report import facts, out, table, write_json
from budflow.storage.owner import Owner, read_owner

WATCH_SECONDS = 1.0
NOT_RUNNING: Mapping[str, Any] = {"running": False, "owner": None, "server": None, "cluster": None}

app = typer.Typer()


@app.command()
def status(
    ctx: typer.Context,
    watch: Annotated[
        bool, typer.Option("--watch", help="Draw it again each second until Ctrl-C; with --json a line each second.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show real figures: who owns the data directory, who leads, every runner, the queue, how much passes through it.

    Exits with 3 when no server is running.

    Examples:

      budflow status --json

      budflow status --watch
    """
    options: Options = ctx.obj
    if watch and not as_json and not out().is_terminal:
        raise UsageError("--watch draws on a terminal, and stdout is none.", hint="Add --json for a line each second.")
    try:
        with connect(options) as client:
            if watch:
                _watch(options, client, as_json=as_json)
                return
            figures = _read(options, client)
    except ServerNotRunning:
        if as_json:
            write_json(NOT_RUNNING)
        raise
    if as_json:
        write_json(figures)
    else:
        out().print(_drawn(figures))


def _read(options: Options, client: Client) -> dict[str, Any]:
    """All that is shown, as JSON."""
    owner = _owner(options)
    server, cluster = client.get("/status"), client.get("/cluster")
    return {"running": True, "owner": owner and owner.to_json(), "server": server, "cluster": cluster}


def _owner(options: Options) -> Owner | None:
    return None if options.url is not None else read_owner(options.settings().data_dir)


def _watch(options: Options, client: Client, *, as_json: bool) -> None:
    """Until Ctrl-C. A server that is away for a while is waited for; one that never answered ends the command."""
    with suppress(KeyboardInterrupt):
        if as_json:
            for figures in _each_second(options, client):
                sys.stdout.write(orjson.dumps(figures, default=str).decode() + "\n")
                sys.stdout.flush()
            return
        with Live(console=out(), auto_refresh=False) as live:
            for figures in _each_second(options, client):
                live.update(_drawn(figures), refresh=True)


def _each_second(options: Options, client: Client) -> Iterator[Mapping[str, Any]]:
    yield _read(options, client)
    while True:
        time.sleep(WATCH_SECONDS)
        try:
            figures: Mapping[str, Any] = _read(options, client)
        except ServerUnreachable as error:
            figures = {**NOT_RUNNING, "problem": error.message}
        yield figures


def _drawn(figures: Mapping[str, Any]) -> RenderableType:
    if not figures["running"]:
        return Text(f"{figures['problem']} Still looking.", style="red")
    server, cluster = figures["server"], figures["cluster"]
    parts: list[RenderableType] = [
        facts(_facts(figures["owner"], server, cluster)),
        Text("\nRunners", style="bold"),
        runners_table(cluster["runners"]),
        *_executor(server["executor"]),
    ]
    nodes = (cluster["ray"] or {}).get("nodes")
    if nodes:
        parts += [Text("\nRay nodes", style="bold"), ray_nodes_table(nodes)]
    return Group(*parts)


def _facts(owner: Mapping[str, Any] | None, server: Mapping[str, Any], cluster: Mapping[str, Any]) -> Mapping[str, Any]:
    serves = None
    if owner is not None:
        serves = "served" if owner["kind"] == "serve" else "not served: start `budflow serve`, it takes over"
    queue, redis, versions = cluster["queue"], cluster["redis"], cluster["versions"]
    return {
        "server": f"budflow {server['version']}, Python {server['python']}, pid {server['pid']}",
        "owner": owner and f"`budflow {owner['kind']}` since {moment(owner['started_at'])}",
        "address": owner and (owner["address"] or owner["socket"]),
        "webhooks": serves,
        "database": f"{server['database']}, {latency_text(cluster['database']['latency'])}",
        "redis": redis and (redis["error"] or latency_text(redis["latency"])),
        "wakes": wakes_text(cluster["wakes"]),
        "blobs": _blobs_text(server["blobs"]),
        "sandbox": sandbox_text(server["sandbox"]),
        "leader": leader_text(cluster["leader"]),
        "running": f"{server['running']} of at most {server['running_max']}",
        "executions": ", ".join(f"{count} {status}" for status, count in server["executions"].items()),
        "queue": queue_text(queue),
        "waiting": waiting_text(queue),
        "throughput": throughput_text(cluster["throughput"]),
        "node types": server["node_types"],
        "tables": versions["tables"],
        "runner": server["runner"],
        **{f"no {name}": Text(why, style="dim") for name, why in cluster["unused"].items()},
    }


def _blobs_text(blobs: Mapping[str, Any]) -> Text:
    if blobs["works"]:
        return Text(str(blobs["place"]))
    return Text(f"{blobs['problem']} {blobs['hint']}", style="red")


def _executor(executor: Mapping[str, Any]) -> Iterator[RenderableType]:
    plain = {name: value for name, value in executor.items() if not isinstance(value, list | dict) and name != "name"}
    yield Text(f"\nExecutor {executor['name']}", style="bold")
    yield facts(plain)
    ray = executor.get("ray")
    if ray:
        yield facts({"ray": ray["state"], "because": ray.get("message"), "hint": ray.get("hint")})
    runners = executor.get("runners")
    if runners:
        columns = list(runners[0])
        yield table(*columns, rows=[[runner.get(column) for column in columns] for runner in runners])

"""budflow status: what the server is made of and how it is doing."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from budflow.cli.client import connect
from budflow.cli.draw import moment
from budflow.cli.exit_codes import ServerNotRunning
from budflow.cli.options import AsJson, Options
from budflow.cli.report import facts, out, table, write_json
from budflow.storage.owner import read_owner

app = typer.Typer()


@app.command()
def status(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the server's real figures: who owns the data directory, where executions run, how many run and wait.

    Exits with 3 when no server is running.

    Example: budflow status --json
    """
    options: Options = ctx.obj
    try:
        with connect(options) as client:
            figures = client.get("/status")
    except ServerNotRunning:
        if as_json:
            write_json({"running": False, "owner": None, "server": None})
        raise
    owner = None if options.url is not None else read_owner(options.settings().data_dir)
    if as_json:
        write_json({"running": True, "owner": owner and owner.to_json(), "server": figures})
        return
    serves = None
    if owner is not None:
        serves = "served" if owner.kind == "serve" else "not served: start `budflow serve`, it takes over"
    out().print(
        facts(
            {
                "server": f"budflow {figures['version']}, Python {figures['python']}, pid {figures['pid']}",
                "owner": owner and f"`budflow {owner.kind}` since {moment(owner.started_at)}",
                "address": owner and (owner.address or owner.socket),
                "webhooks": serves,
                "database": figures["database"],
                "running": f"{figures['running']} of at most {figures['running_max']}",
                "executions": ", ".join(f"{count} {status}" for status, count in figures["executions"].items()),
                "node types": figures["node_types"],
                "runner": figures["runner"],
            }
        )
    )
    _print_runners(figures["runners"])
    _print_executor(figures["executor"])


def _print_runners(runners: Sequence[Mapping[str, Any]]) -> None:
    console = out()
    console.print("\nRunners", style="bold")
    console.print(
        table(
            *("id", "where", "since", "lease", "running", "taken over"),
            rows=[
                (
                    one["id"],
                    f"{one['host']} pid {one['pid']}",
                    moment(one["started_at"]),
                    f"until {moment(one['lease_until'])}" if one["lease_until"] else "as long as it lives",
                    one["running"],
                    one["taken_over"],
                )
                for one in runners
            ],
        )
    )


def _print_executor(executor: Mapping[str, Any]) -> None:
    plain = {name: value for name, value in executor.items() if not isinstance(value, list | dict) and name != "name"}
    console = out()
    console.print(f"\nExecutor {executor['name']}", style="bold")
    console.print(facts(plain))
    ray = executor.get("ray")
    if ray:
        console.print(facts({"ray": ray["state"], "because": ray.get("message"), "hint": ray.get("hint")}))
    runners = executor.get("runners")
    if runners:
        columns = list(runners[0])
        console.print(table(*columns, rows=[[runner.get(column) for column in columns] for runner in runners]))

"""demo: the main job on real input: an agent builds a workflow over MCP, a signed webhook runs it, it is read back."""

import asyncio
from typing import Annotated, Any, Literal

import orjson
import typer
from rich.console import Console
from rich.table import Table

from budflow.cli.demo.story import Finding, run_demo
from budflow.cli.draw import execution_tree

app = typer.Typer()


@app.command(
    epilog="Examples:\n\n  budflow demo\n\n  budflow demo --executor inprocess\n\n  budflow demo --json | jq .answer"
)
def demo(
    executor: Annotated[
        Literal["ray", "inprocess"], typer.Option(help="Where executions run; `ray` starts a local cluster.")
    ] = "ray",
    as_json: Annotated[bool, typer.Option("--json", help="Print what came of it as one JSON document.")] = False,
) -> None:
    """Start a server, build a workflow as an agent does, send it a GitHub push and show what happened where."""
    console = Console(stderr=as_json)
    finding = asyncio.run(run_demo(executor, Teller(console)))
    if as_json:
        shape = {name: getattr(finding, name) for name in ("answer", "parent", "child", "docs", "dashboard")}
        typer.echo(orjson.dumps(shape).decode())
    else:
        _show(console, finding)


class Teller:
    """Prints each step as it is done."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __call__(self, step: str, what: Any) -> None:
        """Print one step: each has a method named after it."""
        getattr(self, f"_{step}")(what)

    def _title(self, text: str) -> None:
        self._console.print(f"\n[bold cyan]●[/] [bold]{text}[/]")

    def _server(self, what: dict[str, Any]) -> None:
        self._title(f"A server, ready after {what['seconds']:.1f} s: {what['address']} (process {what['pid']})")

    def _search(self, nodes: list[dict[str, Any]]) -> None:
        self._title("An agent connects over MCP and searches for node types")
        for node in nodes:
            self._console.print(f"    {node['type']:<20} {node['summary']}", highlight=False)

    def _node(self, node: dict[str, Any]) -> None:
        names = ", ".join(node["params"].get("properties", {}))
        self._console.print(f"  It reads {node['type']}: takes {names}", highlight=False)

    def _problems(self, problems: list[dict[str, Any]]) -> None:
        self._title(f"It validates a first draft: {len(problems)} problems at once, each with a hint")
        table = Table("code", "at", "hint", box=None, padding=(0, 2), header_style="dim")
        for problem in problems:
            table.add_row(problem["code"], problem["path"], problem["hint"])
        self._console.print(table)

    def _published(self, published: dict[str, Any]) -> None:
        self._title(f"It mends the draft, creates and publishes it: {', '.join(published['webhooks'])}")

    def _ray(self, ray: dict[str, Any]) -> None:
        self._title(f"Ray is up after another {ray['seconds']:.1f} s, with {len(ray.get('runners', []))} runner actors")

    def _answer(self, answer: dict[str, Any]) -> None:
        self._title(
            f"GitHub pushes {answer['payload_bytes']} signed bytes (a forged signature was refused); "
            f"answered after {answer['milliseconds']:.0f} ms"
        )
        self._console.print_json(data=answer["body"], indent=2)


def _show(console: Console, finding: Finding) -> None:
    console.print("\n[bold cyan]●[/] [bold]The execution, read back over MCP and the HTTP API[/]")
    console.print(execution_tree(finding.parent, {finding.child["execution"]["id"]: finding.child}))
    console.print(f"\nAPI docs       {finding.docs}")
    console.print(f"Ray dashboard  {finding.dashboard or 'none: executions ran in the server'}")
    console.print("Both ended with the demo's server; `budflow serve` keeps one running.")

"""The console script `budflow`: finds the command by its file's name, imports that one alone, and reports errors."""

import ast
import gc
import importlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from budflow import __version__
from budflow.cli.exit_codes import FAILED, exit_code
from budflow.cli.options import Options
from budflow.errors import BudflowError

COMMANDS = Path(__file__).parent / "commands"
#: In the order of `budflow --help`: what a newcomer needs first. Others follow by name.
ORDER = (
    *("serve", "mcp", "run", "validate", "workflow", "execution", "schedule", "wait", "credential", "status", "worker"),
    *("sandbox", "doctor", "demo"),
)

EPILOG = """Exit codes: 0 done · 1 failed, or a problem was found · 2 wrong usage · 3 no server can be reached.
Settings are BUDFLOW_* variables or a TOML file named by --config; see `budflow serve --help`."""


def command_names() -> list[str]:
    """Every command there is, found by listing the folder: nothing is imported."""
    found = {path.stem for path in COMMANDS.glob("*.py") if not path.stem.startswith("_")}
    return [name for name in ORDER if name in found] + sorted(found.difference(ORDER))


def load_command(name: str) -> Any:
    """Import a command's module and build it."""
    gc.disable()  # What is imported stays; looking through it for garbage takes a twentieth of a server's start.
    try:
        module = importlib.import_module(f"budflow.cli.commands.{name}")
    finally:
        gc.enable()
    command = get_command(module.app)
    command.name = name
    return command


class Unloaded(TyperCommand):
    """Stands for a command whose module is imported when the command is called, not when it is listed."""

    def __init__(self, name: str) -> None:
        source = (COMMANDS / f"{name}.py").read_text(encoding="utf-8")
        sentence = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
        super().__init__(name, help=sentence.partition(": ")[2])

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Load the command: from here on the real one stands in the context."""
        return load_command(str(self.name)).make_context(info_name, args, parent=parent, **extra)


class Commands(TyperGroup):
    """The commands of the folder, each loaded when it is called.

    `ctx` is Any below because typer does not export the `Context` of its base classes.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """See `command_names`."""
        return command_names()

    def get_command(self, ctx: Any, cmd_name: str) -> Unloaded | None:
        """The command by its name; None where there is no such file."""
        return Unloaded(cmd_name) if cmd_name in command_names() else None

    def invoke(self, ctx: Any) -> Any:
        """Run the command. What it refuses is shown as one block on stderr, never as a traceback."""
        try:
            return super().invoke(ctx)
        except BudflowError as error:
            from budflow.cli.report import report_error  # noqa: PLC0415 - rich; `serve` and `mcp` start without it

            report_error(error, as_json=ctx.meta.get("json", False))
            raise typer.Exit(exit_code(error)) from error


app = typer.Typer(
    cls=Commands,
    name="budflow",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"budflow {__version__}")
        raise typer.Exit


@app.callback()
def budflow(
    ctx: typer.Context,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where everything is kept; over BUDFLOW_DATA_DIR.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A TOML file with settings; over BUDFLOW_CONFIG_FILE.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="BUDFLOW_URL",
            help="Speak to this server instead of the one on this data directory; needs BUDFLOW_KEY.",
        ),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Workflows for people and LLM agents: durable executions, MCP and HTTP, in one process or on a Ray cluster."""
    ctx.obj = Options(data_dir=data_dir, config_file=config, url=url)


def main() -> None:
    """Run the command line. An interrupt ends it as a shell expects, without a traceback."""
    _open_standard_streams()
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # The reader of a pipe, such as `head`, has seen enough.
        sys.stderr.close()
        sys.exit(FAILED)


def _open_standard_streams() -> None:
    """Put /dev/null where stdin, stdout or stderr is closed: a stray print into a database file would break it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # It takes the lowest number that is free, which is this one.

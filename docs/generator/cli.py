"""docs/reference/cli.md: the commands, from typer's tree."""

from collections.abc import Iterator
from inspect import cleandoc
from itertools import groupby
from typing import Any, Literal, get_args, get_origin

from typer.main import get_command

from budflow.cli.main import app, command_names, load_command
from generator.markdown import Page, block, code, page, table

WORDS = {int: "NUMBER", float: "NUMBER", str: "TEXT"}
EXAMPLE = "Example: "
OMITTED = ("help", "install_completion", "show_completion")


def pages() -> Iterator[Page]:
    """The one page."""
    root = get_command(app)
    commands = {name: load_command(name) for name in command_names()}
    sections = [section for name, command in commands.items() for section in _sections(command, f"budflow {name}")]
    yield page(
        "reference/cli.md",
        "# Command line",
        _help(root.help or ""),
        "These options stand before the command, as in `budflow --data-dir DIR status`:",
        _parameters(root),
        _help(root.epilog or ""),
        table(["command", "what it does"], ([_link(name), _first(command)] for name, command in commands.items())),
        *sections,
    )


def _sections(command: Any, name: str, level: int = 2) -> Iterator[str]:
    """The command, then its subcommands."""
    parts = [f"{'#' * level} {name}", block("text", _usage(command, name)), _help(command.help or "")]
    yield "\n\n".join(part for part in (*parts, _parameters(command), _help(command.epilog or "")) if part)
    for inner, found in getattr(command, "commands", {}).items():
        yield from _sections(found, f"{name} {inner}", level + 1)


def _link(name: str) -> str:
    return f"[{code(f'budflow {name}')}](#budflow-{name})"


def _first(command: Any) -> str:
    return cleandoc(command.help or "").partition("\n\n")[0]


def _usage(command: Any, name: str) -> str:
    words = [name]
    for parameter in _shown(command):
        if parameter.param_type_name == "argument":
            words.append(_argument(parameter) if parameter.required else f"[{_argument(parameter)}]")
    if any(parameter.param_type_name == "option" for parameter in _shown(command)):
        words.insert(1, "[OPTIONS]")
    if getattr(command, "commands", None):
        words.append("COMMAND")
    return " ".join(words)


def _argument(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _parameters(command: Any) -> str:
    rows = [[_name(parameter), _default(parameter), parameter.help or ""] for parameter in _shown(command)]
    return table(["parameter", "default", "meaning"], rows) if rows else ""


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return code(_argument(parameter))
    names = "/".join(filter(None, [", ".join(parameter.opts), ", ".join(parameter.secondary_opts)]))
    value = "" if parameter.is_flag else f" {_value(parameter)}"
    variable = f" ({code(parameter.envvar)})" if isinstance(parameter.envvar, str) else ""
    return code(names + value) + variable


def _value(parameter: Any) -> str:
    annotation = parameter.type_descriptor.annotation
    choices = get_args(annotation) if get_origin(annotation) is Literal else ()
    return str(parameter.metavar or "|".join(map(str, choices)) or WORDS.get(annotation, "VALUE"))


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    shown = parameter.default
    return "" if shown in (None, False, (), "") or callable(shown) else code(getattr(shown, "value", shown))


def _shown(command: Any) -> list[Any]:
    return [one for one in command.params if one.name not in OMITTED and not getattr(one, "hidden", False)]


def _help(text: str) -> str:
    """A help text, with its indented paragraphs and what follows `Example:` as blocks of code."""
    paragraphs = [part.strip("\n").replace(EXAMPLE, f"{EXAMPLE}\n\n  ") for part in text.split("\n\n")]
    paragraphs = [part for paragraph in paragraphs for part in paragraph.split("\n\n") if part.strip()]
    parts: list[str] = []
    for is_example, found in groupby(paragraphs, key=lambda part: part.startswith("  ")):
        shown = [part.strip() for part in found]
        parts += [block("sh", "\n".join(shown))] if is_example else shown
    return "\n\n".join(parts)

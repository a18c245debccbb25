"""Values of credentials from where no other program sees them: a file, stdin, or a prompt; never from arguments."""

import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from budflow.cli.exit_codes import UsageError
from budflow.cli.options import read_file
from budflow.cli.report import err
from budflow.graph.parse import read_json
from budflow.model.problem import WorkflowInvalid
from budflow.services.kind_fields import KindField, number_of


def values_from_file(name: str) -> dict[str, Any]:
    """The JSON object in a file, or on stdin for `-`. Raises UsageError, which quotes nothing of it."""
    text = _text_of(name)
    try:
        values = read_json(text)
    except WorkflowInvalid as error:
        said = " ".join(problem.message for problem in error.problems[:3])
        raise UsageError(f"{_called(name)}: {said}", hint=_EXPECTED) from None
    if not isinstance(values, dict):
        raise UsageError(f"{_called(name)} holds no JSON object.", hint=_EXPECTED)
    return dict(values)


def values_from_prompt(fields: Sequence[KindField], *, all_optional: bool = False) -> dict[str, Any]:
    """What somebody types, secrets without echo; what is left empty is left out. Raises UsageError without a terminal.

    `all_optional`: what is required of a new credential may be left empty too.
    """
    if not sys.stdin.isatty():
        raise UsageError("There is no terminal to ask for the values.", hint="Name a file by --file, or - for stdin.")
    values: dict[str, Any] = {}
    for field in fields:
        required = field.required and not all_optional
        err().print(f"{field.name}: {field.description}", markup=False, style="dim")
        value = _asked(field, required=required, unchanged=all_optional)
        if value not in ("", None, {}, []):
            values[field.name] = value
    return values


_EXPECTED = 'Give one JSON object with the fields of the kind, such as {"token": "…"}; see `budflow credential kinds`.'


def _called(name: str) -> str:
    return "stdin" if name == "-" else name


def _text_of(name: str) -> str:
    """What a file holds, with a warning where others can read it too."""
    text = read_file(name)
    if name != "-":
        mode = Path(name).stat().st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
            err().print(f"Warning: other users of this machine can read {name}. Try: chmod 600 {name}", markup=False)
    return text


def _asked(field: KindField, *, required: bool, unchanged: bool) -> Any:
    match field.shape:
        case "secret":
            return _prompt(field.name, required=required, hidden=True)
        case "lines":
            file = _prompt(f"{field.name} (a file that holds it)", required=required)
            return _text_of(str(Path(file).expanduser())) if file else ""  # No shell has seen the tilde.
        case "pairs":
            return _pairs(field, required=required)
        case "list":
            listed = _prompt(f"{field.name} (separated by commas)", required=required)
            return [part for part in map(str.strip, listed.split(",")) if part]
        case "boolean":
            if unchanged:  # A question with two answers has no room for a third.
                answer = _prompt(f"{field.name} (true or false)", required=False)
                return {"true": True, "false": False}.get(answer, answer)
            return typer.confirm(field.name, default=field.default == "True", err=True)
        case shape:
            named = f"{field.name} ({', '.join(field.options)})" if field.options else field.name
            text = _prompt(named, required=required, default="" if unchanged else field.default)
            return number_of(text) if shape == "number" else text


def _pairs(field: KindField, *, required: bool) -> dict[str, str]:
    pairs: dict[str, str] = {}
    while name := _prompt(f"{field.name}: name (empty: no more)", required=required and not pairs):
        pairs[name] = _prompt(f"{field.name}: value of {name}", required=True, hidden=field.secret)
    return pairs


def _prompt(label: str, *, required: bool, default: str = "", hidden: bool = False) -> str:
    text: str
    if required and not default:
        text = typer.prompt(label, hide_input=hidden, err=True)
    else:
        text = typer.prompt(label, default=default, show_default=bool(default), hide_input=hidden, err=True)
    return text

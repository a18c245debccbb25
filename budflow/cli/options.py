"""What every command takes: where the server or its data is, and how the answer is written."""

import os
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from budflow.cli.exit_codes import UsageError
from budflow.errors import BudflowError
from budflow.settings import Settings

FILE_BYTES_MAX = 16 * 1024 * 1024
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


class SettingsInvalid(BudflowError):
    """A setting is wrong."""

    code = "settings.invalid"
    hint = "Correct the variable or the line of the file that is named, or take it out for the default."


@dataclass(frozen=True, slots=True)
class Options:
    """The options before the command."""

    data_dir: Path | None = None
    config_file: Path | None = None
    url: str | None = None

    def settings(self, **over: Any) -> Settings:
        """The settings, these options and `over` (None: not given) above all. Raises SettingsInvalid."""
        given = {"data_dir": self.data_dir, "config_file": self.config_file, **over}
        given = {name: value for name, value in given.items() if value is not None}
        named = given.get("config_file") or os.environ.get("BUDFLOW_CONFIG_FILE")
        if named and not Path(named).is_file():
            raise SettingsInvalid(
                f"There is no settings file {named}.", hint="Correct --config or BUDFLOW_CONFIG_FILE."
            )
        try:
            return Settings(**given)
        except ValidationError as error:
            raise SettingsInvalid(
                "\n".join(_explain(detail["loc"], detail["msg"], given, named) for detail in error.errors())
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsInvalid(f"{named} is not TOML: {error}.") from error


def _explain(where: tuple[int | str, ...], message: str, given: dict[str, Any], file: object) -> str:
    """A wrong setting by the name under which it was set. Never its value: it may hold a password."""
    name = str(where[0]) if where else "settings"
    variable = f"BUDFLOW_{name.upper()}"
    if name in given:
        source = f"--{name.replace('_', '-')}"
    elif variable in os.environ:
        source = variable
    else:
        source = f"`{name}` in {file}"
    inside = ".".join(str(part) for part in where[1:] if part != "[key]")
    at = f", at `{inside}`" if inside else ""
    return f"{source}{at}: {message.removeprefix('Value error, ').rstrip('.')}."


def note_json(ctx: typer.Context, wanted: bool) -> bool:
    """Remember that JSON is wanted."""
    # Beside the parameter, because errors are reported above the command; `meta` is shared by all contexts.
    ctx.meta["json"] = wanted
    return wanted


AsJson = Annotated[
    bool, typer.Option("--json", callback=note_json, help="Write one JSON document, for programs, instead of text.")
]


def one_id(text: str) -> str:
    """An id as it may stand in a path. Raises typer.BadParameter for what would lead elsewhere, such as `..`."""
    if not _ID.fullmatch(text):
        raise typer.BadParameter(f"`{text}` is no id; copy it from the list.")
    return text


def read_file(name: str) -> str:
    """The text of a file, or of stdin for `-`. Raises UsageError."""
    try:
        if name == "-":
            content = sys.stdin.buffer.read(FILE_BYTES_MAX + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}.", hint="Name a file, or - for stdin.") from error
    if len(content) > FILE_BYTES_MAX:
        raise UsageError(f"{name} is larger than {FILE_BYTES_MAX} bytes.", hint="Send less.")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 text.", hint="Save the file as UTF-8.") from error

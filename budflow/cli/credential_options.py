"""What the commands about credentials take: names, hosts, grants and files, and never a value."""

import re
from collections.abc import Sequence
from typing import Annotated

import typer

from budflow.model.credential import NAME_PATTERN

_REFERENCE = re.compile(r"[a-z][a-z0-9._-]{0,99}")
_GRANT = re.compile(r"project|(?:workflow|principal):[A-Za-z0-9_.@:-]{1,100}")


def one_reference(text: str) -> str:
    """A name or an id as it may stand in a path. Raises typer.BadParameter."""
    if not _REFERENCE.fullmatch(text):
        raise typer.BadParameter(f"`{text}` is no name of a credential; copy it from the list.")
    return text


def a_new_name(text: str | None) -> str | None:
    """A name that a credential may get, told before any value is asked for. Raises typer.BadParameter."""
    if text is not None and not re.fullmatch(NAME_PATTERN, text):
        raise typer.BadParameter(
            f"`{text}` is no name: begin with a lower-case letter, go on with lower-case letters, digits, `.`, `_` and "
            "`-`, 64 characters at most, and do not begin with `crd_`."
        )
    return text


def grants_given(given: Sequence[str] | None) -> Sequence[str] | None:
    """What `--grant` names, as it is written. Raises typer.BadParameter."""
    for text in given or ():
        if not _GRANT.fullmatch(text):
            raise typer.BadParameter(f"`{text}` is none of project, workflow:ID and principal:ID.")
    return given


Name = Annotated[
    str,
    typer.Argument(callback=one_reference, help="The credential's name or id, as `budflow credential list` shows it."),
]
Kind = Annotated[str, typer.Option(metavar="KIND", help="What it is, such as bearer; see `budflow credential kinds`.")]
NewName = Annotated[str, typer.Option(callback=a_new_name, metavar="NAME", help="By which workflows refer to it.")]
HostOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HOST",
        help="Where it may be sent, such as api.example.com, '*.example.com' or http://localhost:8080; repeatable.",
    ),
]
GrantOption = Annotated[
    list[str] | None,
    typer.Option(
        callback=grants_given,
        metavar="WHO",
        help="Who may use it: project, workflow:ID or principal:ID; repeatable.",
    ),
]
FileOption = Annotated[str | None, typer.Option(metavar="FILE", help="A JSON object with the values, or - for stdin.")]
ProbeOption = Annotated[
    str | None, typer.Option(metavar="URL", help="An address whose answer to GET shows whether it works.")
]
Cursor = Annotated[str | None, typer.Option(help="Continue a list: `next_cursor` of the page before.")]

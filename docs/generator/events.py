"""docs/reference/events.md: what a journal holds and the event stream sends."""

import dataclasses
from collections.abc import Iterator
from datetime import datetime
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from budflow.model.event import Event
from budflow.model.execution import Origin, Parent, Place
from budflow.model.failure import Failure
from budflow.model.item import ItemList
from budflow.model.log import LogLine
from generator.markdown import Page, code, codes, page, sentence, table

WORDS = {str: "text", int: "number", float: "number", bool: "true or false", datetime: "time", Any: "any JSON"}
SHAPES = {
    ItemList: "items",
    Place: "place",
    Failure: "failure",
    Parent: "parent",
    Origin: "origin",
    LogLine: "log line",
}


def pages() -> Iterator[Page]:
    """The one page."""
    yield page(
        "reference/events.md",
        "# Events",
        "The journal of an execution is a list of events, only ever added to; the state of the execution is their "
        "fold. `seq` counts from 0 without gaps, `at` is the time in UTC. An event once written is never rewritten: a "
        "change of its shape raises its version, and readers bring old shapes up to date.",
        *(_section(kind, f"{code(kind.TYPE)}, version {kind.VERSION}") for kind in get_args(Event)),
        "# Shapes in events",
        '**items** stand as columns: `{"json": […]}` with each item\'s data, and beside it, where there is something '
        "to say, `from` (the ordinal of the input item that each was made from, -1 for none or several), `errors` and "
        "`binary` (by the item's position).",
        *(_section(shape, f"{name}") for shape, name in SHAPES.items() if shape is not ItemList),
    )


def _section(kind: type, title: str) -> str:
    rows = ([code(field.name), _word(field.type)] for field in dataclasses.fields(kind) if field.name != "at")
    return f"## {title}\n\n{sentence(kind.__doc__)}\n\n{table(['field', 'what'], rows)}"


def _word(kind: Any) -> str:
    """A field's type as a reader of JSON knows it."""
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_word(option) for option in get_args(kind))
    if get_origin(kind) is Literal:
        return codes(get_args(kind))
    if get_origin(kind) is tuple:
        return f"list of {_word(get_args(kind)[0])}s"
    if get_args(kind):
        return f"object of {_word(get_args(kind)[1])}"
    return "null" if kind is type(None) else SHAPES.get(kind) or WORDS[kind]

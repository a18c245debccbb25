"""What the command line writes: JSON or tables to stdout, errors and progress to stderr."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
from pydantic import BaseModel
from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from budflow.errors import BudflowError
from budflow.model.problem import WorkflowInvalid

#: Where nobody watches, a row stays in its line, so that `grep` and `cut` work.
PIPE_COLUMNS = 200


def out() -> Console:
    """The console of stdout. Made when used, since stdout may be another one in tests and pipes."""
    return Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS)


def err() -> Console:
    """The console of stderr."""
    return Console(stderr=True, width=None if sys.stderr.isatty() else PIPE_COLUMNS)


def write_json(value: Any) -> None:
    """One JSON document on stdout, as it is: no colours, no wrapping."""
    data = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    sys.stdout.write(orjson.dumps(data, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")


def write_page(
    page: Mapping[str, Any],
    rows: str,
    draw: Callable[[Sequence[Mapping[str, Any]]], RenderableType],
    *,
    as_json: bool,
) -> None:
    """Part of a list: the entries at `rows` as `draw` draws them, and how to go on where there are more."""
    if as_json:
        write_json(page)
        return
    out().print(draw(page[rows]))
    if page["next_cursor"]:
        out().print(f"More: --cursor {page['next_cursor']}", markup=False)


def table(*columns: str, rows: Iterable[Sequence[Any]], title: str | None = None) -> Table:
    """Rows for people: the text of each cell as it is, never read as markup."""
    drawn = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for column in columns:
        drawn.add_column(column, overflow="fold", no_wrap=column == "id")  # An id is there to be copied.
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text("" if cell is None else str(cell)) for cell in row))
    return drawn


def facts(pairs: Mapping[str, Any]) -> Table:
    """Names and values below each other; what is None is left out."""
    drawn = Table.grid(padding=(0, 2))
    drawn.add_column(style="dim")
    drawn.add_column(overflow="fold")
    for name, value in pairs.items():
        if value is not None:
            drawn.add_row(Text(name), value if isinstance(value, Text) else Text(str(value)))
    return drawn


def problems_table(problems: Sequence[Mapping[str, Any]]) -> Table:
    """The validator's problems: where, what, and what to do."""
    rows = [
        (one.get("path") or "/", f"{one['message']} [{one['code']}]", one["hint"], one.get("blocks", "save"))
        for one in problems
    ]
    return table("where", "problem", "what to do", "blocks", rows=rows)


def faults_table(problems: Sequence[Mapping[str, Any]]) -> Table:
    """The problems of a request that is no document: where, what, and what to do."""
    rows = [(one.get("path") or "/", f"{one['message']} [{one['code']}]", one["hint"]) for one in problems]
    return table("where", "problem", "what to do", rows=rows)


def report_error(error: BudflowError, *, as_json: bool) -> None:
    """An error as one block on stderr: message, code, hint, and every problem of a document."""
    problems = problems_of(error)
    if as_json:
        shape: dict[str, Any] = {
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "details": error.details,
        }
        if problems:
            shape["problems"] = problems
        sys.stderr.write(orjson.dumps(shape, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")
        return
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        of_document = error.code == WorkflowInvalid.code
        said = f"The {'workflow document' if of_document else 'request'} has {count}."
        block(said, error.code, error.hint, problems_table(problems) if of_document else faults_table(problems))
    else:
        block(error.message, error.code, error.hint)


def block(message: str, code: str, hint: str, *more: RenderableType) -> None:
    """A framed error on stderr; without frame where stderr is no terminal."""
    console = err()
    lines: list[RenderableType] = [Text(message)]
    if hint:
        lines.append(Text.assemble(("Hint: ", "bold"), hint))
    if console.is_terminal:
        console.print(Panel(Group(*lines, *more), title=Text(code), title_align="left", border_style="red"))
        return
    console.print(Text(f"error [{code}]: {message}"))
    for line in (*lines[1:], *more):
        console.print(line)


def problems_of(error: BudflowError) -> list[dict[str, Any]]:
    """The problems of a refused document, as the validator told them here or a server did."""
    if isinstance(error, WorkflowInvalid):
        return [
            {"code": one.code, "path": one.path, "message": one.message, "hint": one.hint, "blocks": one.blocks}
            for one in error.problems
        ]
    told = error.details.get("problems", [])
    return list(told) if isinstance(told, list) else []


@contextmanager
def progress(what: str) -> Iterator[None]:
    """A spinner on stderr while something takes long; nothing where stderr is no terminal."""
    console = err()
    if console.is_terminal:
        with console.status(Text(what)):
            yield
    else:
        yield

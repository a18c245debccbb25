"""files.read_lines: read a text file of the server line by line, each line an item."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Literal

import orjson
from pydantic import Field

from budflow.errors import BudflowError
from budflow.model.failure import NodeError
from budflow.model.files import FilesCapability
from budflow.model.item import Json
from budflow.model.node import Batch, Example, Outputs, Params, node
from budflow.nodes.files.encoding import Encoding

LINE_BYTES_MAX = 16 * 1024 * 1024
#: As much of a faulty line is shown.
SHOWN_CHARACTERS_MAX = 1_000

BOM = b"\xef\xbb\xbf"


class LineFaulty(NodeError):
    """A line of the file is not what it should be."""

    code = "file.line_faulty"
    hint = (
        "Mend the line, or set `on_error` to `error_output` or `continue`: then the other lines are read all the same."
    )


class LineTooLong(NodeError):
    """A line of the file is too long."""

    code = "file.line_too_long"
    hint = f"A line may have {LINE_BYTES_MAX // 1024**2} MiB. Is this a file of lines?"


class ReadLinesParams(Params):
    """Which file, and what its lines are."""

    path: str = Field(
        min_length=1,
        description="Path of the file on the server: absolute, or counted from the first directory in the setting "
        "`file_roots`. It must be below one of those directories; symbolic links are not followed.",
    )
    format: Literal["json_lines", "text"] = Field(
        default="json_lines",
        description="`json_lines`: each line is JSON; an object is the item itself, anything else becomes its field "
        "`value`. `text`: each line becomes the field `line`. Empty lines are left out of JSON and kept in text.",
    )
    encoding: Encoding = Field(default="utf-8", description="How the characters of the file are encoded.")


@node(
    "files.read_lines",
    kind="list",
    params=ReadLinesParams,
    examples=[
        Example(
            title="Orders of a day, one a line",
            params={"path": "orders/{{ $json.day }}.jsonl"},
            given=[{"day": "2030-01-02"}],
            files={"orders/2030-01-02.jsonl": '{"order": 1, "total": 20}\n{"order": 2, "total": 5}\n'},
            expect={"main": [{"order": 1, "total": 20}, {"order": 2, "total": 5}]},
        ),
        Example(
            title="The lines of a log",
            params={"path": "app.log", "format": "text"},
            given=[{}],
            files={"app.log": "started\nready\n"},
            expect={"main": [{"line": "started"}, {"line": "ready"}]},
        ),
    ],
)
async def read_lines(batch: Batch[ReadLinesParams]) -> AsyncGenerator[Outputs, None]:
    """Read a file of the server line by line; each line leaves by `main` as an item of its own.

    Files of any length are read in parts, so that a list of millions of lines needs little memory, here and in the
    nodes behind. With several input items, the file of each is read, one after the other. A line that is faulty is an
    item that failed: by default the node stops there; with `on_error` `error_output` it leaves by `error` with its
    number and text, and the others are read. It needs the setting `file_roots`.
    """
    for index, params in batch.each():
        number = 0
        try:
            async with aclosing(_blocks(batch.files, params.path)) as blocks:
                async for lines in blocks:
                    outputs = Outputs()
                    for line in lines:
                        number += 1
                        _put(outputs, index, params, number, line)
                    yield outputs
        except BudflowError as error:
            failed = Outputs()
            failed.fail(index, error)
            yield failed
        else:
            batch.log.for_item(index).info("Read the file", path=params.path, lines=number)
    yield Outputs()


async def _blocks(files: FilesCapability, path: str) -> AsyncGenerator[Sequence[bytes], None]:
    """The lines of a file, as many at a time as are read in one go."""
    rest = b""
    first = True
    async with files.read(path) as file:
        while data := await file.read():
            if first:
                data, first = data.removeprefix(BOM), False
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > LINE_BYTES_MAX or any(len(line) > LINE_BYTES_MAX for line in lines[:1]):
                raise LineTooLong(f"{path} has a line of more than {LINE_BYTES_MAX} bytes.", path=path)
            yield lines
    if rest:
        yield [rest]


def _put(outputs: Outputs, index: int, params: ReadLinesParams, number: int, line: bytes) -> None:
    try:
        for json in _items_of(params, line):
            outputs.emit("main", json, index)
    except ValueError as error:  # What is no JSON, and what is not of this encoding.
        shown = line[: 4 * SHOWN_CHARACTERS_MAX].decode(params.encoding, "replace")[:SHOWN_CHARACTERS_MAX]
        faulty = LineFaulty(f"Line {number} of {params.path}: {error}.", path=params.path, line=number)
        outputs.reject("main", {"line": number, "text": shown}, faulty, index)


def _items_of(params: ReadLinesParams, line: bytes) -> Iterator[Json]:
    if params.format == "text":
        yield {"line": line.removesuffix(b"\r").decode(params.encoding)}
    elif line and not line.isspace():
        value: Any = orjson.loads(line if params.encoding == "utf-8" else line.decode(params.encoding))
        yield value if isinstance(value, dict) else {"value": value}

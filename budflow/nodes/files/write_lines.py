"""files.write_lines: write the items into a text file of the server, one a line."""

from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Literal

import orjson
from pydantic import Field

from budflow.errors import BudflowError
from budflow.model.failure import NodeError
from budflow.model.item import Item
from budflow.model.node import Batch, Example, Outputs, Params, Static, node
from budflow.model.workflow import Effect
from budflow.nodes.field_path import FieldPath, read
from budflow.nodes.files.encoding import Encoding

WRITE_BYTES = 512 * 1024


class LineUnwritable(NodeError):
    """An item cannot be written as a line of this file."""

    code = "file.line_unwritable"
    hint = "Change the item before with data.set, or drop it with flow.filter."


class WriteLinesParams(Params):
    """Which file, and what its lines are."""

    path: str = Field(
        min_length=1,
        description="Path of the file on the server: absolute, or counted from the first directory in the setting "
        "`file_roots`. Its directory must exist, below one of those; symbolic links are not followed. An expression "
        "is evaluated with the first item.",
    )
    format: Literal["json_lines", "text"] = Field(
        default="json_lines",
        description="`json_lines`: each item as JSON. `text`: a field of each item, as `field` says.",
    )
    field: FieldPath = Field(
        default="line",
        description="For `text`: path of the field that holds the line. What is no text is written as JSON, and "
        "nothing for an item without it: an empty line.",
    )
    encoding: Encoding = Field(default="utf-8", description="How the characters of the file are encoded.")
    mode: Annotated[Literal["overwrite", "append"], Static] = Field(
        default="overwrite",
        description="`overwrite`: the file holds these lines alone; others see the old file until the new one is "
        "complete. `append`: they are added at its end; after a crash in between, the workflow's `on_crash` decides "
        "whether they are added again.",
    )


def write_effect(params: WriteLinesParams) -> Effect:
    """A file that is replaced as a whole may be replaced again; what is added would be added twice."""
    return "idempotent" if params.mode == "overwrite" else "once"


@node(
    "files.write_lines",
    kind="list",
    effect=write_effect,
    params=WriteLinesParams,
    run_on_empty=True,
    examples=[
        Example(
            title="Keep the large orders",
            params={"path": "large.jsonl"},
            given=[{"order": 1, "total": 250}, {"order": 2, "total": 900}],
            expect={"main": [{"path": "large.jsonl", "lines": 2, "bytes": 48}]},
            writes={"large.jsonl": '{"order":1,"total":250}\n{"order":2,"total":900}\n'},
        ),
        Example(
            title="Add to a log",
            params={"path": "app.log", "format": "text", "field": "text", "mode": "append"},
            given=[{"text": "paid"}],
            files={"app.log": "started\n"},
            expect={"main": [{"path": "app.log", "lines": 1, "bytes": 5}]},
            writes={"app.log": "started\npaid\n"},
        ),
    ],
)
async def write_lines(batch: Batch[WriteLinesParams]) -> AsyncGenerator[Outputs, None]:
    """Write all items into one file of the server, each as a line; one item that says how many leaves by `main`.

    The lines are durable when the node has ended. It takes lists of any length, part by part. Of no items `overwrite`
    makes an empty file. An item that cannot be written is left out of the file and is an item that failed. It needs
    the setting `file_roots`.
    """
    params = batch.params
    line_of = _writer(params)
    lines = size = 0
    opened = batch.files.overwrite(params.path) if params.mode == "overwrite" else batch.files.append(params.path)
    async with opened as file:
        buffer = bytearray()
        outputs = Outputs()
        for index, item in enumerate(batch.items):
            try:
                buffer += line_of(item)
            except (ValueError, TypeError, BudflowError) as error:
                outputs.fail(index, LineUnwritable(f"Item {index}: {error}."))
                continue
            lines += 1
            if len(buffer) >= WRITE_BYTES:
                size += len(buffer)
                await file.write(bytes(buffer))
                buffer.clear()
                yield outputs
                outputs = Outputs()
        size += len(buffer)
        await file.write(bytes(buffer))
        yield outputs
    batch.log.info("Wrote the file", path=params.path, lines=lines, bytes=size)
    done = Outputs()
    done.emit("main", {"path": params.path, "lines": lines, "bytes": size})
    yield done


def _writer(params: WriteLinesParams) -> Callable[[Item], bytes]:
    """What makes the line of an item. Raises ValueError and TypeError."""
    encoding = params.encoding

    def json_line(item: Item) -> bytes:
        line = orjson.dumps(item.json, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
        return line if encoding == "utf-8" else line.decode().encode(encoding)

    def text_line(item: Item) -> bytes:
        value = read(item.json, params.field)
        text = "" if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()
        if "\n" in text or "\r" in text:
            raise LineUnwritable("the text has more than one line")
        return f"{text}\n".encode(encoding)

    return json_line if params.format == "json_lines" else text_line

"""Tasks and logs for tests of the sandbox."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from budflow.model.item import Item, Json
from budflow.model.sandbox import CodePart, CodeTask, SandboxCapability


def task(code: str, items: Sequence[Json] = ({"n": 1},), **fields: Any) -> CodeTask:
    """One that gets these items."""
    defaults: dict[str, Any] = {"mode": "all", "now": datetime(2026, 1, 2, tzinfo=UTC), "seed": "s", "name": "w/e/n"}
    return CodeTask(code=code, items=[Item(one) for one in items], **{**defaults, **fields})


@dataclass
class Lines:
    """A LogCapability that remembers: level, message, fields, item."""

    lines: list[tuple[str, str, dict[str, Any], int | None]] = field(default_factory=list)
    item: int | None = None

    def debug(self, message: str, /, **fields: Any) -> None:
        self.lines.append(("debug", message, fields, self.item))

    def info(self, message: str, /, **fields: Any) -> None:
        self.lines.append(("info", message, fields, self.item))

    def warning(self, message: str, /, **fields: Any) -> None:
        self.lines.append(("warning", message, fields, self.item))

    def error(self, message: str, /, **fields: Any) -> None:
        self.lines.append(("error", message, fields, self.item))

    def for_item(self, index: int) -> "Lines":
        return Lines(self.lines, index)


async def parts(sandbox: SandboxCapability, asked: CodeTask, log: Lines | None = None) -> list[CodePart]:
    """All that the code gives."""
    return [part async for part in sandbox.run(asked, log or Lines())]


async def values(sandbox: SandboxCapability, asked: CodeTask, log: Lines | None = None) -> list[Json]:
    """Just the items of it."""
    return [value for part in await parts(sandbox, asked, log) for value, _ in part.items]

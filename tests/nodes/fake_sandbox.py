"""Meets SandboxCapability in this very process: the worker's own modules compile the code and call it, unprotected."""

import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

from budflow.model.failure import NodeError
from budflow.model.item import Json
from budflow.model.log import LogCapability
from budflow.model.sandbox import CodeFailed, CodeInvalid, CodePart, CodeResultMalformed, CodeTask
from budflow.sandbox.worker import compiled, functions


@dataclass
class FakeSandbox:
    """Runs what tests write. `errors` are raised by the first tasks, one each, after a part that is lost with them."""

    errors: Sequence[NodeError] = ()
    tasks: list[CodeTask] = field(default_factory=list)
    closed: int = 0

    async def run(self, task: CodeTask, log: LogCapability) -> AsyncGenerator[CodePart, None]:
        """See SandboxCapability."""
        self.tasks.append(task)
        try:
            if len(self.tasks) <= len(self.errors):
                yield CodePart([({"lost": True}, -1)])
                raise self.errors[len(self.tasks) - 1]
            items = [dict(item.json) for item in task.items]
            printed = StringIO()
            with _own_main(), redirect_stdout(printed):
                parts = list(_WORK[task.mode](task, items, {"params": task.params, "now": task.now, "log": log}))
            for line in printed.getvalue().splitlines():
                log.info(line)
            for part in parts:
                yield part
        finally:
            self.closed += 1


def _all(task: CodeTask, items: list[Json], names: Mapping[str, Any]) -> Iterator[CodePart]:
    try:
        given = _compiled(task, ["items", *names])(items, **names)
    except Exception as error:
        raise _failed(error) from error
    places = {id(item): index for index, item in enumerate(items)}
    yield CodePart([(item, places.get(id(item), -1)) for item in _items(given)])


def _each(task: CodeTask, items: list[Json], names: Mapping[str, Any]) -> Iterator[CodePart]:
    code = _compiled(task, ["item", "index", *names])
    yield from _one_by_one(items, lambda item, index: _items(code(item, index, **names)))


def _each_with(task: CodeTask, items: list[Json], names: Mapping[str, Any]) -> Iterator[CodePart]:
    code = _compiled(task, ["item", "index", *names])
    yield from _one_by_one(items, lambda own, _: _items(code(**{**names, **own})))


def _functions(task: CodeTask, items: list[Json], names: Mapping[str, Any]) -> Iterator[CodePart]:
    function = functions.entry(compiled.module(task.code, dict(names)))

    def call(item: Json, _index: int) -> list[Json]:
        given = function.call(item)
        return [given if isinstance(given, dict) else {"value": given}]

    yield from _one_by_one(items, call)


def _one_by_one(items: list[Json], call: Callable[[Json, int], list[Json]]) -> Iterator[CodePart]:
    for index, item in enumerate(items):
        try:
            yield CodePart([(given, index) for given in call(item, index)])
        except Exception as error:  # noqa: BLE001 - what an author may write
            yield CodePart(failed={index: _failed(error)})


def _compiled(task: CodeTask, names: Sequence[str]) -> Callable[..., Any]:
    try:
        return compiled.body(task.code, names)
    except compiled.CodeInvalid as error:
        raise CodeInvalid(str(error.__cause__)) from error


def _items(given: Any) -> list[Json]:
    if given is None:
        return []
    items = [given] if isinstance(given, dict) else list(given)
    if not all(isinstance(item, dict) for item in items):
        raise CodeResultMalformed
    return items


def _failed(error: Exception) -> NodeError:
    return error if isinstance(error, NodeError) else CodeFailed(f"{type(error).__name__}: {error}")


@contextmanager
def _own_main() -> Iterator[None]:
    """The worker has a `__main__` for the code, and ends with it; here that of the tests comes back."""
    kept = sys.modules["__main__"]
    try:
        yield
    finally:
        sys.modules["__main__"] = kept


_WORK = {"all": _all, "each": _each, "each_with": _each_with, "function": _functions}

"""An author's code, compiled: its statements become the body of a function, so that `return` ends it where it stands.

Only the tree is changed and no line added, so line numbers are those that the author sees.
"""

import ast
import linecache
import sys
from collections.abc import Callable, Sequence
from types import FunctionType, ModuleType
from typing import Any

from budflow.sandbox.worker.troubles import FILENAME

BODY = "__code__"


class CodeInvalid(Exception):
    """The code does not compile; its cause says why."""


def body(source: str, names: Sequence[str]) -> Callable[..., Any]:
    """The code as a function of these names, which it may bind anew as any function its parameters. Raises CodeInvalid.

    Future statements stay outside, where alone they may stand.
    """
    try:
        tree = ast.parse(source, FILENAME)
        statements = list(tree.body)
        futures: list[ast.stmt] = []
        while statements and _stays_outside(statements[0]):
            futures.append(statements.pop(0))
        arguments = ast.arguments(
            posonlyargs=[],
            args=[ast.arg(name) for name in names],
            kwonlyargs=[],
            kw_defaults=[],
            defaults=[],
        )
        function = ast.FunctionDef(
            BODY, arguments, statements or [ast.Pass()], decorator_list=[], lineno=1, col_offset=0
        )
        tree.body = [*futures, function]
        code = compile(ast.fix_missing_locations(tree), FILENAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CodeInvalid from error
    namespace = _module(source).__dict__
    exec(code, namespace)  # noqa: S102 -- running the author's code is what this process is for; it has no rights.
    found = namespace.pop(BODY)
    assert isinstance(found, FunctionType)  # noqa: S101 -- what was compiled above.
    return found


def module(source: str, given: dict[str, Any]) -> dict[str, Any]:
    """The code run as a module that has these names; what it defines. Raises CodeInvalid, and what the code raises."""
    try:
        code = compile(source, FILENAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CodeInvalid from error
    namespace = _module(source).__dict__
    namespace.update(given)
    exec(code, namespace)  # noqa: S102 -- as above.
    return namespace


def _stays_outside(statement: ast.stmt) -> bool:
    docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return docstring or (isinstance(statement, ast.ImportFrom) and statement.module == "__future__")


def _module(source: str) -> ModuleType:
    """It stands in for `__main__`, where dataclasses, pickle and multiprocessing look for what the code defines."""
    made = ModuleType("__main__")
    linecache.cache[FILENAME] = (len(source), None, source.splitlines(keepends=True), FILENAME)
    sys.modules["__main__"] = made
    return made

"""The codes of problems, read from the source: each stands as a literal where its problem is made.

A part of errors.md; not a subject of its own.
"""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import ModuleType

Function = ast.FunctionDef | ast.AsyncFunctionDef
PROBLEM = "Problem"
ARGUMENTS = ("code", "path", "message", "hint", "blocks")
DEFAULT_BLOCKS = "save"
UNKNOWN = "…"
UNKNOWN_MESSAGE = "What is wrong with the value."
UNKNOWN_HINT = "What belongs there."
#: What functions come to whose result depends on the document.
CALLS = {"hint": "The closest of the names there are, or all of them."}
DEPTH_MAX = 5


@dataclass(frozen=True)
class Problem:
    """One kind of problem, with `…` for what differs from document to document."""

    code: str
    blocks: str
    message: str
    hint: str


def problems(package: ModuleType) -> list[Problem]:
    """Those that a package makes, by code; a code may have several messages."""
    found_modules = pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    modules = [importlib.import_module(module.name) for module in found_modules]
    trees = [ast.parse(inspect.getsource(module)) for module in modules]
    given = _given_codes(trees)
    found: dict[Problem, None] = {}
    for module, tree in zip(modules, trees, strict=True):
        functions = {node.name: node for node in ast.walk(tree) if isinstance(node, Function)}
        for function in functions.values():
            found.update(dict.fromkeys(_made_in(Source(function, functions, vars(module)), given)))
    return sorted(found, key=lambda problem: problem.code)


def _made_in(source: "Source", given: Mapping[str, str]) -> Iterator[Problem]:
    for node in ast.walk(source.function):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == PROBLEM):
            continue
        arguments = {**dict(zip(ARGUMENTS, node.args, strict=False)), **{k.arg: k.value for k in node.keywords}}
        here = replace(source, line=node.lineno)
        message, hint = here.text(arguments["message"]), here.text(arguments["hint"])
        blocks = here.text(arguments["blocks"]) if "blocks" in arguments else DEFAULT_BLOCKS
        for code, inherited in _codes(arguments["code"], given):
            yield Problem(
                code,
                (inherited or "as those") if blocks == UNKNOWN else blocks,
                message if any(map(str.isalpha, message)) else UNKNOWN_MESSAGE,
                hint if any(map(str.isalpha, hint)) else UNKNOWN_HINT,
            )


def _codes(node: ast.expr, given: Mapping[str, str]) -> list[tuple[str, str]]:
    """The codes that an argument may be, each with what it blocks where that is handed in too.

    It is a literal, or a literal behind a parameter `code`; else it is the code of an error, listed among the errors.
    """
    if isinstance(node, ast.Constant):
        return [(str(node.value), "")]
    if isinstance(node, ast.JoinedStr):
        rest = "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        return [(prefix + rest, blocks) for prefix, blocks in sorted(given.items())]
    return []


def _given_codes(trees: list[ast.Module]) -> dict[str, str]:
    """What a parameter `code` may be, by its default and by what calls hand over, with the `blocks` beside it."""
    found: dict[str, str] = {}
    for node in (node for tree in trees for node in ast.walk(tree)):
        values: dict[str | None, ast.expr | None] = {}
        if isinstance(node, Function):
            values = {a.arg: d for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)}
        elif isinstance(node, ast.Call):
            values = {keyword.arg: keyword.value for keyword in node.keywords}
        code, blocks = values.get("code"), values.get("blocks")
        if isinstance(code, ast.Constant):
            found[str(code.value)] = str(blocks.value) if isinstance(blocks, ast.Constant) else DEFAULT_BLOCKS
    return found


@dataclass(frozen=True)
class Source:
    """A place in the source, and what its names stand for there."""

    function: Function
    functions: Mapping[str, Function]
    constants: Mapping[str, object]
    line: int = 1 << 30
    depth: int = 0
    within: bool = False  # Inside a sentence: of several texts one must do.

    def text(self, node: ast.expr) -> str:
        """What an expression says, as far as the source tells."""
        match node:
            case ast.Constant() if node.value is not None:
                return str(node.value)
            case ast.JoinedStr():
                return "".join(map(self.text, node.values))
            case ast.FormattedValue():
                return replace(self, within=True).text(node.value)
            case ast.Name():
                return self._name(node.id)
            case ast.IfExp():
                return self._either([self.text(node.body), self.text(node.orelse)])
            case ast.Call() if isinstance(node.func, ast.Name):
                return CALLS.get(node.func.id) or self._returned(node.func.id)
        return UNKNOWN

    def _name(self, name: str) -> str:
        if isinstance(constant := self.constants.get(name), int):
            return f"{constant:,}"
        before = [
            (assigned.lineno, value)
            for assigned in ast.walk(self.function)
            if isinstance(assigned, ast.Assign | ast.AugAssign) and assigned.lineno < self.line
            for bound, value in _bindings(assigned)
            if bound == name
        ]
        if not before:
            return UNKNOWN
        line, value = max(before, key=lambda found: found[0])
        return replace(self, line=line).text(value)

    def _returned(self, name: str) -> str:
        function = self.functions.get(name)
        if function is None or self.depth >= DEPTH_MAX:
            return UNKNOWN
        inside = replace(self, function=function, line=1 << 30, depth=self.depth + 1)
        returns = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value]
        return self._either([inside.text(value) for value in returns])

    def _either(self, options: list[str]) -> str:
        known = list(dict.fromkeys(option for option in options if any(map(str.isalpha, option))))
        return " ".join(known[:1] if self.within else known) or UNKNOWN


def _bindings(assigned: ast.Assign | ast.AugAssign) -> Iterator[tuple[str, ast.expr]]:
    """The names that a statement binds, each with its value; None where it is counted up."""
    if isinstance(assigned, ast.AugAssign):
        yield from _bound(assigned.target, ast.Constant(None))
        return
    for target in assigned.targets:
        yield from _bound(target, assigned.value)


def _bound(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """The names that an assignment binds, each with its value; None where a call's result is taken apart."""
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple):
        values = value.elts if isinstance(value, ast.Tuple) else [ast.Constant(None)] * len(target.elts)
        for inner, part in zip(target.elts, values, strict=True):
            yield from _bound(inner, part)

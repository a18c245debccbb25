"""What an author's function takes, read from its code without running it, so that a call can be checked at save."""

import ast
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from budflow.model.failure import NodeError
from budflow.model.sandbox import CodeInvalid
from budflow.nodes.json_value import kind_of

ENTRY = "main"
#: Parameters are checked for every item; the code in them is mostly that of the item before.
CODES_KEPT = 128

#: Annotations that are checked, and the kinds of JSON value that they take; any other takes every value.
_KINDS: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
    "None": (type(None),),
}


class FunctionMissing(NodeError):
    """The code defines no function to call."""

    code = "code.no_function"
    http_status = 422
    hint = "Write `def main(…):` with a parameter for each argument."


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the function. `annotation` is as the author wrote it, `kinds` None where it is not checked."""

    name: str
    required: bool
    annotation: str = ""
    kinds: tuple[type, ...] | None = None

    def refuses(self, value: object) -> str | None:
        """Why it does not take this value."""
        if self.kinds is None or (isinstance(value, self.kinds) and not (isinstance(value, bool) and self._no_bool)):
            return None
        return f"`{self.name}` is {kind_of(value)}, and `{ENTRY}` takes `{self.annotation}`."

    @property
    def _no_bool(self) -> bool:
        # To Python, and to nobody else, true is a whole number.
        return bool not in (self.kinds or ())


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters that can be named in a call; an `open` one takes other names too, or cannot be told."""

    parameters: Mapping[str, Parameter]
    open: bool = False


@lru_cache(maxsize=CODES_KEPT)
def check_syntax(code: str) -> None:
    """Read the code, and run nothing of it. Raises CodeInvalid, which names the line."""
    _parsed(code)


def _parsed(code: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of backslashes in texts, which are the author's.
            return ast.parse(code)
    except SyntaxError as error:
        said = f"Line {error.lineno}: {error.msg}." if error.lineno else f"{error.msg}."
        raise CodeInvalid(said, line=error.lineno) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise CodeInvalid("The code is nested too deeply to be read.") from error


@lru_cache(maxsize=CODES_KEPT)
def signature_of(code: str) -> Signature:
    """The signature of `main`, or of the only function. Raises CodeInvalid and FunctionMissing."""
    found = {
        statement.name: statement
        for statement in _parsed(code).body
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and not statement.name.startswith("_")
    }
    if not found:
        raise FunctionMissing
    if ENTRY not in found and len(found) > 1:
        message = f"The code defines {', '.join(f'`{name}`' for name in found)}, and none of them is `{ENTRY}`."
        raise FunctionMissing(
            message, hint=f"Call one of them `{ENTRY}`, and let the names of the others begin with _."
        )
    function = found.get(ENTRY) or next(iter(found.values()))
    if function.decorator_list:  # It may take anything.
        return Signature({}, open=True)
    given = function.args
    names = [*given.posonlyargs, *given.args]
    first_default = len(names) - len(given.defaults)
    parameters = [_parameter(one, position < first_default) for position, one in enumerate(names)]
    parameters += [
        _parameter(one, default is None) for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)
    ]
    return Signature({one.name: one for one in parameters}, open=given.kwarg is not None)


def _parameter(argument: ast.arg, required: bool) -> Parameter:
    if argument.annotation is None:
        return Parameter(argument.arg, required)
    return Parameter(argument.arg, required, ast.unparse(argument.annotation), _kinds(argument.annotation))


def _kinds(annotation: ast.expr) -> tuple[type, ...] | None:
    match annotation:
        case ast.Name(id=name) if name in _KINDS:
            return _KINDS[name]
        case ast.Constant(value=None):
            return _KINDS["None"]
        case ast.Constant(value=str(text)):
            try:
                return _kinds(ast.parse(text, mode="eval").body)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return None
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _all_of([_kinds(left), _kinds(right)])
        case ast.Subscript(value=ast.Name(id="list" | "dict" as name)):
            return _KINDS[name]
        case ast.Subscript(value=ast.Name(id="Optional"), slice=inner):
            return _all_of([_kinds(inner), _KINDS["None"]])
        case ast.Subscript(value=ast.Name(id="Union"), slice=ast.Tuple(elts=inners)):
            return _all_of([_kinds(inner) for inner in inners])
    return None


def _all_of(several: Sequence[tuple[type, ...] | None]) -> tuple[type, ...] | None:
    known = [kinds for kinds in several if kinds is not None]
    return None if len(known) < len(several) else tuple(dict.fromkeys(kind for kinds in known for kind in kinds))

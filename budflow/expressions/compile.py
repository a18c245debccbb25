"""Compiles the text of a parameter, expressions and all, into a Template that is evaluated for each item.

tokenize → `ast` → the references it makes → RestrictedPython under our policy → a function of (scope, budget).
A plain path such as `$json.a.b[0]` becomes a getter instead, which reads through the same operations.
"""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from sys import getsizeof
from types import CodeType, MappingProxyType
from typing import NoReturn, TypeAlias, cast

from RestrictedPython.compile import compile_restricted_eval

from budflow.expressions import arithmetic, compare, operations
from budflow.expressions.budget import STEPS_MAX, Budget
from budflow.expressions.cache import TextCache
from budflow.expressions.evaluate import FAILURES, Scope, failed
from budflow.expressions.foreign import advice_on
from budflow.expressions.policy import ExpressionPolicy
from budflow.expressions.references import references_of
from budflow.expressions.seal import Refused, check_sealed
from budflow.expressions.suggest import shorten
from budflow.expressions.tokenize import (
    DOLLAR,
    ExpressionInvalid,
    Literal,
    Source,
    attribute_name,
    has_expression,
    original,
    split,
)
from budflow.expressions.values import (
    CONTAINERS,
    JSON_INT_MAX,
    JSON_INT_MIN,
    VALUES,
    checked,
    key,
    plain,
    text_of,
)

AST_DEPTH_MAX = 100
AST_NODES_MAX = 2_000
TEXT_NODES_MAX = 8_000  # Of all expressions of a text: compiling them takes 0.2 s at worst.
CACHED_TEMPLATES_MAX = 2_048
CACHED_BYTES_MAX = 33_554_432  # Of all cached templates.
TEMPLATE_BYTES_MAX = 1_048_576  # Of one that is cached.
# What a compiled expression takes, as measured: a short text can hold 500 of them, a long one none.
EXPRESSION_BYTES = 1_536
NODE_BYTES = 96

Run: TypeAlias = Callable[[Scope, Budget], object]
Step: TypeAlias = tuple[Callable[[object, object], object], object]

# The only names compiled code can reach; there are no builtins.
HOOKS: Mapping[str, object] = MappingProxyType(
    {
        "_name_": operations.read_name,
        "_getattr_": operations.read_attribute,
        "_optional_": operations.read_optional,
        "_getitem_": operations.read_item,
        "_optional_item_": operations.read_optional_item,
        "_slice_": operations.read_slice,
        "_iterate_": operations.iterate,
        "_spread_": operations.spread,
        "_key_": key,
        "_join_": operations.join_parts,
        "_format_": operations.format_part,
        "_function_": operations.call_function,
        "_call_": operations.call_method,
        "_call_optional_": operations.call_optional,
        "_chain_": compare.chain,
        "_add_": arithmetic.add,
        "_subtract_": arithmetic.subtract,
        "_multiply_": arithmetic.multiply,
        "_divide_": arithmetic.divide,
        "_floor_divide_": arithmetic.floor_divide,
        "_modulo_": arithmetic.modulo,
        "_power_": arithmetic.power,
        "_shift_left_": arithmetic.shift_left,
        "_shift_right_": arithmetic.shift_right,
        "_either_": arithmetic.either,
        "_both_": arithmetic.both,
        "_one_of_": arithmetic.one_of,
        **{f"_compare_{sign}": comparison for sign, comparison in compare.COMPARISONS.items()},
    }
)
# Of all expressions: a copy for each would be most of what it takes. What is sealed has no statement that writes there.
GLOBALS: dict[str, object] = {**HOOKS, "__builtins__": {}}
LEAVING: frozenset[type] = frozenset({type(None), bool, str, dict, list})  # Types of results that need no change,
BUILT_LEAVING: frozenset[type] = LEAVING - CONTAINERS  # and of results that the expression has built itself.
# Nodes that only hand data through, so that a result made of them needs no weighing.
PASSING = (
    *(ast.Expression, ast.Name, ast.Load, ast.Constant, ast.Attribute, ast.Subscript, ast.IfExp, ast.BoolOp),
    *(ast.boolop, ast.Compare, ast.cmpop),
)


@dataclass(frozen=True, slots=True)
class Expression:
    """One compiled expression: as written, what it refers to, and the function that evaluates it.

    What it `builds` itself must be bounded and made plain before it leaves. A plain path is read by `get` too.
    """

    text: str
    names: frozenset[str]
    node_keys: frozenset[str]
    secret_slots: frozenset[str]
    run: Run
    builds: bool
    nodes: int
    get: Callable[[Scope], object] | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """A parameter's text, compiled.

    `names` are the `$names` it uses, without `$`; `node_keys` the keys K it reads as `$node.K`, `secret_slots` those
    that it reads as `$secrets.K`. `joined` says that its expressions stand within a text, which no secret can become.
    `size_bytes` is about what its expressions take of memory.
    """

    text: str
    names: frozenset[str]
    node_keys: frozenset[str]
    secret_slots: frozenset[str]
    run: Callable[[Scope], object] = field(repr=False, compare=False)
    joined: bool = False
    size_bytes: int = field(default=0, compare=False)

    def evaluate(self, scope: Scope) -> object:
        """The value for one item; of a text that is exactly one expression with its own type, else text.

        Values are JSON (see `plain` for what leaves as what), or an Opaque passed on whole.
        Raises ExpressionFailed, or ExpressionBudgetExceeded.
        """
        return self.run(scope)


def compile_template(text: str) -> Template:
    """The template of a text; raises ExpressionInvalid with the offset of what is wrong. Results are cached."""
    return _cached(text)


def compile_anew(text: str) -> Template:
    """The same, past the cache."""
    if not has_expression(text):
        return Template(text, frozenset(), frozenset(), frozenset(), lambda scope: text)
    parts: list[str | Expression] = []
    nodes = 0
    for part in split(text):
        parts.append(part.text if isinstance(part, Literal) else compile_source(part))
        nodes += parts[-1].nodes if isinstance(parts[-1], Expression) else 0
        if nodes > TEXT_NODES_MAX and isinstance(part, Source):
            _fail(part, "With this one, the expressions of the text are too long together.", 0, "Use a code node.")
    expressions = [part for part in parts if isinstance(part, Expression)]
    names = frozenset().union(*(expression.names for expression in expressions))
    node_keys = frozenset().union(*(expression.node_keys for expression in expressions))
    secret_slots = frozenset().union(*(expression.secret_slots for expression in expressions))
    alone = expressions[0] if len(parts) == 1 else None
    run = _value_of(alone) if alone else _text_of(tuple(parts))
    size_bytes = len(expressions) * EXPRESSION_BYTES + nodes * NODE_BYTES
    return Template(text, names, node_keys, secret_slots, run, alone is None, size_bytes)


def weight_of(template: Template) -> int:
    """About what it takes of memory with its text, which stands in it as a whole and in parts."""
    return 2 * getsizeof(template.text) + template.size_bytes


_cached = TextCache(
    compile_anew,
    weight_of,
    count_max=CACHED_TEMPLATES_MAX,
    weight_max=CACHED_BYTES_MAX,
    heaviest=TEMPLATE_BYTES_MAX,
)


def compile_source(source: Source, *, direct: bool = True) -> Expression:
    """One expression; with `direct` off even a plain path is compiled to code, which must give the same."""
    code = f"({source.code})"
    try:
        tree = ast.parse(code, "<expression>", "eval")
        nodes = _counted(tree)
        references = references_of(tree)
        path = _path(tree.body) if direct else None
        passing = all(isinstance(node, PASSING) for node in ast.walk(tree))
        compiled = compile_restricted_eval(tree, "<expression>", policy=ExpressionPolicy)
        check_sealed(tree, HOOKS)
        # Evaluating the code makes the function of a trusted lambda around the expression; it does not run the latter.
        code_object = cast("CodeType", compiled.code)  # Never None: the policy raises where RestrictedPython collects.
        get = _getter(*path) if path else None
        run = _free(get) if get else cast("Run", eval(code_object, GLOBALS))  # noqa: S307  # as said above
    except Refused as refused:
        _fail(source, refused.message, _offset(code, refused.node), refused.hint)
    except SyntaxError as error:
        at = _offset_of(code, error.lineno or 1, (error.offset or 1) - 1)
        # Python's own advice may stand behind the first sentence; ours is the hint.
        _fail(source, f"{original(error.msg).split('. ')[0].rstrip('.').capitalize()}.", at, advice_on(source.code))
    except (RecursionError, MemoryError):
        _fail(source, "The expression is nested too deeply.", 0)
    except ValueError as error:
        _fail(source, f"{original(str(error))}.", 0)
    return Expression(source.text.strip(), *references, run, not passing, nodes, get)


def evaluate_source(source: Source, scope: Scope) -> object:
    """One expression's value as it is inside of expressions, such as a datetime; see `plain` for how it would leave.

    Raises ExpressionInvalid, ExpressionFailed and ExpressionBudgetExceeded.
    """
    expression = compile_source(source)
    try:
        return expression.run(scope, Budget(around=scope))
    except FAILURES as error:
        raise failed(expression.text, error) from None


def left(source: Source, value: object) -> object:
    """What `evaluate_source` gave, as it leaves the expression. Raises the same."""
    try:
        return plain(value)
    except FAILURES as error:
        raise failed(source.text.strip(), error) from None


def _value_of(expression: Expression) -> Callable[[Scope], object]:
    if expression.get is not None:
        return _value_at(expression, expression.get)
    run, leaving = expression.run, _leaving(expression)

    def evaluate(scope: Scope) -> object:
        try:
            budget = Budget(STEPS_MAX, scope)
            value = run(scope, budget)
            kind = type(value)
            if kind in leaving or (kind is int and JSON_INT_MIN <= value <= JSON_INT_MAX):  # type: ignore[operator]  # an int here
                return value
            return plain(value, budget)
        except FAILURES as error:
            raise failed(expression.text, error) from None

    return evaluate


def _leaving(expression: Expression) -> frozenset[type]:
    """The types of values that need no look inside: of what was built, or may hold secrets, no containers."""
    return BUILT_LEAVING if expression.builds or expression.secret_slots else LEAVING


def _value_at(expression: Expression, get: Callable[[Scope], object]) -> Callable[[Scope], object]:
    """The same for a plain path: it costs no step."""
    leaving = _leaving(expression)

    def evaluate(scope: Scope) -> object:
        try:
            value = get(scope)
            kind = type(value)
            if kind in leaving or (kind is int and JSON_INT_MIN <= value <= JSON_INT_MAX):  # type: ignore[operator]  # an int here
                return value
            return plain(value, Budget(STEPS_MAX, scope))
        except FAILURES as error:
            raise failed(expression.text, error) from None

    return evaluate


def _text_of(parts: tuple[str | Expression, ...]) -> Callable[[Scope], str]:
    def evaluate(scope: Scope) -> str:
        budget = Budget(STEPS_MAX, scope)
        texts: list[str] = []
        at = ""
        try:
            for part in parts:
                if isinstance(part, str):
                    texts.append(part)
                else:
                    at = part.text
                    value = part.run(scope, budget)
                    if part.builds and type(value) in CONTAINERS:
                        value = plain(value, budget)
                    texts.append(value if type(value) is str else text_of(budget, value))
            return operations.join_parts(budget, *texts)
        except FAILURES as error:
            raise failed(at, error) from None

    return evaluate


def _free(get: Callable[[Scope], object]) -> Run:
    return lambda scope, budget: get(scope)


def _getter(root: str, steps: tuple[Step, ...]) -> Callable[[Scope], object]:
    """What reads a plain path; dicts are read here, everything else by the operation of the step."""

    def get(scope: Scope) -> object:
        value: object
        if root == "json":
            value = scope.json
        else:
            value = scope.index if root == "item_index" else operations.read_name(scope.names, root)
        for read, name in steps:
            if type(value) is dict and name in value:
                value = value[name]
                if type(value) not in VALUES:
                    checked(value)
            else:
                value = read(value, name)
        return value

    return get


def _path(node: ast.expr) -> tuple[str, tuple[Step, ...]] | None:
    """The root and the steps of `$name` followed by nothing but keys and constant indices; else None."""
    steps: list[Step] = []
    while not isinstance(node, ast.Name):
        if isinstance(node, ast.Attribute):
            name, optional = attribute_name(node.attr)
            steps.append((operations.read_optional if optional else operations.read_attribute, name))  # type: ignore[arg-type]  # the name is a str
        elif isinstance(node, ast.Subscript) and (index := _constant_index(node.slice)) is not None:
            optional = isinstance(node.value, ast.Attribute) and attribute_name(node.value.attr) == ("", True)
            steps.append((operations.read_optional_item if optional else operations.read_item, index))
            node = cast("ast.Attribute", node.value) if optional else node
        else:
            return None
        node = node.value
    return (node.id[len(DOLLAR) :], tuple(reversed(steps))) if node.id.startswith(DOLLAR) else None


def _constant_index(node: ast.expr) -> str | int | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        return -value if type(value) is int else None
    return node.value if isinstance(node, ast.Constant) and type(node.value) in (str, int) else None  # type: ignore[return-value]  # by the test


def _counted(tree: ast.Expression) -> int:
    """How many nodes it has; refuses what would take long to compile, which is done in the steps of the tree."""
    level: list[ast.AST] = [tree]
    count = 0
    for _ in range(AST_DEPTH_MAX):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        count += len(level)
        if count > AST_NODES_MAX:
            raise Refused(level[0], "The expression is too long.", "Split it up, or use a code node.")
        if not level:
            return count
    raise Refused(level[0], f"The expression is nested deeper than {AST_DEPTH_MAX} levels.")


def _offset(code: str, node: ast.AST) -> int:
    """Where a node begins in the code, in characters; ast counts UTF-8 bytes within a line."""
    line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
    lines = code.splitlines(keepends=True)
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    return _offset_of(code, line, len(text.encode()[:column].decode(errors="ignore")))


def _offset_of(code: str, line: int, column: int) -> int:
    return sum(map(len, code.splitlines(keepends=True)[: line - 1])) + column


def _fail(source: Source, message: str, code_offset: int, hint: str | None = None) -> NoReturn:
    offset = source.position(max(code_offset - 1, 0))  # The code stands in one more parenthesis.
    expression = shorten(source.text)
    raise ExpressionInvalid(f"`{expression}`: {message}", hint=hint, offset=offset, expression=expression) from None

"""What Python an expression may use: RestrictedPython's transformer, narrowed, with every operation sent to a hook."""

import ast
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar, cast

from RestrictedPython.transformer import RestrictingNodeTransformer

from budflow.expressions import foreign
from budflow.expressions.budget import INT_BITS_MAX
from budflow.expressions.operations import TABLE
from budflow.expressions.seal import Refused
from budflow.expressions.suggest import did_you_mean, shorten
from budflow.expressions.tokenize import DOLLAR, attribute_name
from budflow.expressions.views import CALLED_KEYS

NODES_A_STEP = 16  # A round of a comprehension costs a step for so many nodes of its body.

BINARY: Mapping[type[ast.operator], str] = MappingProxyType(
    {
        ast.Add: "_add_",
        ast.Sub: "_subtract_",
        ast.Mult: "_multiply_",
        ast.Div: "_divide_",
        ast.FloorDiv: "_floor_divide_",
        ast.Mod: "_modulo_",
        ast.Pow: "_power_",
        ast.LShift: "_shift_left_",
        ast.RShift: "_shift_right_",
        ast.BitOr: "_either_",
        ast.BitAnd: "_both_",
        ast.BitXor: "_one_of_",
    }
)
COMPARE: Mapping[type[ast.cmpop], str] = MappingProxyType(
    {
        ast.Eq: "==",
        ast.NotEq: "!=",
        ast.Lt: "<",
        ast.LtE: "<=",
        ast.Gt: ">",
        ast.GtE: ">=",
        ast.In: "in",
        ast.NotIn: "not in",
        ast.Is: "is",
        ast.IsNot: "is not",
    }
)
Located = TypeVar("Located", bound=ast.expr)


class ExpressionPolicy(RestrictingNodeTransformer):
    """Turns an expression into `lambda _scope, _budget: …` in which nothing but hooks touches a value."""

    def __init__(
        self,
        errors: list[str] | None = None,
        warnings: list[str] | None = None,
        used_names: dict[str, bool] | None = None,
    ) -> None:
        super().__init__(errors, warnings, used_names)
        self.variables: list[str] = []  # Of the comprehensions around the node.

    def visit(self, node: ast.AST) -> Any:
        """Transform by our own rule for the node, or by RestrictedPython's where that is enough; refuse all others."""
        rule = RULES.get(type(node))
        if rule is not None:
            return rule(self, node)
        if type(node) not in RESTRICTED_PYTHON_IS_ENOUGH:
            self.not_allowed(node)
        return super().visit(node)

    def error(self, node: ast.AST, info: str) -> NoReturn:
        """RestrictedPython reports here; the first report ends the compilation."""
        raise Refused(node, f"{info.rstrip('.')}.")

    def warn(self, node: ast.AST, info: str) -> None:
        """An unknown node is refused right after its warning."""

    def not_allowed(self, node: ast.AST) -> NoReturn:
        """Whatever has no method here or in RestrictedPython."""
        raise Refused(node, f"{type(node).__name__} is not supported in expressions.", foreign.NODES.get(type(node)))

    def expression(self, node: ast.Expression) -> ast.Expression:
        body = self.visit(node.body)
        parameters = [ast.arg("_scope"), ast.arg("_budget")]
        arguments = ast.arguments(posonlyargs=[], args=parameters, kwonlyargs=[], kw_defaults=[], defaults=[])
        # In place: RestrictedPython compiles the tree it was given, whatever the visit returns.
        node.body = _located(ast.Lambda(arguments, body), node.body)
        return node

    # Names and values

    def constant(self, node: ast.Constant) -> ast.expr:
        value = node.value
        if value is not None and type(value) not in (str, int, float, bool):
            raise Refused(node, f"A {type(value).__name__} is not supported in expressions.")
        if type(value) is int and value.bit_length() > INT_BITS_MAX:
            raise Refused(node, f"The number is too large; the limit is {INT_BITS_MAX:,} bits.")
        return node

    def name(self, node: ast.Name) -> ast.expr:
        if not isinstance(node.ctx, ast.Load):
            raise Refused(node, "Assignment is not supported in expressions.")
        if node.id.startswith(DOLLAR):
            return self.dollar(node, node.id[len(DOLLAR) :])
        if node.id in self.variables:
            return cast("ast.expr", super().visit_Name(node))
        if node.id in TABLE.functions:
            raise Refused(node, f"`{node.id}` is a function and must be called.", f"Write {node.id}(…).")
        raise Refused(node, f"There is no `{node.id}`.", foreign.WORDS.get(node.id) or self.name_hint(node.id))

    def known(self, name: str) -> bool:
        """Whether the name stands for a value here."""
        return name in self.variables or name.startswith(DOLLAR)

    def name_hint(self, name: str) -> str:
        near = did_you_mean(name, (*self.variables, *TABLE.functions)) if len(name) > 1 else ""
        advice = f'Data is read as $json.{name}; text needs quotes: "{name}"; a key with a hyphen is read as ["a-b"].'
        if name in TABLE.method_names:
            advice += f" The method is x.{name}(…)."
        return f"{near} {advice}" if near.startswith("Did") else advice

    def dollar(self, node: ast.Name, name: str) -> ast.expr:
        scope = ast.Name("_scope", ast.Load())
        if name == "json":
            return _located(ast.Attribute(scope, "json", ast.Load()), node)
        if name == "item_index":
            return _located(ast.Attribute(scope, "index", ast.Load()), node)
        return self.hook("_name_", node, ast.Attribute(scope, "names", ast.Load()), ast.Constant(name))

    def attribute(self, node: ast.Attribute) -> ast.expr:
        node.attr, optional = attribute_name(node.attr)
        if not node.attr:
            raise Refused(node, "`?.` must be followed by a name or by [.")
        if not optional:
            return cast("ast.expr", super().visit_Attribute(node))
        self.check_attribute(node)
        return self.hook("_optional_", node, self.visit(node.value), ast.Constant(node.attr))

    def check_attribute(self, node: ast.Attribute) -> None:
        if node.attr.startswith("_"):
            raise Refused(node, f"`{node.attr}` starts with an underscore.", f'Read such a key as x["{node.attr}"].')

    def subscript(self, node: ast.Subscript) -> ast.expr:
        optional = isinstance(node.value, ast.Attribute) and attribute_name(node.value.attr) == ("", True)
        target = node.value.value if optional and isinstance(node.value, ast.Attribute) else node.value
        if isinstance(node.slice, ast.Slice):
            bounds = (node.slice.lower, node.slice.upper, node.slice.step)
            parts = [ast.Constant(None) if bound is None else self.visit(bound) for bound in bounds]
            sliced = self.visit(target)
            if optional:
                raise Refused(node, "`?.` cannot stand before a slice.", "Write (x or [])[1:3].")
            return self.hook("_slice_", node, sliced, *parts, charged=True)
        if optional:
            return self.hook("_optional_item_", node, self.visit(target), self.visit(node.slice))
        return cast("ast.expr", super().visit_Subscript(node))

    # Operators

    def binary(self, node: ast.BinOp) -> ast.expr:
        if type(node.op) not in BINARY:
            self.not_allowed(node.op)
        return self.hook(BINARY[type(node.op)], node, self.visit(node.left), self.visit(node.right), charged=True)

    def comparison(self, node: ast.Compare) -> ast.expr:
        for sign, operand in zip(node.ops, node.comparators, strict=True):
            constant = isinstance(operand, ast.Constant) and (operand.value is None or type(operand.value) is bool)
            if isinstance(sign, (ast.Is, ast.IsNot)) and not constant:
                raise Refused(node, "`is` compares with None, True and False only.", "Write == to compare values.")
        left = self.visit(node.left)
        right = [self.visit(operand) for operand in node.comparators]
        if len(right) == 1:
            return self.hook(f"_compare_{COMPARE[type(node.ops[0])]}", node, left, right[0], charged=True)
        nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        links = [
            ast.Tuple([ast.Constant(COMPARE[type(sign)]), ast.Lambda(nothing, operand)], ast.Load())
            for sign, operand in zip(node.ops, right, strict=True)
        ]
        return self.hook("_chain_", node, left, *links, charged=True)

    # Calls

    def call(self, node: ast.Call) -> ast.expr:
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                raise Refused(argument, "`*` is not supported in a call.")
        for keyword in node.keywords:
            if keyword.arg is None:
                raise Refused(keyword.value, "`**` is not supported in a call.")
            if keyword.arg.startswith(("_", DOLLAR)) or not keyword.arg.isascii():
                raise Refused(keyword.value, "This is not the name of an argument.")
        if isinstance(node.func, ast.Name):
            hook, target = "_function_", [self.function_name(node.func)]
        elif isinstance(node.func, ast.Attribute):
            hook, target = self.method_call(node.func)
        else:
            raise Refused(node, "Only functions by their name, and methods, can be called.")
        called = self.hook(hook, node, *target, *(self.visit(argument) for argument in node.args), charged=True)
        called.keywords = [ast.keyword(keyword.arg, self.visit(keyword.value)) for keyword in node.keywords]
        return ast.fix_missing_locations(called)

    def function_name(self, node: ast.Name) -> ast.expr:
        if node.id in TABLE.functions:
            return ast.Constant(node.id)
        if node.id.startswith(DOLLAR):
            name = node.id[len(DOLLAR) :]
            hint = f"Write ${name} without the (); what an earlier node gave is $node.KEY.items."
            raise Refused(node, f"${name} is data and cannot be called.", hint)
        if node.id in TABLE.method_names:
            raise Refused(node, f"There is no function `{node.id}`.", f"It is a method: x.{node.id}(…).")
        hint = foreign.FUNCTIONS.get(node.id) or did_you_mean(node.id, TABLE.functions)
        raise Refused(node, f"There is no function `{node.id}`.", hint)

    def method_call(self, node: ast.Attribute) -> tuple[str, list[ast.expr]]:
        name, optional = attribute_name(node.attr)
        node.attr = name
        self.check_attribute(node)
        literal = _literal_type(node.value)
        receiver = self.visit(node.value)  # First, so that `json.dumps(x)` is told that there is no `json`.
        known = TABLE.method_names if literal is None else TABLE.methods.get(literal, {})
        if name not in known and not (literal is None and name in CALLED_KEYS):
            raise Refused(
                node,
                f"There is no method `{name}`.",
                foreign.METHODS.get(name) or did_you_mean(name, sorted(known)) or None,
            )
        return "_call_optional_" if optional else "_call_", [receiver, ast.Constant(name)]

    # Displays and comprehensions

    def list_display(self, node: ast.List) -> ast.expr:
        node.elts = self.elements(node)
        return node

    def tuple_display(self, node: ast.Tuple) -> ast.expr:
        node.elts = self.elements(node)
        return node

    def set_display(self, node: ast.Set) -> ast.expr:
        node.elts = self.elements(node)
        if any(isinstance(element, ast.Starred) for element in node.elts):
            raise Refused(node, "`*` is not supported in a set.", "Write set([*x, y]).")
        node.elts = [self.key(element) for element in node.elts]
        return node

    def dict_display(self, node: ast.Dict) -> ast.expr:
        constants: set[object] = set()
        for name in node.keys:
            if isinstance(name, ast.Name) and not self.known(name.id):
                raise Refused(name, f"There is no `{name.id}`.", f'A key is a text in quotes: {{"{name.id}": …}}.')
            if isinstance(name, ast.Constant):
                if name.value in constants:
                    shown = shorten(f'"{name.value}"' if isinstance(name.value, str) else str(name.value), 60)
                    raise Refused(name, f"The key {shown} stands twice in the dict.", "Only its last value would stay.")
                constants.add(name.value)
        for at, (name, value) in enumerate(zip(node.keys, node.values, strict=True)):
            node.values[at] = self.visit(value)
            if name is None:
                node.values[at] = self.hook("_spread_", value, node.values[at], charged=True)
            else:
                node.keys[at] = self.key(self.visit(name))
        return node

    def list_comprehension(self, node: ast.ListComp) -> ast.expr:
        with self.generators(node, node.elt):
            node.elt = self.visit(node.elt)
        return node

    def generator(self, node: ast.GeneratorExp) -> ast.expr:
        # A generator object would be a value that is not data.
        return self.list_comprehension(ast.copy_location(ast.ListComp(node.elt, node.generators), node))

    def set_comprehension(self, node: ast.SetComp) -> ast.expr:
        with self.generators(node, node.elt):
            node.elt = self.key(self.visit(node.elt))
        return node

    def dict_comprehension(self, node: ast.DictComp) -> ast.expr:
        with self.generators(node, node.key, node.value):
            node.key = self.key(self.visit(node.key))
            node.value = self.visit(node.value)
        return node

    @contextmanager
    def generators(self, node: ast.ListComp | ast.SetComp | ast.DictComp, *body: ast.expr) -> Iterator[None]:
        """Visit the `for … in … if …` of a comprehension; inside, its variables are known."""
        conditions = [condition for generator in node.generators for condition in generator.ifs]
        size = sum(1 for part in (*body, *conditions) for _ in ast.walk(part))
        weight = 1 + size // NODES_A_STEP
        outer = len(self.variables)
        for generator in node.generators:
            if generator.is_async:
                raise Refused(generator.target, "`async for` is not supported in expressions.")
            looped = self.visit(generator.iter)
            generator.iter = self.hook("_iterate_", generator.iter, looped, ast.Constant(weight), charged=True)
            self.bind(generator.target)
            generator.ifs = [self.visit(condition) for condition in generator.ifs]
        yield
        del self.variables[outer:]

    def bind(self, target: ast.expr) -> None:
        if isinstance(target, ast.Name):
            if target.id.startswith(("_", DOLLAR)):
                raise Refused(target, "A loop's variable is a plain name.", "Write `for x in …`.")
            self.check_name(target, target.id)
            self.variables.append(target.id)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for element in target.elts:
                self.bind(element)
        else:
            raise Refused(target, "A loop's variable is a plain name.", "Write `for x in …`.")

    def elements(self, node: ast.List | ast.Tuple | ast.Set) -> list[ast.expr]:
        if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            raise Refused(node, "Assignment is not supported in expressions.")
        return [
            ast.copy_location(ast.Starred(self.iterated(element.value), ast.Load()), element)
            if isinstance(element, ast.Starred)
            else self.visit(element)
            for element in node.elts
        ]

    def iterated(self, node: ast.expr) -> ast.expr:
        return self.hook("_iterate_", node, self.visit(node), ast.Constant(1), charged=True)

    def key(self, node: ast.expr) -> ast.expr:
        return node if isinstance(node, ast.Constant) and type(node.value) is str else self.hook("_key_", node, node)

    # f-strings

    def joined(self, node: ast.JoinedStr) -> ast.expr:
        return self.hook("_join_", node, *(self.visit(value) for value in node.values), charged=True)

    def field(self, node: ast.FormattedValue) -> ast.expr:
        spec = ast.Constant("") if node.format_spec is None else self.visit(node.format_spec)
        quoted = ast.Constant(node.conversion in (ord("r"), ord("a")))
        return self.hook("_format_", node, self.visit(node.value), quoted, spec, charged=True)

    def hook(self, name: str, node: ast.AST, *arguments: ast.expr, charged: bool = False) -> ast.Call:
        """A call of a hook by its name among the globals; with the budget first where it is `charged`."""
        first = [ast.Name("_budget", ast.Load())] if charged else []
        return _located(ast.Call(ast.Name(name, ast.Load()), [*first, *arguments], []), node)


def _located(node: Located, source: ast.AST) -> Located:
    return ast.fix_missing_locations(ast.copy_location(node, source))


RULES: Mapping[type[ast.AST], Callable[[ExpressionPolicy, Any], ast.AST]] = MappingProxyType(
    {
        ast.Expression: ExpressionPolicy.expression,
        ast.Constant: ExpressionPolicy.constant,
        ast.Name: ExpressionPolicy.name,
        ast.Attribute: ExpressionPolicy.attribute,
        ast.Subscript: ExpressionPolicy.subscript,
        ast.BinOp: ExpressionPolicy.binary,
        ast.Compare: ExpressionPolicy.comparison,
        ast.Call: ExpressionPolicy.call,
        ast.List: ExpressionPolicy.list_display,
        ast.Tuple: ExpressionPolicy.tuple_display,
        ast.Set: ExpressionPolicy.set_display,
        ast.Dict: ExpressionPolicy.dict_display,
        ast.ListComp: ExpressionPolicy.list_comprehension,
        ast.GeneratorExp: ExpressionPolicy.generator,
        ast.SetComp: ExpressionPolicy.set_comprehension,
        ast.DictComp: ExpressionPolicy.dict_comprehension,
        ast.JoinedStr: ExpressionPolicy.joined,
        ast.FormattedValue: ExpressionPolicy.field,
    }
)
RESTRICTED_PYTHON_IS_ENOUGH: frozenset[type[ast.AST]] = frozenset(
    {ast.Load, ast.IfExp, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd}
)


def _literal_type(node: ast.expr) -> type | None:
    """The type of a receiver that can be told from the source."""
    if isinstance(node, ast.Constant):
        return type(node.value)
    displays: tuple[tuple[type[ast.expr], type], ...] = (
        (ast.JoinedStr, str),
        (ast.List, list),
        (ast.ListComp, list),
        (ast.GeneratorExp, list),
        (ast.Dict, dict),
        (ast.DictComp, dict),
        (ast.Set, set),
        (ast.SetComp, set),
        (ast.Tuple, tuple),
    )
    return next((kind for display, kind in displays if isinstance(node, display)), None)

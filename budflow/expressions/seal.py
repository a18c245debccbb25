"""The second lock on an expression: what may be left of its tree once the policy has transformed it."""

import ast
from collections.abc import Container

# What may be left after the transformation, beside calls of hooks and attributes of the scope.
SEALED = (
    *(ast.Expression, ast.Lambda, ast.arguments, ast.arg, ast.Name, ast.Constant, ast.expr_context, ast.keyword),
    *(ast.IfExp, ast.BoolOp, ast.boolop, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd),
    *(ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Starred),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.comprehension),
)


class Refused(Exception):
    """The expression uses what it may not; carries the node for its position. Never leaves this package."""

    def __init__(self, node: ast.AST, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.node = node
        self.message = message
        self.hint = hint


def check_sealed(tree: ast.Expression, hooks: Container[str]) -> None:
    """The second lock, on the transformed tree before it runs: only hooks are called, only the scope has attributes."""
    if not isinstance(tree.body, ast.Lambda):
        raise Refused(tree.body, "The expression was not transformed.")
    for node in ast.walk(tree):
        sealed = isinstance(node, SEALED)
        if isinstance(node, ast.Call):
            sealed = isinstance(node.func, ast.Name) and node.func.id in hooks
        elif isinstance(node, ast.Attribute):
            sealed = isinstance(node.value, ast.Name) and node.value.id == "_scope"
        if not sealed:
            raise Refused(node, f"{type(node).__name__} is not supported in expressions.")

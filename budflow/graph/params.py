"""Parameters with expressions: compiled once a plan, evaluated once an item."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from budflow.expressions.compile import Template, compile_template
from budflow.expressions.evaluate import Scope
from budflow.expressions.tokenize import has_expression
from budflow.model.failure import NodeError
from budflow.model.node import Params

Build = Callable[[Scope], Any]


class ParamsInvalid(NodeError):
    """A parameter of the node came out wrong for this item."""

    code = "node.params_invalid"
    hint = "Look at what the expression gives for this item; `path` names the parameter."


@dataclass(frozen=True, slots=True)
class ParamsTemplate:
    """The parameters of one node. `node_keys` are the nodes that its expressions read.

    Without expressions `fixed` holds the validated parameters, and nothing is evaluated at run time.
    """

    model: type[Params]
    build: Build | None
    fixed: Params | None
    node_keys: frozenset[str] = field(default=frozenset())
    reads_item: bool = False

    def resolve(self, scope: Scope) -> Params:
        """The parameters for one item. Raises ExpressionFailed or ParamsInvalid."""
        if self.build is None:
            if self.fixed is None:
                return _validated(self.model, {})
            return self.fixed
        return _validated(self.model, self.build(scope))


def compile_params(model: type[Params], raw: Mapping[str, Any]) -> ParamsTemplate:
    """Compile every expression in `raw`. Raises ExpressionInvalid; values without expressions are checked at once."""
    templates = dict(templates_in(raw))
    if not templates:
        return ParamsTemplate(model, None, _validated(model, raw))
    keys = frozenset[str]().union(*(template.node_keys for template in templates.values()))
    names = frozenset[str]().union(*(template.names for template in templates.values()))
    reads_item = not names.isdisjoint({"json", "item", "binary", "node"})
    return ParamsTemplate(model, _builder(raw, (), templates), None, keys, reads_item)


def templates_in(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Template]]:
    """Every expression in `value` with its path. Raises ExpressionInvalid at the first that does not compile."""
    for where, text in expression_texts(value, path):
        yield where, compile_template(text)


def expression_texts(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every string in `value` that holds an expression, with its path."""
    if isinstance(value, str):
        if has_expression(value):
            yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from expression_texts(inner, (*path, key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from expression_texts(inner, (*path, index))


def _builder(value: Any, path: tuple[str | int, ...], templates: Mapping[tuple[str | int, ...], Template]) -> Build:
    """A function that rebuilds `value` with every template evaluated; parts without one are shared, not copied."""
    template = templates.get(path)
    if template is not None:
        return template.evaluate
    inside = [where for where in templates if where[: len(path)] == path]
    if not inside:
        return lambda _scope: value
    if isinstance(value, Mapping):
        changing = {where[len(path)] for where in inside}
        still = {key: inner for key, inner in value.items() if key not in changing}
        parts = [(key, _builder(value[key], (*path, key), templates)) for key in value if key in changing]
        order = list(value)

        def build_object(scope: Scope) -> Any:
            built = {key: build(scope) for key, build in parts}
            return built if not still else {key: built[key] if key in built else still[key] for key in order}

        return build_object
    builders = [_builder(inner, (*path, index), templates) for index, inner in enumerate(value)]
    return lambda scope: [build(scope) for build in builders]


def _validated(model: type[Params], values: Mapping[str, Any]) -> Params:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise ParamsInvalid(f"`{path}`: {first['msg']}.", path=path) from error

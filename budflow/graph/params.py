"""Parameters with expressions: compiled once a plan, evaluated once an item."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from budflow.expressions.compile import Template, compile_template
from budflow.expressions.evaluate import OF_THE_RUN, Scope
from budflow.expressions.tokenize import has_expression
from budflow.graph.shape_problems import said
from budflow.model.failure import NodeError
from budflow.model.node import Params, VerbatimMark

Build = Callable[[Scope], Any]
Place = tuple[str | int, ...]


class ParamsInvalid(NodeError):
    """A parameter of the node came out wrong for this item."""

    code = "node.params_invalid"
    hint = "Look at what the expression gives for this item; `path` names the parameter."


@dataclass(frozen=True, slots=True)
class ParamsTemplate:
    """The parameters of one node. `names` are the `$names` that its expressions read, `node_keys` the nodes.

    Without expressions `fixed` holds the validated parameters, and nothing is evaluated at run time.
    """

    model: type[Params]
    build: Build
    fixed: Params | None
    node_keys: frozenset[str] = field(default=frozenset())
    names: frozenset[str] = field(default=frozenset())

    def resolve(self, scope: Scope) -> Params:
        """The parameters for one item. Raises ExpressionFailed or ParamsInvalid."""
        if self.fixed is not None:
            return self.fixed
        if self.names <= OF_THE_RUN:
            return once_a_run(self, lambda: _validated(self.model, self.build(scope)), scope)
        return _validated(self.model, self.build(scope))


Made = TypeVar("Made")


def once_a_run(what: object, make: Callable[[], Made], scope: Scope) -> Made:
    """What `make` gives, or gave for another item of the run; random values differ from item to item all the same."""
    if scope.made is None:
        return make()
    key = id(what)  # The plan, which has it, outlives the run.
    if key in scope.made:
        return cast("Made", scope.made[key])
    drawn = scope.draws
    value = make()
    if scope.draws == drawn:
        scope.made[key] = value
    return value


def compile_params(model: type[Params], raw: Mapping[str, Any]) -> ParamsTemplate:
    """Compile every expression in `raw`. Raises ExpressionInvalid.

    Without expressions the values are checked at once, which raises ParamsInvalid.
    """
    templates: list[Template] = []
    build = _builder(raw, templates, verbatim_fields(model))
    if build is None:
        return ParamsTemplate(model, lambda _scope: raw, _validated(model, raw))
    node_keys = frozenset().union(*(template.node_keys for template in templates))
    names = frozenset().union(*(template.names for template in templates))
    return ParamsTemplate(model, build, None, node_keys, names)


@cache
def verbatim_fields(model: type[Params]) -> frozenset[str]:
    """The parameters that are taken as they are written: see Verbatim."""
    fields = model.model_fields.items()
    return frozenset(name for name, field in fields if any(isinstance(mark, VerbatimMark) for mark in field.metadata))


def expression_texts(raw: Mapping[str, Any], model: type[Params] | None) -> Iterator[tuple[Place, str]]:
    """Every string in the parameters `raw` that holds an expression, with its place; None is a type not known here."""
    verbatim = frozenset() if model is None else verbatim_fields(model)
    for name, value in raw.items():
        if name not in verbatim:
            yield from _texts(value, (name,))


def _texts(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str):
        if has_expression(value):
            yield place, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, (*place, key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*place, index))


def _builder(value: Any, templates: list[Template], verbatim: frozenset[str] = frozenset()) -> Build | None:
    """What rebuilds `value` with every expression evaluated, or None where it has none; adds to `templates`.

    What holds no expression is shared by all that is built, not copied; so is what stands under a key in `verbatim`.
    """
    if isinstance(value, str):
        if not has_expression(value):
            return None
        template = compile_template(value)
        templates.append(template)
        if template.names <= OF_THE_RUN:
            return lambda scope: once_a_run(template, lambda: template.run(scope), scope)
        return template.run
    if isinstance(value, Mapping):
        built = {key: _builder(inner, templates) for key, inner in value.items() if key not in verbatim}
        changing = [(key, build) for key, build in built.items() if build is not None]
        return _object_builder(value, changing) if changing else None
    if isinstance(value, list | tuple):
        parts = [(inner, _builder(inner, templates)) for inner in value]
        if all(build is None for _, build in parts):
            return None
        return lambda scope: [inner if build is None else build(scope) for inner, build in parts]
    return None


def _object_builder(value: Mapping[str, Any], changing: Sequence[tuple[str, Build]]) -> Build:
    def build_object(scope: Scope) -> dict[str, Any]:
        built = dict(value)  # A copy keeps the order of the keys.
        for key, build in changing:
            built[key] = build(scope)
        return built

    return build_object


def _validated(model: type[Params], values: Mapping[str, Any]) -> Params:
    try:
        # What `model_validate` calls, without its own checks: this runs for every item.
        return model.__pydantic_validator__.validate_python(values)  # type: ignore[no-any-return]  # of this model
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise ParamsInvalid(f"`{path}`: {said(first)}" if path else said(first), path=path) from error

"""The validator's part for a node's parameters: expressions, names they read, and every value that is already fixed."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from budflow.errors import BudflowError
from budflow.expressions.compile import Template, compile_template
from budflow.graph.params import expression_texts
from budflow.graph.parse import shape_problem
from budflow.graph.suggest import hint
from budflow.model.node import NodeSpec, StaticMark
from budflow.model.problem import Problem
from budflow.model.workflow import Node, Workflow

Path = tuple[str | int, ...]


def params_problems(workflow: Workflow, node: Node, spec: NodeSpec, upstream: frozenset[str]) -> Iterator[Problem]:
    """Every problem of a node's `params`; `upstream` are the nodes that run before it."""
    prefix = f"/nodes/{node.key}/params"
    expressions = dict(expression_texts(node.params))
    for path, text in expressions.items():
        where = prefix + "".join(f"/{part}" for part in path)
        if _is_static(spec.params, path):
            yield Problem(
                "expression.not_allowed",
                where,
                "This parameter is fixed when the workflow is saved.",
                "Write the value itself instead of an expression.",
            )
            continue
        try:
            template = compile_template(text)
        except BudflowError as error:
            yield Problem(error.code, where, error.message, error.hint)
            continue
        yield from _read_problems(workflow, node, template, where, upstream)
    try:
        spec.params.model_validate(node.params)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            if not _evaluated_later(node.params, detail["loc"], expressions):
                yield shape_problem(detail, spec.params, prefix, code="params")


def _read_problems(
    workflow: Workflow, node: Node, template: Template, where: str, upstream: frozenset[str]
) -> Iterator[Problem]:
    for key in sorted(template.node_keys):
        if key not in workflow.graph.nodes:
            message = f"The expression reads `$node.{key}`, and there is no such node."
            yield Problem("expression.unknown_node", where, message, hint(key, upstream, "node before this one"))
        elif key not in upstream:
            message = f"The expression reads `$node.{key}`, which does not run before `{node.key}`."
            advice = f"Add an edge on a path from `{key}` to `{node.key}`, or read another node."
            yield Problem("expression.node_not_before", where, message, advice, blocks="run")


def _is_static(model: type[BaseModel], path: Path) -> bool:
    """Whether the parameter at `path`, or what it stands in, is marked `Static`."""
    current: type[BaseModel] | None = model
    for part in path:
        field = current.model_fields.get(str(part)) if current is not None else None
        if field is None:
            continue  # An index or the key of a mapping.
        if any(isinstance(mark, StaticMark) for mark in field.metadata):
            return True
        current = _model_in(field.annotation)
    return False


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner)) is not None), None)


def _evaluated_later(raw: Mapping[str, Any], loc: tuple[str | int, ...], expressions: Mapping[Path, str]) -> bool:
    """Whether pydantic's complaint is about an expression, whose value is known only when it runs.

    `loc` may hold tags of unions that are no part of the raw value; they are passed over.
    """
    if not expressions:
        return False
    value: Any = raw
    path: Path = ()
    for part in loc:
        inside = part in value if isinstance(value, Mapping) else isinstance(value, list) and part in range(len(value))
        if not inside:
            continue
        value = value[part]
        path = (*path, part)
        if path in expressions:
            return True
    return False

"""The validator's part for a node's parameters: expressions, names they read, and every value that is already fixed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from budflow.errors import BudflowError
from budflow.expressions.compile import Template
from budflow.expressions.evaluate import RESERVED_NAMES
from budflow.graph.draft_params import draft_errors
from budflow.graph.expression_room import ExpressionRoom
from budflow.graph.fields import fields_on, takes
from budflow.graph.nesting import Nesting
from budflow.graph.params import expression_texts
from budflow.graph.shape_problems import Place, is_of_key, place_of, shape_problems
from budflow.graph.suggest import closest, hint
from budflow.model.node import NodeSpec, StaticMark
from budflow.model.problem import Problem, pointer
from budflow.model.secret import Secret
from budflow.model.workflow import Node

#: How n8n writes an expression.
FOREIGN_PREFIX = "={{"


def params_problems(
    nesting: Nesting, node: Node, spec: NodeSpec, readable: frozenset[str], room: ExpressionRoom
) -> Iterator[Problem]:
    """Every problem of a node's `params`; `readable` are the nodes whose output its expressions may read.

    When the `room` is full this is its last problem, and others are not looked for.
    """
    prefix = (*nesting.of[node.key].place, "nodes", node.key, "params")
    expressions = dict(expression_texts(node.params, spec.params))
    for place, text in expressions.items():
        where = pointer(*prefix, *place)
        if _is_static(spec.params, place):
            message = "This parameter is fixed when the workflow is saved."
            advice = "Write the value itself instead of an expression."
            yield Problem("expression.not_allowed", where, message, advice, "run")
            continue
        try:
            template = room.compile(text)
        except BudflowError as error:
            yield Problem(error.code, where, error.message, error.hint, "run")
            if room.full:
                return
            continue
        if text.startswith(FOREIGN_PREFIX):
            yield _foreign_prefix(text, where)
        yield from reserved_problems(template, where)
        for key in sorted(template.node_keys - readable):
            yield _unreadable(nesting, node, key, where, readable)
        for slot in sorted(template.secret_slots):
            taken = takes(spec.params, place, Secret)
            yield from _secret_problems(node, spec, slot, where, takes_secret=taken, joined=template.joined)
    try:
        spec.params.model_validate(node.params)
    except ValidationError as error:
        details = error.errors(include_url=False)
        known = [detail for detail in details if not _known_later(detail, node.params, expressions)]
        if len(known) < len(details):
            known += draft_errors(spec.params, node.params)
        yield from shape_problems(known, spec.params, node.params, prefix=prefix, code="params", blocks="run")


def reserved_problems(template: Template, where: str) -> Iterator[Problem]:
    """Names in an expression that the language knows and nothing fills yet."""
    for name in sorted(template.names & RESERVED_NAMES):
        message = f"Nothing fills `${name}` in this release."
        yield Problem("expression.name_reserved", where, message, "Take the value from the item.", "run")


def _foreign_prefix(text: str, where: str) -> Problem:
    message = "The `=` before `{{` would stand before the value: an expression needs no sign here."
    advice = 'Leave it out; where the value is to begin with one, write `{{ "=" }}` for it.'
    mend = {"op": "replace", "path": where, "value": text.removeprefix("=")}
    return Problem("expression.foreign_prefix", where, message, advice, "run", (mend,))


def _secret_problems(
    node: Node, spec: NodeSpec, slot: str, where: str, *, takes_secret: bool, joined: bool
) -> Iterator[Problem]:
    """What stands against reading `$secrets` with this slot, here."""
    slots = [name for name, declared in spec.credentials.items() if not declared.at_door]
    if slot not in slots:
        message = f"The expression reads `$secrets.{slot}`, and `{node.type}` has no such slot for a credential."
        advice = hint(slot, slots, "slot") if slots else "Only node types with slots for credentials read them."
        yield Problem("expression.unknown_slot", where, message, advice, "run")
    elif slot not in node.credentials:
        message = f"The expression reads `$secrets.{slot}`, and the node has no credential there."
        advice = f'Write `"credentials": {{"{slot}": "NAME"}}` on the node; `list_credentials` shows the names.'
        yield Problem("expression.empty_slot", where, message, advice, "run")
    elif not takes_secret:
        message = "The expression reads `$secrets`, and this parameter takes no secrets."
        advice = "They go only to parameters whose description says that they take them."
        yield Problem("expression.secret_not_taken", where, message, advice, "run")
    elif joined:
        message = f"The text holds `$secrets.{slot}`, and a secret cannot become part of a text."
        advice = (
            "Leave this out: a credential such as bearer, basic or api_key_header (with its prefix) sets its header "
            "itself. Or write the expression as the whole value, without text around it."
        )
        yield Problem("expression.secret_in_text", where, message, advice, "run")


def _unreadable(nesting: Nesting, reader: Node, key: str, where: str, readable: frozenset[str]) -> Problem:
    if key not in nesting.of:
        message = f"The expression reads `$node.{key}`, and there is no such node."
        return Problem("expression.unknown_node", where, message, _other_node(key, readable), "run")
    here = nesting.of[reader.key]
    container = nesting.container_of(key, here)
    if container is not None:
        message = f"The expression reads `$node.{key}`, which stands inside a body of `{container.key}`."
        advice = _from_body(key, container.key, readable)
        return Problem("expression.node_inside_body", where, message, advice, "run")
    if any(placed.container is not None and placed.container.key == key for placed in here.around()):
        message = f"The expression reads `$node.{key}`, which ends only after `{reader.key}` inside it."
        advice = f"Instead, read `$json`{_else(key, readable)}"
        return Problem("expression.node_not_before", where, message, advice, "run")
    message = f"The expression reads `$node.{key}`, which does not run before `{reader.key}`."
    return Problem("expression.node_not_before", where, message, _not_before(key, reader.key, readable), "run")


def _other_node(key: str, readable: frozenset[str]) -> str:
    match = closest(key, readable)
    return f"Did you mean `$node.{match}`?" if match else hint(key, readable, "node before this one")


def _not_before(key: str, reader: str, readable: frozenset[str]) -> str:
    others = f"read another node: {hint(key, readable, 'node before this one')}" if readable else "read `$json`."
    return f"Add edges that lead from `{key}` to `{reader}`, or {others}" if key != reader else f"Instead, {others}"


def _from_body(key: str, container: str, readable: frozenset[str]) -> str:
    if container in readable:
        return f"Read the container instead, `$node.{container}`: what reaches `$out` in its body is its output."
    return f"What is in a body can be read only there. Instead, read `$json`{_else(key, readable)}"


def _else(key: str, readable: frozenset[str]) -> str:
    return f", or another node: {hint(key, readable, 'node before this one')}" if readable else "."


def _is_static(model: type[BaseModel], place: Sequence[str | int]) -> bool:
    """Whether the parameter at `place`, or what it stands in, is marked `Static`."""
    return any(isinstance(mark, StaticMark) for field in fields_on(model, place) for mark in field.metadata)


def _known_later(detail: Mapping[str, Any], raw: Mapping[str, Any], expressions: Mapping[Place, str]) -> bool:
    """Whether pydantic complains of what an expression gives, which is known only when it runs.

    A name that no field has, and a key, are wrong whatever stands there; so is an expression that is not allowed,
    which is a problem already.
    """
    return place_of(detail, raw) in expressions and detail["type"] != "extra_forbidden" and not is_of_key(detail)

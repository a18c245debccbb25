"""evaluate_expression: try an expression, against the items of an execution or against data that is brought along."""

import asyncio
from typing import Any

import orjson
from pydantic import Field

from budflow.errors import BudflowError
from budflow.expressions.compile import compile_template, evaluate_source, left
from budflow.expressions.evaluate import ExpressionFailed, Scope
from budflow.expressions.suggest import shorten
from budflow.expressions.tokenize import CLOSE, OPEN, TEMPLATE_CHARS_MAX, Source, has_expression, split
from budflow.expressions.values import Opaque, word_of
from budflow.model.principal import Principal
from budflow.services.expression_context import ExpressionContext, context_of
from budflow.services.use_case import Services, View, use_case


class EvaluateExpression(ExpressionContext):
    """What is tried, and where."""

    expression: str = Field(max_length=TEMPLATE_CHARS_MAX, description="Without braces, or a text with `{{ }}`.")


class PositionView(View):
    """A place in the text."""

    offset: int = Field(description="In characters, from 0.")
    line: int = Field(description="From 1.")
    column: int = Field(description="From 1.")


class ExpressionErrorView(View):
    """Why there is no value."""

    code: str
    message: str
    hint: str
    position: PositionView | None = Field(
        description="Where; of a text with several expressions, where that one begins."
    )


class EvaluationView(View):
    """What an expression came to: a value, or an error."""

    value: Any = Field(None, description="As a parameter gets it; times are text.")
    type: str | None = Field(None, description="Such as `a datetime`.")
    uses: list[str] = Field(default_factory=list, description="What it reads.")
    error: ExpressionErrorView | None = None


@use_case("execution:read")
async def evaluate_expression(services: Services, principal: Principal, request: EvaluateExpression) -> EvaluationView:
    """Try an expression, or a text with some: its value, or what is wrong with it; nothing is run or stored.

    Credentials are not there: what reads `$secrets` fails.
    """
    place = await context_of(services, principal, request)
    # Beside the event loop, which shall not wait for the most that an expression may take.
    return await asyncio.to_thread(evaluated, request.expression, place.scope(request.item_index))


def evaluated(text: str, scope: Scope) -> EvaluationView:
    """What a text comes to in this scope."""
    whole = has_expression(text)
    template_text = text if whole else f"{OPEN}{text}\n{CLOSE}"
    before = 0 if whole else len(OPEN)
    uses: list[str] = []
    try:
        template = compile_template(template_text)
        nodes = (_shown(f"$node.{key}") for key in template.node_keys)
        uses = sorted([*(f"${name}" for name in template.names - {"node"}), *nodes])
        parts = split(template_text)
        alone = parts[0] if len(parts) == 1 else None
        if isinstance(alone, Source):
            value = evaluate_source(alone, scope)
            kind = word_of(value)
            value = left(alone, value)
        else:
            value = template.evaluate(scope)
            kind = word_of(value)
        if isinstance(value, Opaque):
            value = None
        orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError as error:
        refused = ExpressionFailed(f"The value is not JSON: {error}.", hint="Such a value could not go on to a node.")
        return EvaluationView(uses=uses, error=_error(refused, text, None))
    except ExpressionFailed as error:
        offset = _expression_offset(template_text, str(error.details.get("expression", "")))
        return EvaluationView(uses=uses, error=_error(error, text, offset - before))
    except BudflowError as error:
        found = error.details.get("offset")
        place = found - before if isinstance(found, int) else None
        return EvaluationView(uses=uses, error=_error(error, text, place))
    return EvaluationView(value=value, type=kind, uses=uses)


def _expression_offset(text: str, shown: str) -> int:
    """Where the expression begins that an error shows, shortened."""
    for part in split(text):
        if isinstance(part, Source) and shorten(part.text.strip()) == shown:
            return part.offset + len(part.text) - len(part.text.lstrip())
    return 0


def _error(error: BudflowError, text: str, offset: int | None) -> ExpressionErrorView:
    position = None
    if offset is not None:
        at = min(max(offset, 0), len(text))
        line = text.count("\n", 0, at) + 1
        position = PositionView(offset=at, line=line, column=at - text.rfind("\n", 0, at))
    # In the text as it was given; the message counts from the braces around it.
    message = error.message.removesuffix(f" (line {error.details.get('line')}, column {error.details.get('column')})")
    message, hint = _shown(message), _shown(error.hint)
    return ExpressionErrorView(code=error.code, message=message, hint=hint, position=position)


def _shown(text: str) -> str:
    """Without halves of surrogate pairs, which an expression can make and no answer can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()

"""complete_expression: what may stand at the cursor, for editors."""

import asyncio
from typing import Literal

from pydantic import Field

from budflow.expressions.complete import Seen, complete
from budflow.expressions.tokenize import TEMPLATE_CHARS_MAX
from budflow.model.principal import Principal
from budflow.services.expression_context import ExpressionContext, context_of
from budflow.services.use_case import Services, View, use_case

#: Fields are looked for in so many items: the one that is asked for, and the first others.
ITEMS_SEEN = 5


class CompleteExpression(ExpressionContext):
    """A text and a cursor in it, and where it stands."""

    text: str = Field(max_length=TEMPLATE_CHARS_MAX, description="A text with `{{ }}`, or one expression without.")
    offset: int = Field(ge=0, le=TEMPLATE_CHARS_MAX, description="Where the cursor is, in characters from 0.")


class CompletionView(View):
    """One thing that may stand there."""

    label: str
    kind: Literal["name", "node", "field", "method", "function"]
    insert: str = Field(description="What takes the place of the text from `start` up to the cursor.")
    detail: str = Field(description="Of a function its signature, of a field the kind of its value.")
    doc: str = Field(description="One line on what it does.")


class CompletionsView(View):
    """What may stand there; the best first."""

    start: int
    completions: list[CompletionView]


@use_case("execution:read")
async def complete_expression(services: Services, principal: Principal, request: CompleteExpression) -> CompletionsView:
    """List what may stand at the cursor: `$names`, fields that were seen, methods of the value there, functions."""
    place = await context_of(services, principal, request)
    others = [index for index in range(min(ITEMS_SEEN, len(place.items))) if index != request.item_index]
    seen = Seen([place.scope(index) for index in (request.item_index, *others)], place.node_keys)
    found = await asyncio.to_thread(complete, request.text, min(request.offset, len(request.text)), seen)
    return CompletionsView(
        start=found.start,
        completions=[
            CompletionView(label=one.label, kind=one.kind, insert=one.insert, detail=one.detail, doc=one.doc)
            for one in found.found
        ],
    )

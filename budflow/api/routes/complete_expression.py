"""POST /expressions/complete: what may stand at a place in an expression."""

from budflow.api.route import Example, Route
from budflow.services.complete_expression import CompleteExpression, CompletionsView, complete_expression

ROUTE = Route(
    "POST",
    "/expressions/complete",
    complete_expression,
    CompleteExpression,
    CompletionsView,
    Example(
        answer={
            "start": 9,
            "completions": [
                {"label": "name", "kind": "field", "insert": "name", "detail": "a text", "doc": ""},
            ],
        },
        body={"text": "{{ $json.na }}", "offset": 11, "data": {"items": [{"name": "Ada"}]}},
    ),
)

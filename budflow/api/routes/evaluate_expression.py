"""POST /expressions/evaluate: what an expression comes to."""

from budflow.api.examples import EXECUTION_ID
from budflow.api.route import Example, Route
from budflow.services.evaluate_expression import EvaluateExpression, EvaluationView, evaluate_expression

ROUTE = Route(
    "POST",
    "/expressions/evaluate",
    evaluate_expression,
    EvaluateExpression,
    EvaluationView,
    Example(
        answer={"value": "ADA", "type": "a text", "uses": ["$node.hook"], "error": None},
        body={"expression": "$node.hook.json.body.name.upper()", "execution_id": EXECUTION_ID, "node": "greet"},
    ),
)

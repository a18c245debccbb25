"""evaluate_expression: try an expression before it goes into a document, or find out why one failed."""

from budflow.services.evaluate_expression import evaluate_expression
from mcp_server.tool import Tool

TOOL = Tool.of(
    evaluate_expression,
    title="Try an expression",
    description=(
        "Try an expression: its value, or what is wrong and where. `execution_id` and `node` give it the items that "
        "reached that node."
    ),
    read_only=True,
    cut=("value",),
)

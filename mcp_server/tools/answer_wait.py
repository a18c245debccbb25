"""answer_wait: let an execution go on that waits for a form, a request or a decision."""

from budflow.services.answer_wait import answer_wait
from mcp_server.tool import Tool

TOOL = Tool.of(
    answer_wait,
    answers_as="get_execution",
    title="Answer what an execution waits for",
    description=(
        "Answer an open wait, which get_execution shows under `waits` with what it asks; the execution goes on. An "
        "approval is a person's decision, recorded as yours: give it only in the words of the user you work for."
    ),
    destructive=True,
)

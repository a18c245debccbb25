"""POST /executions/{execution_id}/waits/{node_path}/answer: decide, fill in, go on."""

from budflow.api.examples import EXECUTION_ID, WAIT
from budflow.api.route import Example, Route
from budflow.services.answer_wait import AnswerWait, answer_wait
from budflow.services.views import WaitView

ROUTE = Route(
    "POST",
    "/executions/{execution_id}/waits/{node_path}/answer",
    answer_wait,
    AnswerWait,
    WaitView,
    Example(
        answer={**WAIT, "answered": True},
        parameters={"execution_id": EXECUTION_ID, "node_path": "ask"},
        body={"answer": {"approved": True, "comment": "Fine."}},
    ),
)

"""The answer to a webhook's request: from what came of the execution to status, headers and body."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from budflow.asgi.exchange import Answer, refusal
from budflow.errors import BudflowError
from budflow.model.event import Responded
from budflow.model.failure import Failure
from budflow.model.spilled import all_json
from budflow.nodes.http.headers import FRAMING
from budflow.nodes.trigger.webhook import WebhookParams
from budflow.services.problem_document import MEDIA_TYPE, ProblemDocument, problem_type
from budflow.triggers.webhook_outcome import Outcome

EXECUTION_HEADER = "X-Budflow-Execution"
#: Set by the connection or by this door: a workflow's own would break the framing or lie about the execution.
_OURS = FRAMING | {
    *("date", "proxy-connection", "proxy-authenticate", "x-content-type-options"),
    EXECUTION_HEADER.lower(),
}
#: On all that a workflow wrote. The page it may be stands in an origin of its own (CSP level 3, `sandbox`): its scripts
#: run, and cannot read what else this server answers. A policy of the workflow's stands beside it; both hold.
GUARDS = (
    ("X-Content-Type-Options", "nosniff"),
    (
        "Content-Security-Policy",
        "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts "
        "allow-top-navigation-by-user-activation",
    ),
)
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_WITHOUT_BODY = frozenset({204, 205, 304})


class ExecutionFailed(BudflowError):
    """The workflow failed."""

    code = "webhook.execution_failed"
    http_status = 500
    hint = "Read the execution to see where."


class ExecutionCancelled(BudflowError):
    """The execution was cancelled before it could answer."""

    code = "webhook.execution_cancelled"
    http_status = 409
    hint = "Send the request again if it is still wanted."


class AnswerTimedOut(BudflowError):
    """The workflow did not answer in time; its execution goes on."""

    code = "webhook.answer_timed_out"
    http_status = 504
    hint = "Do not send it again: read the execution later, or let the webhook respond immediately."


def accepted(execution_id: str) -> Answer:
    """The answer of `immediately`."""
    return _json(202, {"execution_id": execution_id})


def answer_of(
    outcome: Outcome, params: WebhookParams, execution_id: str, instance: str, *, authored: bool = False
) -> Answer:
    """What `last_node` or `respond_node` answers. `authored`: the words of the failure are the author's own, such as
    those of flow.stop_and_error; of any other a stranger is told no more than that, since it may quote what is inside.

    A `respond_node` workflow that succeeded without answering gives 204: the work is done, and an error would make
    the sender do it again.
    """
    if params.respond == "respond_node" and outcome.responded is not None:
        return _written(outcome.responded)
    if outcome.status == "succeeded":
        if params.respond == "respond_node":
            return Answer(204, (), b"")
        items = outcome.items.items if params.respond_items == "all" else outcome.items.items[:1]
        result = all_json(items)
        return _json(200, result if params.respond_items == "all" else next(iter(result), None))
    if outcome.status == "cancelled":
        return refusal(ExecutionCancelled(execution_id=execution_id), instance)
    return _failed(outcome.failure if authored else None, execution_id, instance)


def _failed(failure: Failure | None, execution_id: str, instance: str) -> Answer:
    error = ExecutionFailed(execution_id=execution_id)
    document = ProblemDocument.of(error, instance)
    if failure is not None:
        document = document.model_copy(
            update={
                "type": problem_type(failure.code),
                "code": failure.code,
                "detail": failure.message,
                "hint": failure.hint or error.hint,
                "details": {"execution_id": execution_id, "node": failure.node},
            }
        )
    return Answer(error.http_status, (("Content-Type", MEDIA_TYPE),), document.json_bytes())


def _written(responded: Responded) -> Answer:
    """What an `http.respond` node said: text as it is, null as no body, anything else as JSON."""
    status = responded.status_code
    headers = tuple(_safe(responded.headers))
    if responded.body is None or status in _WITHOUT_BODY:
        return Answer(status, (*headers, *GUARDS), b"")
    if isinstance(responded.body, str):
        body, media_type = responded.body.encode("utf-8", "replace"), "text/plain; charset=utf-8"
    else:
        body, media_type = orjson.dumps(responded.body), "application/json"
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers = (("Content-Type", media_type), *headers)
    return Answer(status, (*headers, *GUARDS), body)


def _safe(headers: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Those that a workflow may set, without any that could smuggle in another (RFC 9110, 5.5) or cannot be sent."""
    for name, value in headers.items():
        sendable = value.isprintable() and value.encode("latin-1", "replace") == value.encode("latin-1", "ignore")
        if name.lower() not in _OURS and _NAME.fullmatch(name) and sendable:
            yield name, value


def _json(status: int, value: Any) -> Answer:
    return Answer(status, (("Content-Type", "application/json"),), orjson.dumps(value))

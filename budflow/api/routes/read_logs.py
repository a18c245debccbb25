"""GET /executions/{execution_id}/logs: what an execution logged, as a page or as server-sent events."""

from collections.abc import AsyncIterator

from starlette.responses import JSONResponse, Response

from budflow.api.events import LogStream
from budflow.api.examples import EXECUTION_ID
from budflow.api.route import Example, Route
from budflow.services.log_lines import LogLineView
from budflow.services.read_logs import LogView, ReadLogs, read_logs

_LINES = [
    {
        "id": "3.0",
        "at": "2026-01-05T09:01:00.180000Z",
        "level": "info",
        "source": "node",
        "node": "price",
        "item": 0,
        "attempt": 1,
        "message": "GET shop.example: 200 OK",
        "fields": {"status": 200, "duration_ms": 171.4},
    },
]


def _response(result: LogView | AsyncIterator[LogLineView]) -> Response:
    if isinstance(result, LogView):
        return Response(result.model_dump_json(), media_type=JSONResponse.media_type)
    return LogStream(result)


ROUTE = Route(
    "GET",
    "/executions/{execution_id}/logs",
    read_logs,
    ReadLogs,
    LogView,
    Example(
        answer={"lines": _LINES, "next_cursor": None},
        parameters={"execution_id": EXECUTION_ID, "level": "info", "limit": 200},
    ),
    headers={"cursor": "Last-Event-ID"},
    render=_response,
)

"""GET /executions/{execution_id}/events: follow an execution, as server-sent events."""

from budflow.api.events import EventStream
from budflow.api.examples import EXECUTION_ID
from budflow.api.route import Example, Route
from budflow.services.watch_execution import WatchExecution, watch_execution

_FINISHED = (
    "id: 4\nevent: execution.finished\n"
    'data: {"seq":4,"type":"execution.finished","at":"2026-01-05T09:01:00.002000+00:00",'
    '"data":{"status":"succeeded","failure":null}}\n\n'
)

ROUTE = Route(
    "GET",
    "/executions/{execution_id}/events",
    watch_execution,
    WatchExecution,
    None,
    Example(answer=_FINISHED, parameters={"execution_id": EXECUTION_ID, "after": -1}),
    headers={"after": "Last-Event-ID"},
    response_class=EventStream,
    render=EventStream,
)

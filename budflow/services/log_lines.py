"""Lines of a log from the events of a journal: what the nodes logged, and what the engine did with them."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from budflow.model import event as e
from budflow.model.journal_row import EventUnreadable
from budflow.model.log import Level
from budflow.model.path import path_of
from budflow.services.use_case import View
from budflow.services.watch_execution import EventView

#: Each shows itself and those behind it.
LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")
#: Of the rounds of a loop that failed in one go, so many have a line.
FAILURES_MAX = 20

_ENDS: Mapping[str, Level] = {"succeeded": "info", "failed": "error", "cancelled": "warning"}

_Told = tuple[Level, str, dict[str, Any]]


class LogLineView(View):
    """One line of an execution's log."""

    id: str = Field(description="Its place in the log, for `cursor`.")
    at: datetime
    level: Level
    source: Literal["node", "engine"] = Field(description="Who says it: the node itself, or the engine about it.")
    node: str | None = Field(description="Path of the node, such as `price[3]` in a loop; null: the whole execution.")
    item: int | None = Field(None, description="The input item that it is about; the first is 0.")
    attempt: int | None = Field(None, description="At which try of the node it was logged; the first is 1.")
    message: str
    fields: dict[str, Any] = Field(default_factory=dict, description="Values beside the message, by name.")


def lines_of(event: EventView) -> Iterator[LogLineView]:
    """The lines that an event comes to, in order; each has its place in the event as the second part of its id.

    Those of a type that this release does not know come to none. Raises EventUnreadable.
    """
    try:
        lines = [*_lines_of(event)]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise EventUnreadable(f"Event {event.seq} ({event.type}) is malformed.", seq=event.seq) from error
    for index, line in enumerate(lines):
        yield line.model_copy(update={"id": f"{event.seq}.{index}"})


def _lines_of(event: EventView) -> Iterator[LogLineView]:
    data = event.data
    node = data.get("node")
    rounds = tuple(data.get("rounds", ()))
    for line in data.get("log", ()):
        inner = rounds if line.get("round") is None else (*rounds, line["round"])
        yield LogLineView(
            id="",
            at=line["at"],
            level=line["level"],
            source="node",
            node=path_of(node, inner),
            item=line.get("item"),
            attempt=line.get("attempt", 1),
            message=line["message"],
            fields=line.get("fields", {}),
        )
    for level, message, fields in _told(event.type, event.seq, data):
        path = fields.pop("node", None) or (None if node is None else path_of(node, rounds))
        yield LogLineView(id="", at=event.at, level=level, source="engine", node=path, message=message, fields=fields)


def _told(kind: str, seq: int, data: Mapping[str, Any]) -> Iterator[_Told]:
    """What the engine says of an event; `node` among the fields is another one than the event's."""
    match kind:
        case e.Admitted.TYPE:
            yield "debug", f"Triggered by {data['mode']}", {"items": _size(data["items"])}
            for slot, credential_id in data.get("credentials", {}).items():
                yield "info", f"Let in by the credential {credential_id} as `{slot}`", {"node": data["trigger"]}
        case e.Started.TYPE:
            # The first is among the first events; whatever runner comes later takes up what another one left.
            again = "Taken up" if seq > 1 else "Begun"
            yield "info", f"{again} by {data['runner']}", {"executor": data["place"]["executor"]}
        case e.Paused.TYPE | e.Continued.TYPE:
            yield "info", f"{kind.partition('.')[2].capitalize()} by {data['by']}", {}
        case e.CancelRequested.TYPE:
            yield "warning", f"To be cancelled, by {data['by']}", _code(data["failure"])
        case e.Responded.TYPE:
            yield "debug", f"Answered the trigger with {data['status_code']}", {}
        case e.Finished.TYPE:
            yield _ENDS[data["status"]], data["status"].capitalize() + _because(data["failure"]), _code(data["failure"])
        case _:
            yield from _told_of_node(kind, data)


def _told_of_node(kind: str, data: Mapping[str, Any]) -> Iterator[_Told]:
    match kind:
        case e.NodeStarted.TYPE:
            yield "debug", "Started", {"items": data["items"]}
        case e.CredentialsUsed.TYPE:
            for slot, credential_id in data["credentials"].items():
                yield "info", f"Given the credential {credential_id} as `{slot}`", {}
        case e.ItemsRetried.TYPE:
            fields = {"tries": data["tries"], "failed": data["failed"], "delay_seconds": data["delay_seconds"]}
            yield "warning", "To be tried again" + _because(data["failure"]), {**fields, **_code(data["failure"])}
        case e.NodeFinished.TYPE:
            yield from _told_of_end(data)
        case e.NodeFailed.TYPE:
            yield "error", "Failed" + _because(data["failure"]), _code(data["failure"])
        case e.TimeIsUp.TYPE:
            yield "error", "Its time is up" + _because(data["failure"]), _code(data["failure"])
        case e.NodeCancelled.TYPE:
            yield "warning", "Cancelled", {}
        case e.ResultIgnored.TYPE:
            yield "warning", f"Came too late: {data['reason']}", {}
        case e.ChildStarted.TYPE:
            yield "info", "Called a workflow", {key: data[key] for key in ("workflow_id", "execution_id")}
        case e.ChildFinished.TYPE:
            level: Level = "info" if data["status"] == "succeeded" else "warning"
            yield level, f"What it called {data['status']}" + _because(data["failure"]), _code(data["failure"])
        case e.WaitStarted.TYPE:
            until = {} if data["until"] is None else {"until": data["until"]}
            yield "info", f"Waits ({data['reason']})", until
        case e.WaitEnded.TYPE:
            by = f" by {data['by']}" if data["by"] else ""
            yield "info", "Was answered" + by if data["outcome"] == "answered" else "Waited long enough", {}
        case e.RoundsFinished.TYPE:
            yield from _told_of_rounds(data)


def _told_of_end(data: Mapping[str, Any]) -> Iterator[_Told]:
    path = path_of(data["node"], tuple(data.get("rounds", ())))
    for port, items in data["outputs"].items():
        failed = [error for error in items.get("errors", {}).values() if error[3:] == [path]]
        if failed:
            code, message = failed[0][:2]
            fields = {"failed": len(failed), "port": port, "code": code}
            yield "warning", f"Items failed and pass on; the first: {message}", fields
    yield "debug", "Finished", {port: _size(items) for port, items in data["outputs"].items()}


def _told_of_rounds(data: Mapping[str, Any]) -> Iterator[_Told]:
    for number, failure in [*data["failures"].items()][:FAILURES_MAX]:
        at = {"node": failure["node"]} if failure.get("node") else {}
        yield "error", f"Failed in round {number}" + _because(failure), {**at, **_code(failure)}
    yield "debug", "Rounds finished", {"first": data["first"], "count": len(data["counts"])}


def _because(failure: Mapping[str, Any] | None) -> str:
    return "" if failure is None else f": {failure['message']}"


def _code(failure: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if failure is None else {"code": failure["code"]}


def _size(items: Mapping[str, Any]) -> int:
    """How many items a stored list has."""
    return len(items["json"]) if "json" in items else int(items["count"])

"""What a control node's function asks for, as commands of the core; each is known by its kind and number."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from budflow.execution import state as s
from budflow.execution.node_result import ResultMalformed
from budflow.graph.plan import Plan, PlanNode
from budflow.model import control as n, event as e
from budflow.model.failure import Failure
from budflow.model.journal import encode

Asked = n.CallWorkflow | n.Wait | n.Resolve | n.Reserve | n.Respond


def begin_of(
    plan: Plan, node: PlanNode, params: Mapping[str, Any], items: int, postponed: tuple[int, int] | None
) -> n.Begin[Any]:
    """What a control node's function hears first. Raises ValidationError for parameters that its type does not take."""
    light = frozenset(name for name, number in node.bodies.items() if plan.graphs[number].light)
    return n.Begin(node.spec.params.model_validate(params), items, tuple(node.bodies), light, postponed)


def decide(
    node: PlanNode, inner: n.ControlState, event: n.ControlEvent
) -> tuple[n.ControlState, Sequence[n.ControlCommand]]:
    """Let a control node's function decide. Raises ResultMalformed, and whatever the function raises."""
    inner, decided = node.spec.call(inner, event)
    if any(isinstance(command, n.Settle | n.Fail) for command in decided[:-1]):
        raise ResultMalformed(f"`{node.spec.name}` decided more after its end.")
    return inner, decided


def ask_of(at: s.At, command: Asked, now: datetime) -> tuple[tuple[str, int], s.Command]:
    """The key of what is asked for, and the command. Raises EventUnwritable for an answer that no event can hold."""
    match command:
        case n.CallWorkflow(call, workflow_id, version, source, awaited):
            return ("call", call), s.CallChild(at, call, workflow_id, version, source, awaited)
        case n.Wait(wait, reason, seconds, until, ask):
            return ("wait", wait), s.StartWait(at, wait, reason, seconds, until, ask)
        case n.Resolve(number, source):
            return ("resolve", number), s.ResolveParams(at, number, source)
        case n.Reserve(number, key, amount, limit, per_seconds):
            return ("reserve", number), s.ReserveRate(at, number, key, amount, limit, per_seconds)
        case n.Respond(status_code, headers, body):
            encode(0, e.Responded(now, "", status_code, headers, body))
            return ("answer", 0), s.Answer(at, status_code, headers, body)


def without_call(control: s.Control, at: s.At, failure: Failure) -> s.Control:
    """A control node of which a call that it does not wait for could not be made: had it settled, it fails instead."""
    if not isinstance(control.asks.get(s.END), s.SettleControl):
        return control
    return control._replace(asks={**control.asks, s.END: s.FailControl(at, failure)})


def count_of(node: PlanNode, control: s.Control, source: n.ItemsFrom) -> int:
    """How many items enter a body. Raises ResultMalformed where the control node has no such items."""
    match source:
        case n.FromInputs():
            return control.items
        case n.FromItems(start, stop):
            return max(0, min(stop, control.items) - max(start, 0))
        case n.FromBody(body, number):
            ended = control.ended.get(body)
            if ended is not None and ended[0] == number:
                return ended[1]
    raise ResultMalformed(f"`{node.spec.name}` started a body with items that it does not have: {source}.")

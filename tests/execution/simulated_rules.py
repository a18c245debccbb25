"""The definitions that the witness judges the core by: when nodes run, which items go where, what control nodes give.

They are written down a second time here, from what edges and node types promise, and know nothing of the core.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from budflow.execution import state as s
from budflow.graph.plan import ENTRY, Plan, PlanNode, Source
from budflow.model import control as n
from budflow.model.failure import Failure
from budflow.model.item import ItemList

Values = list[int]


@dataclass
class Body:
    """A round of a body, as its container sees it."""

    entry: Values
    out: Values = field(default_factory=list)
    failure: Failure | None = None
    over: bool = False
    stopped: bool = False
    last: bool = False  # Begun or gone on with while its container was being stopped.


@dataclass
class Control:
    """A control node that has begun."""

    items: Values
    bodies: dict[tuple[str, int], Body] = field(default_factory=dict)
    calls: dict[int, tuple[s.CallChild, Values, bool]] = field(default_factory=dict)
    results: dict[int, Values] = field(default_factory=dict)
    waits: int = 0
    resolves: set[int] = field(default_factory=set)  # Asked for and not answered.
    stopped: bool = False
    reason: Failure | None = None  # Its time was up.
    hurried: bool = False  # Its last bodies took too long.
    ending: s.Command | None = None


@dataclass
class Frame:
    """A run of a graph. `outputs` are those of nodes that ran; `ended` every node that was or will never be run."""

    entry: Values
    outputs: dict[int, Mapping[str, Values]] = field(default_factory=dict)
    skipped: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    started: set[int] = field(default_factory=set)
    stopped: bool = False
    failure: Failure | None = None
    start: int | None = None


def values_of(items: ItemList) -> Values:
    """The numbers that items are here."""
    return [item.json["i"] for item in items.items]


def verdict(plan: Plan, frame: Frame, number: int) -> str | None:
    """Whether a node is to `run` or to `skip`, by what its edges brought; None: not all of them have settled."""
    node = plan.nodes[number]
    if node.edges_in == 0:
        return "run" if frame.start == number else "skip"
    empty = run = False
    for sources in node.inputs:
        for source in sources:
            if source.node == ENTRY:
                size = len(frame.entry)
            elif source.node in frame.outputs:
                port = plan.nodes[source.node].output_names[source.port]
                size = len(frame.outputs[source.node].get(port, ()))
            elif source.node in frame.skipped:
                continue
            else:
                return None
            run, empty = run or size > 0, empty or size == 0
    if run or (empty and (node.spec.run_on_empty or node.node.run_on_empty)):
        return "run"
    return "skip"


def arriving(node: PlanNode, frame: Frame) -> Iterable[Values | None]:
    """What each edge into a node brought, in order."""
    for sources in node.inputs:
        for source in sources:
            if source.node == ENTRY:
                yield frame.entry
            elif source.node in frame.outputs:
                yield list(frame.outputs[source.node].values())[source.port]
            else:
                yield None


def out_of(exits: Iterable[Source], frame: Frame) -> Values:
    """The items that reached `$out`."""
    found: Values = []
    for source in exits:
        if source.node == ENTRY:
            found.extend(frame.entry)
        elif source.node in frame.outputs:
            found.extend(list(frame.outputs[source.node].values())[source.port])
    return found


def frame_id_of(node: PlanNode, at: s.At, body: str, number: int) -> s.FrameId:
    """The frame of a round of a body."""
    return s.FrameId(node.bodies[body], (*at.rounds, number) if node.spec.bodies.loops else at.rounds)


def items_from(control: Control, source: n.ItemsFrom) -> Values:
    """The items that a control node's command speaks of."""
    match source:
        case n.FromInputs() | n.FromFailure() | n.FromAnswer():
            return control.items
        case n.FromItems(start, stop):
            return control.items[start:stop]
        case n.FromBody(body, number):
            return control.bodies[body, number].out
        case n.FromBodies(bodies):
            return [value for body in bodies for value in control.bodies[body, 0].out]
        case n.FromRounds(body, failed):
            rounds = [one for (name, _), one in sorted(control.bodies.items()) if name == body]
            return [v for one in rounds for v in (one.entry if failed and one.failure else one.out)]
        case n.FromFailedRounds(body):
            rounds = [one for (name, _), one in sorted(control.bodies.items()) if name == body]
            return [value for one in rounds if one.failure for value in one.entry]
        case n.FromCall(call):
            return control.results[call]
        case n.FromCalls():
            return [value for call in sorted(control.results) for value in control.results[call]]


def wanted(node: PlanNode, control: Control) -> Mapping[str, Values] | None:
    """What a control node is to give when it settles, by its own definition; None: nothing is said of it."""
    params, bodies = node.node.params, control.bodies
    match node.spec.name:
        case "flow.for_each":
            return _for_each_gives(params, control)
        case "flow.while":
            assert sorted(number for _, number in bodies) == list(range(len(bodies))), "a round was left out"
            current = control.items
            for number in range(len(bodies)):
                assert bodies["body", number].entry == current, "a round did not get what the last one gave"
                current = bodies["body", number].out
            return {"main": current}
        case "flow.try_catch":
            body = bodies["body", 0]
            assert body.over
            return {"caught": control.items} if body.failure else {"main": body.out}
        case "flow.parallel":
            won = [name for name in node.bodies if not (one := bodies[name, 0]).failure and not one.stopped]
            assert len(won) >= needed(node), "it settled before enough bodies had succeeded"
            assert all(one.entry == control.items for one in bodies.values())
            return (
                {"main": [value for name in won for value in bodies[name, 0].out]} if len(won) == needed(node) else None
            )
        case "flow.sub_workflow":
            return _calls_give(params, control)
        case "flow.wait":
            assert control.waits == 1, "it settled before its wait was over"
        case "flow.rate_limit":
            return {"main": control.items}
    return None


def needed(node: PlanNode) -> int:
    """How many bodies of a `flow.parallel` have to succeed."""
    join = node.node.params.get("join", "all")
    return {"all": len(node.bodies), "first": 1}.get(join) or node.node.params["quorum"]


def _for_each_gives(params: Mapping[str, Any], control: Control) -> Mapping[str, Values]:
    size = params["batch_size"]
    rounds = [control.bodies["body", number] for number in range(len(control.bodies))]
    entered = [value for one in rounds for value in one.entry]
    assert entered == control.items, "an item went into no round, or into two"
    assert all(len(one.entry) == size for one in rounds[:-1]), "a round got too few items"
    assert all(one.over for one in rounds)
    failed = [value for one in rounds if one.failure for value in one.entry]
    gave = [value for one in rounds if not one.failure for value in one.out]
    match params["on_item_error"]:
        case "stop":
            assert not any(one.failure for one in rounds)
            return {"main": gave}
        case "continue":
            return {"main": [value for one in rounds for value in (one.entry if one.failure else one.out)]}
        case _:
            return {"main": gave, "failed": failed}


def _calls_give(params: Mapping[str, Any], control: Control) -> Mapping[str, Values]:
    sent = [items for _, (_, items, _) in sorted(control.calls.items())]
    one_each = params.get("call") == "per_item"
    assert sent == ([[value] for value in control.items] if one_each else [control.items]), "an item was not sent"
    if params.get("wait", True):
        return {"main": [value for call in sorted(control.results) for value in control.results[call]]}
    return {"main": control.items}

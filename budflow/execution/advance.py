"""The pure core: `advance(plan, state, event)` gives the next state and what to do now.

No clock, no database, no items: only how nodes settle. A port settles as delivered (at least one item), empty (its
node ran, no item) or dead (its node was skipped). A node runs when all its edges have settled and one delivered, or
one is empty and the node runs on empty; otherwise it is skipped and its ports are dead. So a join neither hangs nor
fires early.
"""

from collections.abc import Iterable, Sequence
from typing import assert_never

from pydantic import ValidationError

from budflow.execution.state import (
    Answer,
    CallChild,
    CancelNode,
    Command,
    End,
    FailControl,
    FaultyControl,
    SettleControl,
    SkipNode,
    StartNode,
    State,
    Tally,
)
from budflow.graph.plan import Plan, PlanNode
from budflow.model import event as e
from budflow.model import node as n
from budflow.model.failure import Failure

Step = tuple[State, list[Command]]


def advance(plan: Plan, state: State, event: e.Event) -> Step:
    """Fold one event. Events that come after the end, or for nodes that do not run, change nothing."""
    if state.phase == "ended":
        return state, []
    match event:
        case e.Admitted():
            return _admitted(plan, state, event)
        case e.NodeStarted():
            return _started(plan, state, event)
        case e.NodeFinished():
            return _finished(plan, state, event)
        case e.NodeFailed():
            return _failed(plan, state, event)
        case e.NodeCancelled():
            return _cancelled(plan, state, event)
        case e.ChildFinished():
            return _child_finished(plan, state, event)
        case e.Responded():
            return state._replace(responded=True), []
        case e.CancelRequested():
            return _stop(state, "cancelled" if event.failure is None else "failed", event.failure)
        case e.Finished():
            # Not only what ran is over: an execution may end in the queue, and nothing of it is open any more.
            return State("ended", responded=state.responded, outcome=event.status, failure=event.failure), []
        case e.Started() | e.ItemsRetried() | e.ResultIgnored() | e.ChildStarted():
            return state, []


def fold(plan: Plan, events: Iterable[e.Event]) -> State:
    """The state after these events, which is all that there is to know of an execution."""
    state = State()
    for event in events:
        state, _ = advance(plan, state, event)
    return state


def _admitted(plan: Plan, state: State, event: e.Admitted) -> Step:
    state = state._replace(phase="running", unsettled=len(plan.nodes))
    commands: list[Command] = []
    start = plan.index[event.trigger]
    # Every other node without edges into it (another trigger, a loose node of a draft) is dead in this execution.
    dead = [node.index for node in plan.nodes if node.edges_in == 0 and node.index != start]
    state = _begin(state, plan.nodes[start], commands)
    state = _skip(plan, state, dead, commands)
    return _end_if_settled(state, commands)


def _begin(state: State, node: PlanNode, commands: list[Command]) -> State:
    commands.append(StartNode(node.index))
    return state._replace(running=state.running | {node.index})


def _skip(plan: Plan, state: State, nodes: Sequence[int], commands: list[Command]) -> State:
    """Skip these nodes and settle what hangs on them; without recursion, since a chain may have 500 nodes."""
    waiting = list(nodes)
    while waiting:
        node = plan.nodes[waiting.pop(0)]
        commands.append(SkipNode(node.index))
        state = state._replace(unsettled=state.unsettled - 1)
        for port in node.targets:
            state = _settle_edges(plan, state, port, None, commands, waiting)
    return state


def _settle_edges(
    plan: Plan, state: State, targets: Sequence[int], items: int | None, commands: list[Command], skipped: list[int]
) -> State:
    """Settle the edges of one port: with `items` items, or dead where `items` is None."""
    if not targets:
        return state
    tallies = dict(state.tallies)
    ready: list[PlanNode] = []
    for target in targets:
        node = plan.nodes[target]
        tally = tallies.get(target) or Tally(node.edges_in)
        tally = Tally(
            tally.open - 1,
            tally.delivered or (items is not None and items > 0),
            tally.empty or items == 0,
        )
        if tally.open:
            tallies[target] = tally
            continue
        tallies.pop(target, None)
        if tally.delivered or (tally.empty and (node.spec.run_on_empty or node.node.run_on_empty)):
            ready.append(node)
        else:
            skipped.append(target)
    state = state._replace(tallies=tallies)
    for node in ready:
        state = _begin(state, node, commands)
    return state


def _started(plan: Plan, state: State, event: e.NodeStarted) -> Step:
    node = plan.nodes[plan.index[event.node]]
    if node.weight != "control" or node.index not in state.running or event.params is None or state.phase != "running":
        return state, []
    try:
        begin = n.Begin(node.spec.params.model_validate(event.params), event.items)
    except ValidationError as error:  # What they were written as is no longer what the type takes.
        return state, [FaultyControl(node.index, error)]
    return _control(state, node, begin)


def _child_finished(plan: Plan, state: State, event: e.ChildFinished) -> Step:
    node = plan.nodes[plan.index[event.node]]
    if node.index not in state.running or state.phase != "running":
        return state, []
    return _control(state, node, n.CallEnded(event.call, event.failure))


def _control(state: State, node: PlanNode, event: n.ControlEvent) -> Step:
    try:
        inner, decided = node.spec.call(state.controls.get(node.index), event)
        commands = [_command(node.index, command) for command in decided]
    except Exception as error:  # noqa: BLE001 - the boundary of a node's call
        return state, [FaultyControl(node.index, error)]
    return state._replace(controls={**state.controls, node.index: inner}), commands


def _command(node: int, command: n.ControlCommand) -> Command:
    match command:
        case n.CallWorkflow():
            return CallChild(node, command.call, command.workflow_id, command.version)
        case n.Respond():
            return Answer(node, command.status_code, command.headers, command.body)
        case n.Settle():
            return SettleControl(node, command.outputs)
        case n.Fail():
            return FailControl(node, command.failure)
        case _:
            assert_never(command)


def _finished(plan: Plan, state: State, event: e.NodeFinished) -> Step:
    node = plan.nodes[plan.index[event.node]]
    if node.index not in state.running:
        return state, []
    state = _gone(state, node.index)
    if state.phase == "stopping":
        return _end_if_stopped(state)
    commands: list[Command] = []
    skipped: list[int] = []
    for name, targets in zip(node.output_names, node.targets, strict=True):
        items = event.outputs.get(name)
        state = _settle_edges(plan, state, targets, 0 if items is None else len(items), commands, skipped)
    state = _skip(plan, state, skipped, commands)
    return _end_if_settled(state, commands)


def _failed(plan: Plan, state: State, event: e.NodeFailed) -> Step:
    node = plan.index[event.node]
    if node not in state.running:
        return state, []
    state = _gone(state, node)
    if state.phase == "stopping":
        return _end_if_stopped(state)
    return _stop(state, "failed", event.failure)


def _cancelled(plan: Plan, state: State, event: e.NodeCancelled) -> Step:
    node = plan.index[event.node]
    if node not in state.running:
        return state, []
    state = _gone(state, node)
    # Where nothing was being stopped, what comes after this node can never settle: the execution ends as well.
    return _end_if_stopped(state) if state.phase == "stopping" else _stop(state, "cancelled", None)


def _gone(state: State, node: int) -> State:
    controls = state.controls
    if node in controls:
        controls = {key: value for key, value in controls.items() if key != node}
    return state._replace(running=state.running - {node}, controls=controls, unsettled=state.unsettled - 1)


def _stop(state: State, outcome: e.EndStatus, failure: Failure | None) -> Step:
    """Forbid new starts and cancel what runs. The first reason to stop stays the reason."""
    if state.phase == "stopping":
        return state, []
    state = state._replace(phase="stopping", tallies={}, outcome=outcome, failure=failure)
    if not state.running:
        return _end_if_stopped(state)
    return state, [CancelNode(node) for node in sorted(state.running)]


def _end_if_stopped(state: State) -> Step:
    if state.running:
        return state, []
    return state, [End(state.outcome, state.failure)]


def _end_if_settled(state: State, commands: list[Command]) -> Step:
    if state.unsettled == 0:
        commands.append(End(state.outcome, state.failure))
    return state, commands

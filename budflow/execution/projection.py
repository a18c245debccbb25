"""Reading a journal: what each node did, when, where and with what, as a fold over the events."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from budflow.execution import state as s
from budflow.execution.active import first_port, result_of
from budflow.execution.advance import advance
from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.execution import Place
from budflow.model.failure import Failure
from budflow.model.item import ItemList

NodeStatus = Literal["pending", "running", "succeeded", "failed", "skipped", "cancelled"]


@dataclass(slots=True)
class NodeStory:
    """What one node did. `retries` are the tries that failed; `children` the executions it called."""

    key: str
    type: str
    status: NodeStatus = "pending"
    started_at: datetime | None = None
    finished_at: datetime | None = None
    outputs: Mapping[str, ItemList] = field(default_factory=dict)
    tries: int = 0
    place: Place | None = None
    failure: Failure | None = None
    children: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Story:
    """What an execution did, with its nodes in document order."""

    nodes: list[NodeStory]
    place: Place | None = None
    responded: e.Responded | None = None
    result: ItemList = field(default_factory=ItemList)


def tell(plan: Plan, events: Iterable[e.Event]) -> Story:
    """The story of an execution from its journal."""
    story = Story([NodeStory(node.key, node.spec.name) for node in plan.nodes])
    state = s.State()
    sinks: dict[int, ItemList] = {}
    for event in events:
        state, commands = advance(plan, state, event)
        for command in commands:
            if isinstance(command, s.SkipNode):
                story.nodes[command.node].status = "skipped"
            elif isinstance(command, s.StartNode):
                node = story.nodes[command.node]
                node.status, node.started_at = "running", event.at
        _note(plan, story, sinks, event)
    if state.phase == "ended":
        for node in story.nodes:
            # What never came to its turn, because the execution was stopped, is told as skipped. That may be a node
            # that was due and is told as running: one that really ran has an event of its end.
            if node.status in ("pending", "running"):
                node.status, node.started_at = "skipped", None
    story.result = result_of(plan, sinks)
    return story


def _note(plan: Plan, story: Story, sinks: dict[int, ItemList], event: e.Event) -> None:
    match event:
        case e.Started():
            story.place = event.place
        case e.Responded():
            story.responded = story.responded or event
        case e.NodeStarted() | e.NodeFinished() | e.NodeFailed() | e.NodeCancelled() | e.ItemsRetried():
            _note_node(story.nodes[plan.index[event.node]], event)
            if isinstance(event, e.NodeFinished) and plan.index[event.node] in plan.sinks:
                number = plan.index[event.node]
                sinks[number] = first_port(plan, number, event)
        case e.ChildStarted():
            story.nodes[plan.index[event.node]].children.append(event.execution_id)
        case _:
            pass


def _note_node(
    node: NodeStory, event: e.NodeStarted | e.NodeFinished | e.NodeFailed | e.NodeCancelled | e.ItemsRetried
) -> None:
    match event:
        case e.NodeStarted():
            node.started_at = event.at
        case e.ItemsRetried():
            node.tries = event.tries
        case e.NodeFinished():
            node.status, node.outputs, node.tries, node.place = "succeeded", event.outputs, event.tries, event.place
            node.started_at, node.finished_at = event.started_at, event.at
        case e.NodeFailed():
            node.status, node.failure, node.tries, node.place = "failed", event.failure, event.tries, event.place
            node.started_at, node.finished_at = event.started_at, event.at
        case e.NodeCancelled():
            node.status, node.finished_at = "cancelled", event.at

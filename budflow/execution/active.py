"""An execution that is being advanced: what it said so far, for those who wait for it."""

import asyncio
from dataclasses import dataclass, field

from budflow.graph.plan import Plan
from budflow.model import event as e
from budflow.model.execution import Execution
from budflow.model.item import EMPTY, ItemList


@dataclass(slots=True)
class Active:
    """One execution under way. `sinks` holds the outputs of nodes that lead nowhere.

    `watchers` counts those who wait for its end, however long it takes: while there are any it is not given back.
    """

    execution: Execution
    plan: Plan
    #: Who started it.
    principal: str = ""
    responded: e.Responded | None = None
    finished: e.Finished | None = None
    sinks: dict[int, ItemList] = field(default_factory=dict)
    watchers: int = 0
    #: Set when there is an answer to the trigger, or the end, and it is durable; an exception when neither will come.
    answered: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    ended: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def result(self) -> ItemList:
        """What the execution is about: the items of the last node, in document order, that leads nowhere and ran."""
        return result_of(self.plan, self.sinks)

    def observe(self, event: e.Event) -> None:
        """Keep what answers will need."""
        match event:
            case e.Admitted():
                self.principal = event.principal
            case e.NodeFinished():
                number = self.plan.index[event.node]
                if number in self.plan.sinks:
                    self.sinks[number] = first_port(self.plan, number, event)
            case e.Responded() if self.responded is None:
                self.responded = event
            case e.Finished():
                self.finished = event
            case _:
                pass


def first_port(plan: Plan, number: int, event: e.NodeFinished) -> ItemList:
    """The items of the first of a node's ports that has any."""
    names = plan.nodes[number].output_names
    return next((event.outputs[name] for name in names if event.outputs.get(name)), EMPTY)


def result_of(plan: Plan, sinks: dict[int, ItemList]) -> ItemList:
    """The result of an execution: the items of the last node, in document order, that leads nowhere and has items."""
    for number in reversed(plan.sinks):
        if sinks.get(number):
            return sinks[number]
    return EMPTY

"""Folding the journal of an execution that is taken up again: its state, its items, and what open effects had done."""

from collections.abc import Iterable

from budflow.execution import state as s
from budflow.execution.advance import advance
from budflow.execution.controls import Controls
from budflow.execution.open_node import Openings, OpenNode, Recorded
from budflow.execution.produced import Produced
from budflow.execution.saved_run import SavedRun
from budflow.execution.unfit import UNFIT, unfit
from budflow.graph.plan import Plan
from budflow.model import event as e


class Replay:
    """Everything that a run does with an event but the doing. `recorded` is the work of nodes that have not ended."""

    def __init__(
        self,
        plan: Plan,
        produced: Produced,
        openings: Openings,
        open_nodes: dict[s.At, OpenNode],
        controls: Controls,
    ) -> None:
        self._plan, self._produced, self._openings = plan, produced, openings
        self._open, self._controls = open_nodes, controls
        self.recorded: dict[s.At, Recorded] = {}
        self._state = s.State()

    def restore(self, saved: SavedRun) -> None:
        """Begin with what a snapshot has instead of with nothing."""
        self._state = saved.state
        self._produced.restore(saved.entries, saved.outputs)
        self.recorded.update(saved.recorded)
        for at, started_at, control in saved.controls:
            opened = self._open[at] = self._openings.open(at, started_at)
            control.fed = self._openings.open_control(opened).fed
            opened.control = control

    def fold(self, events: Iterable[e.Event]) -> s.State:
        """The state after these events; nodes that are open stand in `open_nodes` where they are control nodes.

        Raises EventUnreadable.
        """
        state = self._state
        whole = state.phase == "new"
        for number, event in enumerate(events):
            try:
                state = self._fold(state, event)
            except UNFIT as error:
                raise unfit(event, number if whole else None) from error
        return state

    def _fold(self, state: s.State, event: e.Event) -> s.State:
        if isinstance(event, e.Admitted):
            self._produced.admitted = event.items.items
            if state.phase != "new":
                return state  # The snapshot has what it brought.
        elif (node := getattr(event, "node", None)) is not None:
            self._note(event, s.At(self._plan.index[node], getattr(event, "rounds", ())))
        state, commands = advance(self._plan, state, event)
        for command in commands:
            if isinstance(command, s.OpenFrame):
                self._controls.open_frame(command)
            elif isinstance(command, s.CloseFrame):
                self._controls.close_frame(command)
            elif isinstance(command, s.CallChild) and (control := self._open[command.at].control) is not None:
                self._controls.note_call(control, command)
        return state

    def _note(self, event: e.Event, at: s.At) -> None:
        match event:
            case e.NodeStarted() if event.params is None:
                self.recorded[at] = Recorded(event.begun, started_at=event.at)
            case e.NodeStarted():
                self._open[at] = self._openings.open(at, event.at)
                self._controls.note(event, at)
            case e.ItemsStarted() | e.ItemsFinished() if at in self.recorded:
                self.recorded[at].note(event)
            case e.WaitStarted() if at in self.recorded:
                self.recorded[at].asked += 1
            case e.WaitEnded() if at in self.recorded:
                self.recorded[at].decided.append((self.recorded[at].begun, str(event.answer)))
            case e.NodeFinished() | e.NodeFailed() | e.NodeCancelled():
                self.recorded.pop(at, None)
                self._open.pop(at, None)
                if isinstance(event, e.NodeFinished):
                    self._produced.keep(at, event.outputs)
            case _:
                self._controls.note(event, at)

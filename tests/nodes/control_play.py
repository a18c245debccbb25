"""Plays a control node: carries out what it asks for, in an order that a test chooses, and holds it to the protocol."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from budflow.errors import BudflowError
from budflow.model.control import (
    Begin,
    BodyEnded,
    CallEnded,
    CallWorkflow,
    ControlCommand,
    ControlEvent,
    ControlState,
    Fail,
    FromAnswer,
    FromBodies,
    FromBody,
    FromCall,
    FromCalls,
    FromFailedRounds,
    FromFailure,
    FromInputs,
    FromItems,
    FromRounds,
    ItemsFrom,
    Reserve,
    Reserved,
    Resolve,
    Resolved,
    Respond,
    Settle,
    StartBody,
    StopBody,
    Stopped,
    Wait,
    WaitOver,
)
from budflow.model.failure import Failure
from budflow.model.item import Item, ItemError, Json
from budflow.model.node import NodeSpec, Params

#: What a round of a body gives for its items; a BudflowError that it raises fails the round.
Body = Callable[[list[Item]], Sequence[Item | Json]]
#: What a called workflow gives, or why it fails, or a function over the call's items that says either.
Callee = Sequence[Json] | Failure | Callable[[list[Item]], Sequence[Json] | Failure]
Made = list[tuple[Item, int]]
STATE_CHARS_MAX = 1000


def oldest(open_: int) -> int:
    """Whatever was asked for first ends first."""
    return 0


def newest(open_: int) -> int:
    """Whatever was asked for last ends first."""
    return open_ - 1


@dataclass(frozen=True)
class World:
    """How the world around the node behaves.

    `pick` says which of so many open things ends next. Waits are `answered` with this, or elapse where it is None; a
    reservation may happen in `reserved_seconds`. The node is stopped when so many things have ended (`stop_after`).
    """

    pick: Callable[[int], int] = oldest
    answered: Any = None
    reserved_seconds: float = 0
    stop_after: int | None = None
    light: frozenset[str] = frozenset()


@dataclass
class ControlPlay:
    """One run of a control node, and all that it asked for. `ended` says how it came to its end."""

    spec: NodeSpec
    resolve: Callable[[Sequence[Item]], Params]
    first: Sequence[Item]
    items: Sequence[Item]
    bodies: Mapping[str, Body]
    callee: Callee
    world: World
    state: ControlState = None
    open: list[ControlCommand] = field(default_factory=list)
    open_max: int = 0
    state_chars_max: int = 0
    started: list[StartBody] = field(default_factory=list)
    stopped: list[StopBody] = field(default_factory=list)
    calls: list[CallWorkflow] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    reserves: list[Reserve] = field(default_factory=list)
    resolves: list[Resolve] = field(default_factory=list)
    responds: Respond | None = None
    outputs: dict[str, Made] = field(default_factory=dict)
    failure: Failure | None = None
    ended: str = ""
    _begun: set[tuple[str, int]] = field(default_factory=set)
    _rounds: dict[tuple[str, int], list[Item]] = field(default_factory=dict)
    _failed: dict[tuple[str, int], list[Item]] = field(default_factory=dict)
    _calls: dict[int, list[Item]] = field(default_factory=dict)

    def run(self) -> None:
        """From Begin to the end. Asserts that it comes to one, and that nothing is asked for that cannot be."""
        params = self.resolve(self.first)
        assert type(params).model_validate(params.model_dump(mode="json")) == params, "the journal changes parameters"
        self._feed(Begin(params, len(self.items), tuple(self.bodies), self.world.light))
        happened = 0
        while self.open and not self.ended:
            if happened == self.world.stop_after:
                self._stop()
                return
            self._feed(self._happen(self.open.pop(self.world.pick(len(self.open)))))
            happened += 1
        assert self.ended, "the node waits for nothing and has not ended"

    def part(self, source: ItemsFrom) -> list[Item]:
        """The items that a source stands for."""
        return [item for item, _ in self._made(source)]

    def _feed(self, event: ControlEvent) -> None:
        before = json.dumps(self.state)
        again, same = self.spec.call(self.state, event), self.spec.call(self.state, event)
        assert again == same, "the same state and event gave something else"
        assert json.dumps(self.state) == before, "the node changed its state in place"
        state, commands = again
        self.state_chars_max = max(self.state_chars_max, len(json.dumps(state)))
        assert self.state_chars_max <= STATE_CHARS_MAX, "the state grows"
        self.state = json.loads(json.dumps(state))
        for command in commands:
            assert not self.ended, f"{command} after the end"
            self._obey(command)
        self.open_max = max(self.open_max, len(self.open))

    def _obey(self, command: ControlCommand) -> None:
        match command:
            case StartBody():
                assert command.body in self.bodies
                assert (command.body, command.round) not in self._begun, "a round runs once"
                assert command.round == 0 or self.spec.bodies.loops
                self._begun.add((command.body, command.round))
                self.started.append(command)
                self.open.append(command)
            case StopBody():
                [started] = [found for found in self.open if _is_round(found, command)]
                self.open[self.open.index(started)] = command
                self.stopped.append(command)
            case CallWorkflow():
                self.calls.append(command)
                if command.awaited:
                    self.open.append(command)
            case Wait():
                self.waits.append(command)
                self.open.append(command)
            case Resolve():
                self.resolves.append(command)
                self.open.append(command)
            case Reserve():
                self.reserves.append(command)
                self.open.append(command)
            case Respond():
                self.responds = self.responds or command
            case Settle(outputs):
                assert not self.open, f"settled while open: {self.open[:3]}"
                assert set(outputs) <= set(self.spec.output_ports(self._raw()))
                self.outputs = {port: self._made(source) for port, source in outputs.items()}
                self.ended = "settled"
            case Fail(failure):
                self.failure, self.ended = failure, "failed"
                self._end_what_is_open()

    def _raw(self) -> Mapping[str, Any]:
        return self.resolve(self.first).model_dump()

    def _happen(self, command: ControlCommand) -> ControlEvent:
        """What answers a command."""
        match command:
            case StartBody(body, source, number):
                return self._run_body(body, self.part(source), number)
            case StopBody(body, number):
                return BodyEnded(body, number, 0, stopped=True)
            case CallWorkflow():
                return self._call(command)
            case Wait(wait):
                answered = self.world.answered
                return WaitOver(wait, "elapsed") if answered is None else WaitOver(wait, "answered", answered)
            case Resolve(ask, source):
                return Resolved(ask, self.resolve(self.part(source)))
            case Reserve(ask):
                return Reserved(ask, self.world.reserved_seconds)
        raise AssertionError(command)

    def _run_body(self, body: str, given: list[Item], number: int) -> BodyEnded:
        try:
            made = self.bodies[body](given)
        except BudflowError as error:
            failure = getattr(error, "failure", None) or Failure.of(error)
            self._failed[body, number] = [_with_error(item, failure) for item in given]
            return BodyEnded(body, number, 0, failure)
        self._rounds[body, number] = [value if isinstance(value, Item) else Item(value) for value in made]
        return BodyEnded(body, number, len(made))

    def _call(self, command: CallWorkflow) -> CallEnded:
        given = self.callee
        result = given(self.part(command.source)) if callable(given) else given
        if isinstance(result, Failure):
            return CallEnded(command.call, result)
        self._calls[command.call] = [Item(value) for value in result]
        return CallEnded(command.call, None)

    def _stop(self) -> None:
        """As on a cancel: everything open ends, then it hears of it, and may run one last body."""
        self._end_what_is_open()
        self._feed(Stopped())
        assert all(isinstance(command, StartBody) for command in self.open)
        while self.open and not self.ended:
            self._feed(self._happen(self.open.pop()))
        self.ended = self.ended or "stopped"

    def _end_what_is_open(self) -> None:
        """Stopped rounds are told of; nothing may come of that."""
        for command in self.open:
            if isinstance(command, StartBody | StopBody):
                event = BodyEnded(command.body, command.round, 0, stopped=True)
                self.state, more = self.spec.call(self.state, event)
                assert not more, "it went on while it was being stopped"
        self.open = []

    def _made(self, source: ItemsFrom) -> Made:
        """The items of a source, each with its index among the node's items, or -1."""
        match source:
            case FromInputs():
                return [(item, index) for index, item in enumerate(self.items)]
            case FromItems(start, stop):
                assert 0 <= start < stop <= len(self.items)
                return [(self.items[index], index) for index in range(start, stop)]
            case FromFailure(failure):
                return [(_with_error(item, failure), index) for index, item in enumerate(self.items)]
            case FromAnswer(_, name):
                answer = {name: self.world.answered}
                return [(item._replace(json={**item.json, **answer}), index) for index, item in enumerate(self.items)]
        return [(item, -1) for item in self._produced(source)]

    def _produced(self, source: ItemsFrom) -> list[Item]:
        """The items of a source that bodies and calls gave."""
        match source:
            case FromCall(call):
                return self._calls[call]
            case FromCalls():
                return [item for call in sorted(self._calls) for item in self._calls[call]]
            case FromBody(body, number):
                return self._rounds[body, number]
            case FromBodies(bodies):
                return [item for body in bodies for item in self._rounds[body, 0]]
            case FromRounds(body, failed):
                rounds = {**self._rounds, **self._failed} if failed else self._rounds
                return [item for key in sorted(rounds) if key[0] == body for item in rounds[key]]
            case FromFailedRounds(body):
                return [item for key in sorted(self._failed) if key[0] == body for item in self._failed[key]]
        raise AssertionError(source)


def _is_round(command: ControlCommand, wanted: StopBody) -> bool:
    return isinstance(command, StartBody) and (command.body, command.round) == (wanted.body, wanted.round)


def _with_error(item: Item, failure: Failure) -> Item:
    return item._replace(error=ItemError(failure.code, failure.message, failure.hint))

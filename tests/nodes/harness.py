"""Runs one node type by itself: the engine's loop in small, without graph, journal, retries and concurrency."""

import asyncio
import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from budflow.errors import BudflowError
from budflow.expressions.evaluate import Scope
from budflow.graph.params import compile_params
from budflow.model.failure import Failure
from budflow.model.http import HttpRequest, HttpResponse
from budflow.model.item import Item, Json
from budflow.model.node import (
    ERROR_PORT,
    Batch,
    Begin,
    Call,
    CallEnded,
    CallWorkflow,
    ControlEvent,
    ControlState,
    Fail,
    FromCall,
    FromInputs,
    NodeSpec,
    Outputs,
    Params,
    Respond,
    Settle,
)
from budflow.nodes.registry import build

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
LIBRARY = build()

#: Raw parameters, which may hold expressions, or a function that computes them from an item's json.
RawParams = Mapping[str, Any] | Callable[[Json], Mapping[str, Any]]
Given = Sequence[Json | Item] | Mapping[str, Sequence[Json | Item]]


@dataclass
class FakeHttp:
    """Answers with the given responses, in order, and keeps the requests; an error among them is raised."""

    answers: Sequence[HttpResponse | BudflowError] = ()
    requests: list[HttpRequest] = field(default_factory=list)

    async def send(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        answer = self.answers[len(self.requests) - 1]
        if isinstance(answer, BudflowError):
            raise answer
        return answer


@dataclass
class Ran:
    """What came of it; a port without items is left out. Failed items stand under `error`, as under `error_output`."""

    items: dict[str, list[Item]] = field(default_factory=dict)
    lineage: dict[str, list[int]] = field(default_factory=dict)
    failed: dict[int, BudflowError | Failure] = field(default_factory=dict)
    requests: list[HttpRequest] = field(default_factory=list)
    calls: list[CallWorkflow] = field(default_factory=list)
    responds: Respond | None = None

    @property
    def ports(self) -> dict[str, list[Json]]:
        """Just the json, by port."""
        return {port: [item.json for item in items] for port, items in self.items.items()}

    def put(self, port: str, item: Item, source: int) -> None:
        self.items.setdefault(port, []).append(item)
        self.lineage.setdefault(port, []).append(source)


def spec_of(name: str) -> NodeSpec:
    """The declared type, which must exist."""
    spec = LIBRARY.get(name)
    assert spec is not None, name
    return spec


def run(
    name: str,
    params: RawParams,
    given: Given,
    *,
    answers: Sequence[HttpResponse | BudflowError] = (),
    callee: Sequence[Json] | Failure = (),
    slice_items: int | None = None,
) -> Ran:
    """Run a type over `given`; `slice_items` hands a batch node so many items at a time.

    Raises what a list node raises as a whole. Asserts that the given items were left as they were.
    """
    spec = spec_of(name)
    raw = params(_first_json(given)) if callable(params) else params
    names = spec.input_ports(raw)
    by_port = given if isinstance(given, Mapping) else {(names or ("main",))[0]: given}
    items: list[Item] = []
    ports: dict[str, range] = {}
    for port in names:
        arrived = [_as_item(value) for value in by_port.get(port, ())]
        ports[port] = range(len(items), len(items) + len(arrived))
        items += arrived
    if spec.trigger:
        items = [_as_item(value) for value in by_port["main"]]
    before = copy.deepcopy([item.json for item in items])
    ran = Ran()
    match spec.kind:
        case "item":
            asyncio.run(_run_items(spec, params, items, FakeHttp(answers, ran.requests), ran))
        case "control":
            _run_control(spec, params, items, callee, ran)
        case _:
            size = slice_items or max(len(items), 1)
            for start in range(0, max(len(items), 1), size):
                whole = size >= len(items)
                _run_batch(spec, params, items[start : start + size], ports if whole else {}, start, ran)
    for index in sorted(ran.failed):
        ran.put(ERROR_PORT, items[index], index)
    assert set(ran.items) <= {*spec.output_ports(raw), ERROR_PORT}, "items left by a port that is not declared"
    assert [item.json for item in items] == before, "the node changed its input"
    return ran


def _as_item(value: Json | Item) -> Item:
    return value if isinstance(value, Item) else Item(value)


def _first_json(given: Given) -> Json:
    values = [value for part in given.values() for value in part] if isinstance(given, Mapping) else given
    return _as_item(values[0]).json if values else {}


def _resolve(spec: NodeSpec, params: RawParams, items: Sequence[Item], index: int | None) -> Params:
    """The parameters for one item, through the real expression engine; None is no item."""
    json = items[index].json if index is not None else {}
    raw = params(json) if callable(params) else params
    return compile_params(spec.params, raw).resolve(Scope(json, index or 0, {"now": NOW}))


def _run_batch(
    spec: NodeSpec, params: RawParams, items: Sequence[Item], ports: Mapping[str, range], start: int, ran: Ran
) -> None:
    batch: Batch[Any] = Batch(
        items=items,
        ports=ports,
        resolve=lambda index: _resolve(spec, params, items, index),
        now=NOW,
    )
    outputs: Outputs = spec.call(batch)
    for port, (made, sources) in outputs.ports.items():
        for item, source in zip(made, sources, strict=True):
            ran.put(port, items[source] if item is None else item, source if source < 0 else source + start)
    ran.failed |= {index + start: error for index, error in {**batch.failed, **outputs.failed}.items()}


async def _run_items(spec: NodeSpec, params: RawParams, items: Sequence[Item], http: FakeHttp, ran: Ran) -> None:
    for index, item in enumerate(items):
        try:
            made = await spec.call(Call(item, _resolve(spec, params, items, index), f"key-{index}", NOW, http))
        except BudflowError as error:
            ran.failed[index] = error
            continue
        ran.put("main", made, index)


def _run_control(
    spec: NodeSpec, params: RawParams, items: Sequence[Item], callee: Sequence[Json] | Failure, ran: Ran
) -> None:
    resolved = _resolve(spec, params, items, 0 if items else None)
    state: ControlState = None
    events: list[ControlEvent] = [Begin(resolved, len(items))]
    while events:
        state, commands = spec.call(state, events.pop(0))
        for command in commands:
            match command:
                case CallWorkflow():
                    ran.calls.append(command)
                    events.append(CallEnded(command.call, callee if isinstance(callee, Failure) else None))
                case Respond():
                    ran.responds = ran.responds or command
                case Fail(failure):
                    ran.failed |= dict.fromkeys(range(len(items)), failure)
                case Settle(outputs):
                    for port, source in outputs.items():
                        _settle(ran, port, source, items, callee)


def _settle(
    ran: Ran, port: str, source: FromInputs | FromCall, items: Sequence[Item], callee: Sequence[Json] | Failure
) -> None:
    if isinstance(source, FromInputs):
        for index, item in enumerate(items):
            ran.put(port, item, index)
    elif not isinstance(callee, Failure):
        for json in callee:
            ran.put(port, Item(json), -1)

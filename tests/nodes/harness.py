"""Runs one node type by itself: the engine's loop in small, without graph, journal, retries and concurrency."""

import asyncio
import copy
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from budflow.errors import BudflowError
from budflow.execution.node_log import Logging, NodeLog, unread_log
from budflow.expressions.evaluate import Scope
from budflow.graph.params import compile_params
from budflow.model.blobs import NO_BLOBS, BlobsCapability
from budflow.model.control import CallWorkflow, Respond
from budflow.model.credential_kind import OpenCredential
from budflow.model.failure import Failure
from budflow.model.http import HttpRequest, HttpResponse
from budflow.model.item import Item, Json
from budflow.model.node import ERROR_PORT, Batch, Call, NodeSpec, Outputs, Params
from budflow.model.sandbox import NO_SANDBOX, SandboxCapability
from budflow.model.static_data import StaticData
from budflow.nodes.registry import build
from tests.nodes.control_play import Body, Callee, ControlPlay, World
from tests.nodes.fake_files import FakeFiles
from tests.nodes.inner_graph import inner_graph

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
    credentials: list[OpenCredential | None] = field(default_factory=list)

    async def send(self, request: HttpRequest, credential: OpenCredential | None = None) -> HttpResponse:
        self.requests.append(request)
        self.credentials.append(credential)
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
    rejected: list[tuple[Item, BudflowError]] = field(default_factory=list)
    requests: list[HttpRequest] = field(default_factory=list)
    calls: list[CallWorkflow] = field(default_factory=list)
    responds: Respond | None = None
    play: ControlPlay | None = None
    log: NodeLog = field(default_factory=unread_log, compare=False)

    @property
    def logged(self) -> list[tuple[str, int | None, str, Mapping[str, Any]]]:
        """What was logged: level, item, message, fields."""
        return [(line.level, line.item, line.message, line.fields) for line in self.log.end()]

    @property
    def played(self) -> ControlPlay:
        """What a control node asked for on the way."""
        assert self.play is not None
        return self.play

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
    answers: Sequence[HttpResponse | BudflowError] | FakeHttp = (),
    callee: Callee = (),
    bodies: Mapping[str, Body | Mapping[str, Any]] | None = None,
    world: World | None = None,
    slice_items: int | None = None,
    files: FakeFiles | None = None,
    static: StaticData | None = None,
    credentials: Mapping[str, OpenCredential] | None = None,
    blobs: BlobsCapability = NO_BLOBS,
    sandbox: SandboxCapability = NO_SANDBOX,
) -> Ran:
    """Run a type over `given`; `slice_items` hands a batch node so many items at a time.

    `credentials` are those of an item node, by slot. `bodies` are functions over a round's items, or inner graphs as in
    a document. Raises what a list node raises as a whole. Asserts that the given items were left as they were.
    """
    http = answers if isinstance(answers, FakeHttp) else FakeHttp(answers)
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
    ran = Ran(requests=http.requests)
    match spec.kind:
        case "item":
            asyncio.run(_run_items(spec, params, items, http, ran, credentials or {}, blobs))
        case "control":
            played = {name: _body(body, http, callee) for name, body in (bodies or {}).items()}
            _play_control(spec, params, items, played, callee, world or World(), ran)
        case _:
            size = slice_items or max(len(items), 1)
            for start in range(0, max(len(items), 1), size):
                whole = size >= len(items)
                part = items[start : start + size]
                used = (files or FakeFiles(), static or StaticData(), blobs, sandbox)
                _run_batch(spec, params, part, ports if whole else {}, start, ran, *used)
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


def _resolver(spec: NodeSpec, params: RawParams, items: Sequence[Item]) -> Callable[[int | None], Params]:
    """As the engine's: what does not depend on the item is made once."""
    fixed = None if callable(params) else compile_params(spec.params, params).fixed
    return lambda index: _resolve(spec, params, items, index) if fixed is None else fixed


def _run_batch(
    spec: NodeSpec,
    params: RawParams,
    items: Sequence[Item],
    ports: Mapping[str, range],
    start: int,
    ran: Ran,
    files: FakeFiles,
    static: StaticData,
    blobs: BlobsCapability,
    sandbox: SandboxCapability,
) -> None:
    batch: Batch[Any] = Batch(
        items=items,
        ports=ports,
        resolve=_resolver(spec, params, items),
        now=NOW,
        files=files,
        static=static,
        log=Logging(ran.log, start),
        blobs=blobs,
        sandbox=sandbox,
        key="key",
        name="flow/execution/node",
    )
    for outputs in asyncio.run(_parts(spec.call(batch))):
        faults = {(port, place): error for port, place, error in outputs.rejected}
        for port, (made, sources) in outputs.ports.items():
            for place, (item, source) in enumerate(zip(made, sources, strict=True)):
                item = items[source] if item is None else item
                if (port, place) in faults:
                    ran.rejected.append((item, faults[port, place]))
                else:
                    ran.put(port, item, source if source < 0 else source + start)
        ran.failed |= {index + start: error for index, error in {**batch.failed, **outputs.failed}.items()}


async def _parts(given: Outputs | Iterable[Outputs] | AsyncIterable[Outputs]) -> list[Outputs]:
    if isinstance(given, Outputs):
        return [given]
    return [part async for part in given] if isinstance(given, AsyncIterable) else list(given)


async def _run_items(
    spec: NodeSpec,
    params: RawParams,
    items: Sequence[Item],
    http: FakeHttp,
    ran: Ran,
    credentials: Mapping[str, OpenCredential],
    blobs: BlobsCapability,
) -> None:
    for index, item in enumerate(items):
        try:
            resolved = _resolve(spec, params, items, index)
            log = Logging(ran.log, 0, index)
            used = {"credentials": credentials, "log": log, "blobs": blobs}
            made = await spec.call(Call(item, resolved, f"key-{index}", NOW, http, **used))
        except BudflowError as error:
            ran.failed[index] = error
            continue
        ran.put("main", _as_item(made), index)


def _body(body: Body | Mapping[str, Any], http: FakeHttp, callee: Callee) -> Body:
    if not isinstance(body, Mapping):
        return body
    return inner_graph(body, lambda name, params, given: run(name, params, given, answers=http, callee=callee))


def _play_control(
    spec: NodeSpec,
    params: RawParams,
    items: Sequence[Item],
    bodies: Mapping[str, Body],
    callee: Callee,
    world: World,
    ran: Ran,
) -> None:
    fed = list(_fed(spec, params, items))
    ran.play = play = ControlPlay(
        spec,
        resolve=lambda current: _resolve(spec, params, current, 0 if current else None),
        first=items[:1],
        items=[item for item, _ in fed],
        bodies=bodies,
        callee=callee,
        world=world,
    )
    play.run()
    ran.calls, ran.responds = play.calls, play.responds
    for port, made in play.outputs.items():
        for item, source in made:
            ran.put(port, item, fed[source][1] if source >= 0 else -1)
    if play.failure is not None:
        ran.failed |= dict.fromkeys(range(len(items)), play.failure)


def _fed(spec: NodeSpec, params: RawParams, items: Sequence[Item]) -> Iterator[tuple[Item, int]]:
    """The items of a control node, each with the index of the input item that it is of."""
    for index, item in enumerate(items):
        # A function stands for expressions, whose null is no list; a null in the document is one left out.
        given = params(item.json).keys() if callable(params) else {name for name in params if params[name] is not None}
        if spec.feed is None or spec.feed not in given:
            yield item, index
            continue
        listed = getattr(_resolve(spec, params, items, index), spec.feed)
        for element in listed or ():
            yield Item(element if isinstance(element, dict) else {"value": element}), index

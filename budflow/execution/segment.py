"""A heavy segment as bytes: packed where the execution is advanced, run in another process, and its result put back.

The same bytes go to a process of this machine and to a Ray task. Expressions are evaluated over there; what they read
of other nodes goes along, found by lineage on this side.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol

import orjson

from budflow.errors import BudflowError
from budflow.execution.aside import Aside
from budflow.execution.hand_over import PutQuestion, Taking, ask_nobody
from budflow.execution.node_log import ExecutionLog, NodeLog
from budflow.execution.node_result import NodeResult, NodeRun, NodeTimedOut, all_failed as every_failed
from budflow.execution.node_run import run_node
from budflow.execution.rounds_host import RoundsHost
from budflow.execution.rounds_segment import packs_rounds
from budflow.execution.segment_blobs import SegmentBlobs, own_blobs
from budflow.execution.segment_log import SegmentLog, Tell, hear_whole
from budflow.execution.segment_names import pack_names, unpack_names
from budflow.execution.spill import Spill
from budflow.execution.tools import Tools
from budflow.graph.params import compile_params
from budflow.graph.plan import NodeTypeMissing, PlanNode
from budflow.model.blobs import NO_BLOBS
from budflow.model.failure import Failure
from budflow.model.item import Item, ItemList, Json
from budflow.model.item_codec import decode_items, encode_items
from budflow.model.journal import EventUnwritable
from budflow.model.sandbox import CodePlace
from budflow.model.workflow import Node, Retry
from budflow.nodes.registry import Registry

#: What a node gets beyond its own `timeout_seconds` before its process is ended from outside, for handing over.
GRACE_SECONDS = 2.0


class Opened(Protocol):
    """What a process opens to run nodes: the types it knows and the tools they may use."""

    @property
    def registry(self) -> Registry: ...

    @property
    def tools(self) -> Tools: ...

    @property
    def close(self) -> Callable[[], Awaitable[None]]: ...


#: Given to other processes by reference, so a function of a module that they can import, or a partial of one.
OpenTools = Callable[[], Opened]


class SegmentHost:
    """What a process that runs segments keeps between them: node types, tools, an event loop for their connections."""

    def __init__(self, open_tools: OpenTools) -> None:
        self._opened = open_tools()
        self._loop = asyncio.Runner()
        self._rounds = RoundsHost(self._opened.registry, self._opened.tools)

    def run(self, payload: bytes, ask: PutQuestion, tell: Tell | None, blobs: SegmentBlobs | None = None) -> bytes:
        """Run one packed segment, or packed rounds, to the end; blocks. `ask` gets it the credentials that it was
        packed with, and `tell` takes what it logs meanwhile. Its nodes use `blobs`, or else those of this process.
        """
        if packs_rounds(payload):
            return self._rounds.run(payload)
        return self._loop.run(run_packed(payload, self._opened.registry, self._opened.tools, ask, tell, blobs))


def pack(run: NodeRun, ticket: str = "", *, project_id: str = "") -> bytes:
    """All that one run of a node needs, as JSON; items by columns, as the journal has them.

    Blobs of the project are only referred to, also where its items stand in them. Of its credentials only the slots go
    along, and the ticket with which its process asks for them.
    Raises EventUnwritable and what reading blobs raises.
    """
    node = run.node
    shape = {
        **pack_names(run),
        "key": node.key,
        "type": node.spec.name,
        "type_version": node.spec.version,
        "params": node.node.params,
        "retry": node.node.retry,
        "timeout_seconds": node.node.timeout_seconds,
        "inputs": node.input_names,
        "outputs": node.output_names,
        "items": encode_items(ItemList(run.items, range(len(run.items)))),
        "ports": {port: (ordinals.start, ordinals.stop) for port, ordinals in run.ports.items()},
        "path": run.path,
        "now": run.now,
        "effect_scope": run.effect_scope,
        "traceparent": run.traceparent,
        "slots": [*run.credentials],
        "ticket": ticket,
        "project": project_id,
    }
    return _json(shape, node)


async def run_packed(
    payload: bytes,
    registry: Registry,
    tools: Tools,
    ask: PutQuestion = ask_nobody,
    tell: Tell | None = None,
    blobs: SegmentBlobs | None = None,
) -> bytes:
    """Run a packed segment in this process; its result as bytes. One with credentials has to `ask` for them.

    What it logs is told every now and then, and is in the result as a whole: who gets both knows how much came before.
    """
    retries: list[tuple[int, int, float, Json]] = []
    logged = SegmentLog(tell)
    segment = orjson.loads(payload)
    try:
        reached = blobs or own_blobs(tools, segment["project"])
        run = _unpack(segment, registry, tools, reached, retries, logged)
        if segment["slots"]:
            taking = Taking(segment["ticket"], segment["slots"], tools.hand_over, ask)
            await taking.give(run)
            run.reopen = partial(taking.give, run)
    except BudflowError as error:
        return orjson.dumps({"refused": Failure.of(error).to_json()})
    result = await run_node(run)
    shape = {
        "ports": {port: _pack_output(run.items, *kept) for port, kept in result.ports.items()},
        "stored": {port: encode_items(items) for port, items in result.stored.items()},
        "fatal": None if result.fatal is None else result.fatal.to_json(),
        "raised": result.raised,
        "code_place": None if result.code_place is None else asdict(result.code_place),
        "failed": {ordinal: failure.to_json() for ordinal, failure in result.failed.items()},
        "tries": result.tries,
        "retries": retries,
        "log": logged.whole(run.log.end()),
    }
    try:
        return _json(shape, run.node)
    except EventUnwritable as error:
        return orjson.dumps({"refused": Failure.of(error).to_json(), "log": shape["log"]})


def unpack_result(payload: bytes, run: NodeRun) -> NodeResult:
    """The result that `run_packed` gave for `run`; its retries are told to `run.on_retry`.

    What is `stored` cannot be read yet: see ListStore.open.
    """
    shape = orjson.loads(payload)
    hear_whole(shape.get("log", ()), run)
    if "refused" in shape:
        return _all_failed(run, Failure(**shape["refused"]))
    for tries, failed, delay, failure in shape["retries"]:
        run.on_retry(tries, failed, delay, Failure(**failure))
    return NodeResult(
        ports={port: _unpack_output(run.items, kept) for port, kept in shape["ports"].items()},
        failed={int(ordinal): Failure(**failure) for ordinal, failure in shape["failed"].items()},
        tries=shape["tries"],
        stored={port: decode_items(kept) for port, kept in shape["stored"].items()},
        fatal=None if shape["fatal"] is None else Failure(**shape["fatal"]),
        raised=shape["raised"],
        code_place=None if shape["code_place"] is None else CodePlace(**shape["code_place"]),
    )


def all_failed(run: NodeRun, error: BudflowError) -> NodeResult:
    """The result of a run that never came back: every item failed of the same cause."""
    return _all_failed(run, Failure.of(error))


def _all_failed(run: NodeRun, failure: Failure) -> NodeResult:
    return every_failed(run.items, replace(failure, node=run.path or run.node.key))


def late(run: NodeRun) -> NodeResult:
    """The result of a run whose process had to be ended because its time was up."""
    return all_failed(run, NodeTimedOut())


def limit_seconds(run: NodeRun) -> float | None:
    """How long to wait for a run in another process, which keeps the node's own time limit itself while it can."""
    limit = run.node.node.timeout_seconds
    return None if limit is None else limit + GRACE_SECONDS


# --- the node and what it sees -------------------------------------------------------------------------------------


def _unpack(
    shape: Json,
    registry: Registry,
    tools: Tools,
    blobs: SegmentBlobs | None,
    retries: list[Any],
    logged: SegmentLog,
) -> NodeRun:
    spec = registry.get(shape["type"], shape["type_version"])
    if spec is None:
        raise NodeTypeMissing(f"{shape['type']} in version {shape['type_version']} is not installed there.")
    given = decode_items(shape["items"])
    lists = None if blobs is None else blobs.list_store(given)
    items = (given if lists is None else lists.open(shape["project"], given)).items
    node = Node(
        key=shape["key"],
        type=shape["type"],
        type_version=shape["type_version"],
        params=shape["params"],
        retry=Retry(**shape["retry"]),
        timeout_seconds=shape["timeout_seconds"],
    )
    plan_node = PlanNode(
        index=0,
        key=node.key,
        node=node,
        spec=spec,
        params=compile_params(spec.params, node.params),
        input_names=tuple(shape["inputs"]),
        inputs=(),
        output_names=tuple(shape["outputs"]),
        targets=(),
        edges_in=0,
        weight="light",
    )
    now = datetime.fromisoformat(shape["now"])
    return NodeRun(
        node=plan_node,
        items=items,
        ports={port: range(*bounds) for port, bounds in shape["ports"].items()},
        scope=unpack_names(shape, plan_node.params.names, items, now),
        now=now,
        effect_scope=shape["effect_scope"],
        traceparent=shape["traceparent"],
        path=shape["path"],
        http=tools.http,
        files=tools.files,
        blobs=blobs or NO_BLOBS,
        open_spill=None if lists is None else partial(Spill, lists, shape["project"]),
        open_aside=None if lists is None else partial(Aside, lists.blobs),
        on_retry=lambda tries, failed, delay, failure: retries.append((tries, failed, delay, failure.to_json())),
        log=NodeLog(ExecutionLog(tools.now, logged.append), node.key, live=True),
    )


# --- what came of it -----------------------------------------------------------------------------------------------


def _pack_output(inputs: Sequence[Item], items: Sequence[Item], lineage: Sequence[int]) -> Json:
    """The items of one port; null stands for the data of an input item that only passes on."""
    shape = encode_items(ItemList(items, lineage))
    shape["json"] = [
        None if source >= 0 and item.json is inputs[source].json else item.json
        for item, source in zip(items, lineage, strict=True)
    ]
    return shape


def _unpack_output(inputs: Sequence[Item], shape: Json) -> tuple[list[Item], list[int]]:
    sources = shape.get("from") or range(len(shape["json"]))
    shape["json"] = [
        inputs[source].json if json is None else json for json, source in zip(shape["json"], sources, strict=True)
    ]
    found = decode_items(shape)
    return list(found.items), list(found.lineage)


def _json(shape: Json, node: PlanNode) -> bytes:
    try:
        return orjson.dumps(shape, default=_plain, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError as error:
        raise EventUnwritable(f"What `{node.spec.name}` takes or gives is not JSON: {error}.") from error


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")

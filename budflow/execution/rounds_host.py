"""Packed rounds where they are run: a body as a little plan of its own, kept between its chunks."""

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from budflow.errors import BudflowError
from budflow.execution.node_log import ExecutionLog, NodeLog
from budflow.execution.node_result import NodeRun
from budflow.execution.open_node import Openings, OpenNode
from budflow.execution.ports import NOTHING_AROUND
from budflow.execution.produced import Lost, Produced
from budflow.execution.round_work import RoundWork
from budflow.execution.rounds_segment import dumps, split
from budflow.execution.state import FrameId
from budflow.execution.tools import Tools
from budflow.graph.params import compile_params
from budflow.graph.plan import NodeTypeMissing, Plan, PlanGraph, PlanNode, Source
from budflow.model.execution import Execution
from budflow.model.failure import Failure
from budflow.model.item import ItemList, Json
from budflow.model.item_codec import decode_items, encode_items
from budflow.model.joined import gathered, part_of
from budflow.model.workflow import Node, Settings
from budflow.nodes.registry import Registry

#: Bodies that a process keeps unpacked.
BODIES_MAX = 8
#: The number of the body's graph over there.
BODY = 1


class RoundsHost:
    """What a process that runs packed rounds keeps between them: the bodies that it has unpacked."""

    def __init__(self, registry: Registry, tools: Tools) -> None:
        self._registry, self._tools = registry, tools
        self._bodies: OrderedDict[bytes, _Body] = OrderedDict()

    def run(self, payload: bytes) -> bytes:
        """Run packed rounds to their end; what came of them as bytes, for `unpack_rounds`. Blocks."""
        body, chunk = split(payload)
        try:
            return self._body(body).run(orjson.loads(chunk))
        except BudflowError as error:
            return orjson.dumps({"refused": Failure.of(error).to_json()})

    def _body(self, packed: bytes) -> "_Body":
        body = self._bodies.get(packed)
        if body is None:
            body = self._bodies[packed] = _Body(orjson.loads(packed), self._registry, self._tools)
            if len(self._bodies) > BODIES_MAX:
                self._bodies.popitem(last=False)
        self._bodies.move_to_end(packed)
        return body


class _Outside(Produced):
    """Of a body without what is around it: `lists` are those of nodes outside, by their numbers behind the body's, and
    `known` their parameters and the number of the run that is seen.

    `origins` says of each which of its items the items were made from that entered the body.
    """

    def __init__(
        self,
        plan: Plan,
        lists: Mapping[int, Sequence[ItemList] | None],
        known: Mapping[int, tuple[Mapping[str, Any], int]],
    ) -> None:
        super().__init__(plan)
        self._lists, self._known = lists, known
        self.origins: Mapping[int, Mapping[int, tuple[int, int] | Lost]] = {}

    def of(self, number: int, rounds: tuple[int, ...]) -> Sequence[ItemList] | None:
        """See Produced."""
        return self._lists[number] if number in self._lists else super().of(number, rounds)

    def described(self, number: int, rounds: tuple[int, ...]) -> tuple[Mapping[str, Any], int]:
        """See Produced."""
        return self._known[number] if number in self._known else super().described(number, rounds)

    def outside(self, wanted: int, ordinal: int) -> tuple[int, int] | Lost:
        """See Produced."""
        return self.origins[wanted][ordinal]


class _Body:
    """One run of a body that is repeated round by round."""

    def __init__(self, shape: Json, registry: Registry, tools: Tools) -> None:
        self._shape, self._tools = shape, tools
        keys = [node["key"] for node in shape["nodes"]]
        self._index = {key: number for number, key in enumerate((*keys, *shape["outside"]))}
        depth = shape["depth"]
        nodes = tuple(_unpack_node(node, number, depth, registry) for number, node in enumerate(shape["nodes"]))
        numbers = tuple(range(len(nodes)))
        graph = PlanGraph(BODY, numbers, numbers, exits=_unpack_sources(shape["exits"]), depth=depth)
        workflow_id, version, name, timezone = shape["workflow"]
        plan = Plan(
            workflow_id=workflow_id,
            version=version,
            name=name,
            settings=Settings(timezone=timezone),
            nodes=nodes,
            index=self._index,
            triggers=(),
            sinks=(),
            segments=(),
            segment_of=(),
            graphs=(PlanGraph(0, ()), graph),
        )
        lists = {self._index[key]: _unpack_lists(given) for key, given in shape["outside"].items()}
        known = {self._index[key]: (params, run) for key, (params, run) in shape["described"].items()}
        self._produced = _Outside(plan, lists, known)
        execution_id, mode, created_at = shape["execution"]
        created = datetime.fromisoformat(created_at)
        execution = Execution(
            execution_id, "", workflow_id, version, mode, "running", created, scope=shape["effect_scope"]
        )
        around = shape["surroundings"] or NOTHING_AROUND
        openings = Openings(execution, plan, self._produced, shape["resume_url"], around, shape["trigger"])
        self._openings, self._log = openings, ExecutionLog(tools.now)
        self._work = RoundWork(self._produced, openings, self._run_of, pinned=shape["pinned"])

    def run(self, chunk: Json) -> bytes:
        """Run rounds one after the other."""
        self._produced.origins = {self._index[key]: _unpack_origins(found) for key, found in chunk["origins"].items()}
        self._log = ExecutionLog(self._tools.now)
        now, items = datetime.fromisoformat(chunk["now"]), decode_items(chunk["items"])
        frames = [FrameId(BODY, tuple(rounds)) for rounds in chunk["rounds"]]
        start, rounds = 0, []
        began = time.thread_time()
        for frame, count in zip(frames, chunk["counts"], strict=True):
            self._produced.entries[frame] = part_of(items, start, start + count)
            rounds.append(self._work.run(frame, now))
            self._produced.forget(frame)
            start += count
        seconds = time.thread_time() - began
        given = gathered(one.items for one in rounds)
        return dumps(
            {
                "counts": [len(one.items) for one in rounds],
                "items": encode_items(given),
                "failures": {n: one.failure.to_json() for n, one in enumerate(rounds) if one.failure is not None},
                "logged": {n: [_pack_log(*log) for log in one.logged] for n, one in enumerate(rounds) if one.logged},
                "seconds": seconds,
            }
        )

    def _run_of(self, opened: OpenNode) -> NodeRun:
        opened.log = NodeLog(self._log, opened.node.key)
        return NodeRun(
            node=opened.node,
            items=opened.items,
            ports=opened.ports,
            scope=self._openings.scope_of(opened),
            now=opened.started_at,
            effect_scope=self._shape["effect_scope"],
            http=self._tools.http,
            on_retry=lambda *told: None,  # Nothing of a body that only computes is tried again.
            log=opened.log,
            path=opened.path,
            traceparent=self._shape["traceparent"],
            files=self._tools.files,
        )


def _unpack_node(shape: Json, number: int, depth: int, registry: Registry) -> PlanNode:
    spec = registry.get(shape["type"], shape["type_version"])
    if spec is None:
        raise NodeTypeMissing(f"{shape['type']} in version {shape['type_version']} is not installed there.")
    node = Node(
        key=shape["key"],
        type=shape["type"],
        type_version=shape["type_version"],
        params=shape["params"],
        on_error=shape["on_error"],
        disabled=shape["disabled"],
        run_once=shape["run_once"],
        run_on_empty=shape["run_on_empty"],
        pinned=shape["pinned"],
    )
    inputs = tuple(_unpack_sources(sources) for sources in shape["inputs"])
    return PlanNode(
        index=number,
        key=node.key,
        node=node,
        spec=spec,
        params=compile_params(spec.params, node.params),
        input_names=tuple(shape["input_names"]),
        inputs=inputs,
        output_names=tuple(shape["output_names"]),
        targets=(),
        edges_in=sum(map(len, inputs)),
        weight="light",
        graph=BODY,
        depth=depth,
    )


def _unpack_sources(shape: Sequence[Sequence[int]]) -> tuple[Source, ...]:
    return tuple(Source(node, port) for node, port in shape)


def _unpack_lists(shape: Sequence[Json] | None) -> Sequence[ItemList] | None:
    return None if shape is None else [decode_items(given) for given in shape]


def _unpack_origins(shape: Mapping[str, Lost | tuple[int, int]]) -> Mapping[int, tuple[int, int] | Lost]:
    return {int(one): found if isinstance(found, str) else (found[0], found[1]) for one, found in shape.items()}


def _pack_log(key: str, log: NodeLog) -> tuple[str, list[Json], int]:
    lines, missed = log.sent()
    return key, [line.to_json() for line in lines], missed

"""A chunk of rounds as bytes: packed where the execution is advanced, run in another process, results put back.

Over there (budflow.execution.rounds_host) the body is a little plan of its own, run by the same RoundWork. What its
nodes read of nodes outside goes along; where an item came from is followed back to where the body begins over there,
and on from there here.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import orjson

from budflow.execution import spill
from budflow.execution.lineage import trace
from budflow.execution.node_log import ExecutionLog
from budflow.execution.ports import Work
from budflow.execution.produced import Produced
from budflow.execution.round_work import Round, received_log
from budflow.execution.state import At, FrameId
from budflow.graph.plan import Plan, PlanGraph, PlanNode, Source
from budflow.model.failure import Failure
from budflow.model.item import ItemList, Json
from budflow.model.item_codec import decode_items, encode_items, to_plain
from budflow.model.joined import gathered, part_of
from budflow.model.journal import EventUnwritable
from budflow.model.log import LogLine
from budflow.model.spilled import Spilled

#: What packed rounds begin with, and no packed segment, which is JSON, does.
MARK = b"rounds\n"
SIZE_BYTES = 8
#: So much JSON of nodes outside goes along with every chunk, and so much of the items of one round. Of several rounds
#: less goes into one chunk, since a few chunks at a time are in memory, on both sides.
OUTSIDE_BYTES_MAX = 4 * 1024 * 1024
ENTRIES_BYTES_MAX = 8 * 1024 * 1024
CHUNK_BYTES_MAX = 1024 * 1024


def packs_rounds(payload: bytes) -> bool:
    """Whether these bytes are packed rounds."""
    return payload.startswith(MARK)


def entry_bytes(entry: ItemList) -> int:
    """About how much JSON goes into a round."""
    if isinstance(entry.items, Spilled):
        return sum(part.content_bytes for part in entry.items.parts)
    return len(entry) * spill.content_bytes(entry.items[-1]) if entry else 0


def pack_body(work: Work, produced: Produced, number: int, container: At) -> bytes | None:
    """What all rounds of one run of a body share, as JSON. None where its nodes read too much of nodes outside.

    Raises EventUnwritable, and what reading blobs raises.
    """
    plan, execution = work.plan, work.execution
    graph = plan.graphs[number]
    local = {node: position for position, node in enumerate(graph.ordered)}
    outside = {key: produced.of(plan.index[key], container.rounds) for key in _read_outside(plan, graph)}
    if sum(entry_bytes(items) for lists in outside.values() for items in lists or ()) > OUTSIDE_BYTES_MAX:
        return None
    names = frozenset[str]().union(*(plan.nodes[node].params.names for node in graph.nodes))
    fired = next((plan.nodes[n].key for n in plan.triggers if produced.of(n, ()) is not None), None)
    shape = {
        "nodes": [_pack_node(plan.nodes[node], local) for node in graph.ordered],
        "exits": _pack_sources(graph.exits, local),
        "outside": {
            key: None if lists is None else [_pack_list(items) for items in lists] for key, lists in outside.items()
        },
        "described": {key: produced.described(plan.index[key], container.rounds) for key in outside},
        "trigger": fired if "trigger" in names else None,
        "surroundings": {} if names.isdisjoint(work.surroundings) else dict(work.surroundings),
        "workflow": (plan.workflow_id, plan.version, plan.name, plan.settings.timezone),
        "execution": (execution.id, execution.mode, execution.created_at),
        "effect_scope": execution.effect_scope,
        "traceparent": execution.traceparent,
        "resume_url": work.resume_url,
        "pinned": work.pinned,
        "depth": graph.depth,
    }
    return dumps(shape)


def packing_of(
    body: bytes, produced: Produced, container: At, frames: Sequence[FrameId], now: datetime
) -> Callable[[], bytes]:
    """What packs rounds of a packed body, each with what enters it. What is produced is looked at now; the rest may be
    done in a thread. Calling it raises EventUnwritable and what reading blobs raises.
    """
    plan, first = produced.plan, frames[0]
    entries = [produced.entries[frame] for frame in frames]
    items = gathered(entries)
    origins = {}
    for key in _read_outside(plan, plan.graphs[first.graph]):
        wanted = plan.index[key]
        lists = produced.of(wanted, container.rounds)
        if lists is not None and sum(map(len, lists)) != 1:  # The only one is meant by every item.
            origins[key] = {one: trace(produced, container, one, wanted) for one in {*items.lineage}}
    shape = {
        "rounds": [frame.rounds for frame in frames],
        "counts": [len(entry) for entry in entries],
        "origins": origins,
        "now": now,
    }

    def pack() -> bytes:
        chunk = {**shape, "items": encode_items(ItemList(items.items[:], items.lineage))}
        return b"".join((MARK, len(body).to_bytes(SIZE_BYTES, "big"), body, dumps(chunk)))

    return pack


def unpack_rounds(payload: bytes, log: ExecutionLog) -> tuple[list[Round], float] | Failure:
    """What the rounds gave, and the seconds of a processor that they took; or why they could not be run there."""
    shape = orjson.loads(payload)
    if "refused" in shape:
        return Failure(**shape["refused"])
    items, start = decode_items(shape["items"]), 0
    rounds = []
    for position, count in enumerate(shape["counts"]):
        failure = shape["failures"].get(str(position))
        logged = [
            (key, received_log(log, key, [LogLine.of_json(line) for line in lines], missed))
            for key, lines, missed in shape["logged"].get(str(position), ())
        ]
        given = part_of(items, start, start + count)
        rounds.append(Round(given, None if failure is None else Failure(**failure), logged))
        start += count
    return rounds, shape["seconds"]


def _read_outside(plan: Plan, graph: PlanGraph) -> list[str]:
    read = frozenset[str]().union(*(plan.nodes[node].params.node_keys for node in graph.nodes))
    return sorted(key for key in read if plan.nodes[plan.index[key]].graph != graph.number)


def _pack_node(node: PlanNode, local: Mapping[int, int]) -> Json:
    return {
        "key": node.key,
        "type": node.spec.name,
        "type_version": node.spec.version,
        "params": node.node.params,
        "on_error": node.node.on_error,
        "disabled": node.node.disabled,
        "run_once": node.node.run_once,
        "run_on_empty": node.node.run_on_empty,
        "pinned": node.node.pinned,
        "input_names": node.input_names,
        "inputs": [_pack_sources(sources, local) for sources in node.inputs],
        "output_names": node.output_names,
    }


def _pack_sources(sources: Sequence[Source], local: Mapping[int, int]) -> list[tuple[int, int]]:
    return [(local.get(source.node, source.node), source.port) for source in sources]


def _pack_list(items: ItemList) -> Json:
    whole = items.items[:] if isinstance(items.items, Spilled) else items.items
    return encode_items(ItemList(list(whole), [-1] * len(items)))


def split(payload: bytes) -> tuple[bytes, bytes]:
    """Packed rounds as their body and what is their own."""
    start = len(MARK) + SIZE_BYTES
    stop = start + int.from_bytes(payload[len(MARK) : start], "big")
    return payload[start:stop], payload[stop:]


def dumps(shape: Json) -> bytes:
    """As JSON, like the journal. Raises EventUnwritable."""
    try:
        return orjson.dumps(shape, default=to_plain, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError as error:
        raise EventUnwritable(f"What goes into a body or comes out of it is not JSON: {error}.") from error

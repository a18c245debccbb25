"""What a run knows at one point of its journal, as bytes: who has them need not fold the events before that point."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from budflow.errors import BudflowError
from budflow.execution import state as s
from budflow.execution.open_node import OpenControl, OpenNode, Recorded
from budflow.execution.produced import Produced
from budflow.execution.state_codec import StateUnwritable, decode_state, encode_lists, encode_state
from budflow.model.item import ItemList
from budflow.model.item_codec import to_plain

#: So many items in lists cost about as much to write as one part of the state.
ITEMS_A_PART = 16

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS


class SavedRunUnreadable(BudflowError):
    """The bytes are not a run that this release saved."""

    code = "execution.snapshot_unreadable"
    http_status = 500
    hint = "The journal is read from its beginning instead; nothing is lost."


@dataclass(frozen=True, slots=True)
class SavedRun:
    """The state of the core, the items that nodes to come may see, and what open nodes have of their own.

    `entries` are the items of open bodies, `outputs` those of nodes by port. `controls` have their starting times;
    of `recorded` work the `done` items stand as one list, with their ordinals as its lineage.
    """

    state: s.State
    entries: Mapping[s.FrameId, ItemList]
    outputs: Mapping[s.At, Sequence[ItemList]]
    controls: Sequence[tuple[s.At, Any, OpenControl]]
    recorded: Sequence[tuple[s.At, Recorded]]

    @property
    def size(self) -> int:
        """How much it is, in parts that each cost about as much to write as one event to fold."""
        lists = [*self.entries.values(), *(part for ports in self.outputs.values() for part in ports)]
        bodies = [body for _, _, control in self.controls for body in control.bodies.values()]
        lists.extend(body.out for body in bodies if body.out is not None)
        items = sum(map(len, lists)) + sum(len(recorded.done) for _, recorded in self.recorded)
        return len(self.state.frames) + len(self.controls) + len(bodies) + items // ITEMS_A_PART

    def pack(self) -> bytes:
        """All of it; takes a while where much is open, and may be called in a thread. Raises StateUnwritable."""
        recorded = [(at, *_recorded_parts(one)) for at, one in self.recorded]
        shape = [encode_state(part) for part in (self.state, self.entries, self.outputs, [*self.controls], recorded)]
        try:
            return orjson.dumps(shape, default=_default, option=_OPTIONS)
        except orjson.JSONEncodeError as error:
            raise StateUnwritable(f"A state is not JSON: {error}.") from error


def unpack(packed: bytes, open_list: Callable[[ItemList], ItemList]) -> SavedRun:
    """The reverse of `SavedRun.pack`; `open_list` makes lists in blobs readable. Raises SavedRunUnreadable."""
    try:
        state, entries, outputs, controls, recorded = (decode_state(part, open_list) for part in orjson.loads(packed))
        return SavedRun(state, entries, outputs, controls, [_recorded(*one) for one in recorded])
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise SavedRunUnreadable(f"A saved run is not readable: {type(error).__name__}: {error}.") from error


def saved_run(
    state: s.State, produced: Produced, opened: Iterable[OpenNode], recorded: Mapping[s.At, Recorded]
) -> SavedRun | None:
    """All that a run knows now; None while the journal knows more. `recorded` is of nodes that are not open again."""
    controls: list[tuple[s.At, Any, OpenControl]] = []
    work = {at: one.copy() for at, one in recorded.items()}
    for node in opened:
        if node.control is not None:
            controls.append((node.at, node.started_at, node.control.copy()))
        elif node.recorded is not None:
            if node.recorded.behind:
                return None
            work[node.at] = node.recorded.copy()
    entries, outputs = produced.copy()
    return SavedRun(state, entries, outputs, controls, [*work.items()])


def _recorded_parts(recorded: Recorded) -> tuple[Any, ...]:
    pairs = [(item, ordinal) for ordinal, items in recorded.done.items() for item in items]
    done = ItemList([item for item, _ in pairs], [ordinal for _, ordinal in pairs])
    return (recorded.begun, recorded.started_at, recorded.asked, recorded.decided, [*recorded.done], done)


def _recorded(
    at: s.At, begun: int, started_at: Any, asked: int, decided: list[Any], ordinals: list[int], done: ItemList
) -> tuple[s.At, Recorded]:
    items: dict[int, list[Any]] = {ordinal: [] for ordinal in ordinals}
    for item, ordinal in zip(done.items, done.lineage, strict=True):
        items[ordinal].append(item)
    return at, Recorded(begun, items, started_at, asked, decided)


def _default(value: object) -> Any:
    return encode_lists(value) if isinstance(value, ItemList) else to_plain(value)

"""Moves what bodies gave to blobs when it is too much for memory: at once, or together with other rounds of a loop."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from budflow.execution.blobs import BlobUnreadable, BlobUnwritable
from budflow.execution.collected import Collected, Which, is_much, longest_row, stored, with_collected
from budflow.execution.control_items import of_round
from budflow.execution.lists import ListStore
from budflow.execution.open_node import Body, OpenControl, OpenNode, Uncollected
from budflow.execution.state import At
from budflow.model import event as e
from budflow.model.item import ItemList
from budflow.model.journal import EventUnwritable

#: Rows of rounds that have ended are not moved while they are a smaller part than this of all that wait.
ROW_PART_MIN = 0.25


class Collecting:
    """Does so for one execution; without `lists` everything stays in memory.

    `emit` journals an event and folds it, `spawn` begins a task, whose fault is one of the run.
    """

    def __init__(
        self,
        lists: ListStore | None,
        project_id: str,
        *,
        open_nodes: Mapping[At, OpenNode],
        emit: Callable[[e.Event], None],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        now: Callable[[], datetime],
    ) -> None:
        self._lists, self._project_id = lists, project_id
        self._open, self._emit, self._spawn, self._now = open_nodes, emit, spawn, now

    async def finished(self, event: e.RoundsFinished, bytes_max: int | None) -> e.RoundsFinished:
        """Rounds about to be journaled, what they gave moved where it is as much JSON, or far too many items.

        Raises BlobUnreadable, BlobUnwritable, EventUnwritable.
        """
        if self._lists is None or not is_much(event.items, bytes_max):
            return event
        items = await asyncio.to_thread(stored, self._lists, self._project_id, [event.items])
        return replace(event, items=items)

    def settle(
        self,
        opened: OpenNode,
        outputs: Mapping[str, ItemList],
        done: Callable[[Mapping[str, ItemList]], None],
        fail: Callable[[Exception], None],
    ) -> None:
        """Go on with what a control node gives, now or when what is much was moved."""
        opened.uncollected.clear()
        if any(map(self._is_much, outputs.values())):
            self._spawn(self._settle(outputs, done, fail))
        else:
            done(outputs)

    def ended(self, at: At, body: str, rounds: Sequence[int]) -> bool:
        """Rounds of a body have ended; whether so much has gathered since the last time that `collect` is due."""
        opened = self._open.get(at)
        if self._lists is None or opened is None or opened.control is None or not opened.node.spec.bodies.loops:
            return False
        waiting = opened.uncollected.get(body)
        if waiting is None:
            waiting = opened.uncollected[body] = _waiting(opened.control, body)
        else:
            waiting.add([ended for number in rounds if (ended := opened.control.bodies.get((body, number)))])
        if waiting.moving or not waiting.much:
            return False
        waiting.moving = True
        return True

    async def collect(self, at: At, body: str) -> None:
        """Move what rounds of a body gave. Raises BlobUnreadable and BlobUnwritable."""
        opened = self._open.get(at)
        waiting = None if opened is None else opened.uncollected.get(body)
        if self._lists is None or opened is None or opened.control is None or waiting is None:
            return
        control = opened.control
        row = longest_row(_ended(control, body)[:-1])  # The last one may be asked for by itself.
        if len(row) < waiting.rounds * ROW_PART_MIN:
            waiting.moving, waiting.patience = False, waiting.patience * 2
            return
        bodies = [control.bodies[body, number] for number in row]
        outputs = await asyncio.to_thread(_stored_rounds, self._lists, self._project_id, bodies)
        settled = opened.over or opened.cancelled or opened.uncollected.get(body) is not waiting
        if settled or any((body, number) not in control.bodies for number in row):
            return
        key, rounds = opened.node.key, opened.at.rounds
        self._emit(e.RoundsCollected(self._now(), key, body, row.start, row.stop, outputs, rounds))
        opened.uncollected[body] = _waiting(control, body)

    def _is_much(self, items: ItemList) -> bool:
        return self._lists is not None and is_much(items)

    async def _stored(self, items: ItemList) -> ItemList:
        if self._lists is None or not self._is_much(items):
            return items
        return await asyncio.to_thread(stored, self._lists, self._project_id, [items])

    async def _settle(
        self,
        outputs: Mapping[str, ItemList],
        done: Callable[[Mapping[str, ItemList]], None],
        fail: Callable[[Exception], None],
    ) -> None:
        try:
            moved = {port: await self._stored(items) for port, items in outputs.items()}
        except (BlobUnreadable, BlobUnwritable, EventUnwritable) as error:
            fail(error)
        else:
            done(moved)


def note_collected(control: OpenControl, event: e.RoundsCollected) -> None:
    """What the journal says was moved is kept as such, and no more in memory."""
    new = Collected(event.first, event.stop, event.outputs)
    control.collected[event.body] = with_collected(control.collected.get(event.body, ()), new)
    for number in range(event.first, event.stop):
        control.bodies.pop((event.body, number), None)


def _ended(control: OpenControl, body: str) -> list[int]:
    return sorted(number for (name, number), one in control.bodies.items() if name == body and one.ended)


def _waiting(control: OpenControl, body: str) -> Uncollected:
    waiting = Uncollected()
    waiting.add([control.bodies[body, number] for number in _ended(control, body)])
    return waiting


def _stored_rounds(lists: ListStore, project_id: str, bodies: Sequence[Body]) -> Mapping[str, ItemList]:
    wanted: tuple[Which, ...] = ("gave", "failed", "both")
    given = {which: [items for body in bodies if (items := of_round(body, which))] for which in wanted}
    if not given["gave"] or not given["failed"]:
        del given["both"]
    return {which: stored(lists, project_id, some) for which, some in given.items() if some}

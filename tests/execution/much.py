"""Runs of workflows over more than is to be in memory, and what came of them."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from budflow.execution.lists import ListStore
from budflow.execution.ports import Work
from budflow.execution.run import Run
from budflow.execution.tools import Tools
from budflow.graph.plan import compile_plan
from budflow.graph.validate import check
from budflow.model import event as e
from budflow.model.identity import utc_now
from budflow.model.item import ItemList
from budflow.storage.blobs.directory import DirectoryBlobs
from tests.execution.fakes import PLACE, FakeHttp, FakeLink, execution_of
from tests.execution.long_nodes import LONG

START: dict[str, Any] = {"start": {"type": "trigger.manual"}}


class Flow:
    """Runs of one workflow."""

    def __init__(self, blobs: DirectoryBlobs, nodes: Mapping[str, Any], edges: Sequence[str], **settings: Any) -> None:
        ends = [edge.split(" > ") for edge in edges]
        self.document = {
            "format": 1,
            "name": "test",
            "nodes": {**START, **nodes},
            "edges": [{"from": source, "to": target} for source, target in ends],
            "settings": settings,
        }
        self.plan = compile_plan(check(self.document, LONG).require("run"), LONG, workflow_id="wf_1", version=1)
        self.tools = Tools(PLACE, FakeHttp(), lists=ListStore(blobs))

    def begin(self, *events: e.Event) -> tuple[Run, FakeLink]:
        before = events or (e.Admitted(utc_now(), "start", "api", "test", ItemList.of([{}])),)
        link = FakeLink()
        link.events.extend(before)
        run = Run(Work(execution_of("exe_1"), self.document, self.plan, before), link, self.tools, "run_1")
        run.start()
        return run, link

    async def end(self, *events: e.Event) -> FakeLink:
        run, link = self.begin(*events)
        async with asyncio.timeout(20):
            await run.wait()
        return link


def finished(link: FakeLink, key: str) -> e.NodeFinished:
    [event] = [event for event in link.events if isinstance(event, e.NodeFinished) and event.node == key]
    return event


def values(items: ItemList) -> list[int]:
    return [item.json["n"] for item in items.items]


def files(blobs: DirectoryBlobs) -> int:
    return sum(1 for _ in blobs.old_blobs(older_than=10_000_000_000.0))


def numbers(count: int = 1_000, kind: str = "test.numbers", **node: Any) -> dict[str, Any]:
    return {"numbers": {"type": kind, "params": {"count": count}, **node}}

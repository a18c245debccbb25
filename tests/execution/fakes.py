"""A link that keeps what it is given, and a workflow run over it without a store."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from budflow.execution.ports import ChildCall, Work
from budflow.execution.records import RateAsk, Rest
from budflow.execution.run import Run
from budflow.execution.tools import Tools
from budflow.graph.plan import Plan, compile_plan
from budflow.graph.validate import check
from budflow.model import event as e
from budflow.model.credential_kind import OpenCredential
from budflow.model.execution import Execution, Place
from budflow.model.http import HttpRequest, HttpResponse
from budflow.model.identity import new_id, utc_now
from budflow.model.item import ItemList, Json
from budflow.model.journal import encode
from budflow.model.path import path_of
from budflow.nodes.registry import build
from tests.execution.vault import ANYBODY, Vault

REGISTRY = build()
PLACE = Place("inprocess", "here", 1)


class FakeLink:
    """Remembers events, commits and calls. `fail_commit` makes the next commit fail."""

    def __init__(self) -> None:
        self.events: list[e.Event] = []
        self.commits: list[int] = []
        self.calls: list[ChildCall] = []
        self.cancelled_calls: list[tuple[str, int]] = []
        self.asks: list[RateAsk] = []
        self.rests: list[Rest | None] = []
        self.snapshots: list[tuple[int, bytes]] = []
        self.fail_commit: Exception | None = None
        self.vault = Vault()

    def append(self, *events: e.Event) -> None:
        for event in events:
            ended = self.events and isinstance(self.events[-1], e.Finished)
            assert not ended, f"{event.TYPE} came after the end"
            encode(len(self.events), event)  # Raises EventUnwritable, as every link must.
            self.events.append(event)

    async def commit(self) -> None:
        if self.fail_commit is not None:
            raise self.fail_commit
        self.commits.append(len(self.events))
        await asyncio.sleep(0)

    def flush(self) -> None:
        pass

    def call(self, call: ChildCall) -> None:
        self.calls.append(call)

    def cancel_call(self, node: str, call: int, rounds: tuple[int, ...] = ()) -> None:
        self.cancelled_calls.append((path_of(node, rounds), call))

    def reserve(self, ask: RateAsk) -> None:
        self.asks.append(ask)

    async def open_credential(self, node: str, slot: str) -> OpenCredential:
        return await self.vault.open(ANYBODY, slot, ())

    def idle(self, rest: Rest | None) -> None:
        self.rests.append(rest)

    def snapshot(self, pack: Callable[[], bytes]) -> None:
        self.snapshots.append((len(self.events), pack()))

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def end(self) -> e.Finished:
        [end] = self.of(e.Finished)
        return end

    def output(self, node: str, port: str = "main") -> list[Json]:
        [finished] = [event for event in self.of(e.NodeFinished) if event.node == node]
        return finished.outputs[port].to_json()


class FakeHttp:
    """Answers requests by a function, and remembers them."""

    def __init__(self, answer: Callable[[HttpRequest], Any] | None = None) -> None:
        self.requests: list[HttpRequest] = []
        self._answer = answer or (lambda _request: 200)

    async def send(self, request: HttpRequest, credential: OpenCredential | None = None) -> HttpResponse:
        self.requests.append(request)
        answer = self._answer(request)
        if asyncio.iscoroutine(answer):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return HttpResponse(answer, (("content-type", "application/json"),), b"{}", request.url)


def plan_of(nodes: Mapping[str, Any], edges: Sequence[str], **settings: Any) -> tuple[dict[str, Any], Plan]:
    """A plan from nodes and edges written as `a.port > b.port`."""
    ends = [edge.split(" > ") for edge in edges]
    document = {
        "format": 1,
        "name": "test",
        "nodes": dict(nodes),
        "edges": [{"from": source, "to": target} for source, target in ends],
        "settings": settings,
    }
    return document, compile_plan(check(document, REGISTRY).require("run"), REGISTRY, workflow_id="wf_1", version=1)


def execution_of(execution_id: str) -> Execution:
    """The row of an execution that runs."""
    return Execution(execution_id, "default", "wf_1", 1, "api", "running", utc_now())


def start_run(
    nodes: Mapping[str, Any],
    edges: Sequence[str],
    items: Sequence[Json] = ({},),
    *,
    link: FakeLink | None = None,
    http: FakeHttp | None = None,
    trigger: str = "start",
    **settings: Any,
) -> tuple[Run, FakeLink]:
    """A run that has begun, and its link."""
    document, plan = plan_of(nodes, edges, **settings)
    link = link or FakeLink()
    execution = execution_of(new_id("exe"))
    admitted = e.Admitted(utc_now(), trigger, "api", "test", ItemList.of(items))
    run = Run(Work(execution, document, plan, (admitted,)), link, Tools(PLACE, http or FakeHttp()), "run_1")
    run.start()
    return run, link


async def run_to_end(*args: Any, **kwargs: Any) -> FakeLink:
    """Run a workflow and give back what it journaled."""
    run, link = start_run(*args, **kwargs)
    async with asyncio.timeout(10):
        await run.wait()
    return link


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, a few seconds at most."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - any condition, not one that could set an event
            await asyncio.sleep(0.002)

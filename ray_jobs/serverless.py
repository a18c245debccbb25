"""An execution, and those that it calls, run to the end in one process without a server or a store."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

from budflow.errors import BudflowError
from budflow.execution.active import Active
from budflow.execution.children import CALL_DEPTH_MAX, CallTooDeep
from budflow.execution.holding import REST_SECONDS, SHORT_WAIT_SECONDS
from budflow.execution.ports import ChildCall, RunLetGo, Work
from budflow.execution.records import RateAsk, Rest
from budflow.execution.run import Run
from budflow.execution.segment import OpenTools
from budflow.execution.stepwise import plan_of_run
from budflow.graph.plan import Plan, compile_plan
from budflow.graph.validate import check
from budflow.model import event as e
from budflow.model.credential_kind import OpenCredential
from budflow.model.execution import Execution, Parent, Place
from budflow.model.failure import Failure
from budflow.model.identity import new_id, utc_now
from budflow.model.item import EMPTY, ItemList, Json
from budflow.model.path import path_of
from budflow.model.workflow import WorkflowNotFound
from budflow.services.wait_execution import ON_SOMEBODY
from ray_jobs.wire import pack_events, unpack_work


class NoCredentials(BudflowError):
    """An execution without a server has no credentials."""

    code = "credential.no_server"
    http_status = 422
    hint = "Start the workflow on a server, which keeps credentials and hands them to its nodes, also on Ray."


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an execution: `items` are its result, `journal` all its events as `pack_events` has them.

    One that is `waiting` rests on somebody who can only answer a server; `rest` says for what.
    """

    execution_id: str
    status: e.EndStatus | Literal["waiting"]
    items: list[Json]
    failure: Failure | None
    place: Place
    journal: bytes
    rest: Rest | None = None


class Serverless:
    """Runs executions in this process. Nothing is stored: when the process dies, so does what it knew."""

    def __init__(self, open_tools: OpenTools, callees: Mapping[str, bytes], place: Place) -> None:
        self._opened = open_tools()
        self._registry, self._tools = self._opened.registry, replace(self._opened.tools, place=place)
        self._callees, self._place = callees, place

    async def execute(self, document: bytes, packed: bytes) -> Outcome:
        """Run one execution, as `pack_work` has it, to its end or until it rests on somebody; close what it used.

        Raises WorkflowInvalid.
        """
        try:
            shape = orjson.loads(document)
            work = unpack_work(packed, lambda execution: self._plan(shape, execution.workflow_id, execution.version))
            link = self._begin(replace(work, plan=plan_of_run(work.plan, work.admitted)))
            with suppress(RunLetGo):  # It rests.
                await link.run.wait()
        finally:
            await self._opened.close()
        active, place, journal = link.active, self._place, pack_events(link.events)
        if active.finished is None:
            return Outcome(active.execution.id, "waiting", [], None, place, journal, link.rest)
        end = active.finished
        return Outcome(active.execution.id, end.status, active.result().to_json(), end.failure, place, journal)

    def call(self, caller: "_Link", call: ChildCall) -> "_Link":
        """Begin the execution of a callee. Raises CallTooDeep, WorkflowNotFound and what `execute` raises."""
        above = caller.active.execution
        depth = 1 if above.parent is None else above.parent.depth + 1
        if depth > CALL_DEPTH_MAX:
            raise CallTooDeep
        document = self._callees.get(call.workflow_id)
        if document is None:
            raise WorkflowNotFound(f"The workflow {call.workflow_id} was not sent along.")
        shape, now = orjson.loads(document), utc_now()
        plan = self._plan(shape, call.workflow_id, 1)
        parent = Parent(above.id, path_of(call.node, call.rounds), call.call, depth)
        items = ItemList(call.items.items, [-1] * len(call.items))
        execution = Execution(
            *(new_id("exe"), above.project_id, call.workflow_id, 1, "child", "running", now),
            started_at=now,
            parent=parent,
        )
        admitted = e.Admitted(now, plan.trigger(None).key, "child", "task", items, parent)
        return self._begin(Work(execution, shape, plan, (admitted,)))

    def _plan(self, shape: Any, workflow_id: str, version: int) -> Plan:
        workflow = check(shape, self._registry).require("run")
        return compile_plan(workflow, self._registry, workflow_id=workflow_id, version=version)

    def _begin(self, work: Work) -> "_Link":
        link = _Link(self, Active(work.execution, work.plan))
        link.append(*work.events)
        link.run = Run(work, link, self._tools, "serverless")
        link.run.start()
        return link


class _Link:
    """A Link that keeps the journal in memory and runs callees beside their caller."""

    run: Run

    def __init__(self, serverless: Serverless, active: Active) -> None:
        self._serverless, self.active = serverless, active
        self.events: list[e.Event] = []
        self._callees: dict[tuple[str, int], _Link] = {}  # By the path of the node and the number of its call.
        self._cancelled: set[tuple[str, int]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._resting: asyncio.TimerHandle | None = None
        self.rest: Rest | None = None

    async def ended(self) -> e.Finished:
        """Wait for the end."""
        await self.run.wait()
        if self.active.finished is None:
            raise AssertionError("a run ended without its last event")
        return self.active.finished

    def append(self, *events: e.Event) -> None:
        """See Link."""
        for event in events:
            self.events.append(event)
            self.active.observe(event)

    async def commit(self) -> None:
        """See Link. There is nothing more durable than this process."""

    def flush(self) -> None:
        """See Link."""

    def call(self, call: ChildCall) -> None:
        """See Link."""
        task = asyncio.get_running_loop().create_task(self._call(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel_call(self, node: str, call: int, rounds: tuple[int, ...] = ()) -> None:
        """See Link."""
        key = (path_of(node, rounds), call)
        self._cancelled.add(key)
        if key in self._callees:
            self._cancel(self._callees[key])

    def reserve(self, ask: RateAsk) -> None:
        """See Link. There is nobody to share a rate with: it is free."""
        now = utc_now()
        asyncio.get_running_loop().call_soon(self.run.deliver, e.Reserved(now, ask.node, ask.ask, now, ask.rounds))

    async def open_credential(self, node: str, slot: str) -> OpenCredential:
        """See Link. Raises NoCredentials: there is no store, and a document must not bring any along."""
        raise NoCredentials(f"`{node}` is to have a credential as `{slot}`, and there is no server that keeps any.")

    def idle(self, rest: Rest | None) -> None:
        """See Link. What waits for time goes on here; what rests on somebody ends, since nobody will answer."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if rest is not None and rest.reason in ON_SOMEBODY and self.active.execution.parent is None:
            self._resting = asyncio.get_running_loop().call_later(REST_SECONDS, self._leave, rest)

    def snapshot(self, pack: Callable[[], bytes]) -> None:
        """See Link. Nobody could take the execution up from it."""

    def _leave(self, rest: Rest) -> None:
        soon = rest.wake_at is not None and (rest.wake_at - utc_now()).total_seconds() < SHORT_WAIT_SECONDS
        if not soon:  # Else its time is up before anybody would have answered.
            self.rest = rest
            self.run.let_go()

    def _cancel(self, callee: "_Link") -> None:
        callee.run.deliver(e.CancelRequested(utc_now(), f"execution:{self.active.execution.id}"))

    async def _call(self, call: ChildCall) -> None:
        key = (path_of(call.node, call.rounds), call.call)
        try:
            callee = self._callees[key] = self._serverless.call(self, call)
        except BudflowError as error:
            refused = Failure.of(error, key[0])
            self.run.deliver(e.ChildFinished(utc_now(), call.node, call.call, "failed", EMPTY, refused, call.rounds))
            return
        started = e.ChildStarted(
            utc_now(), call.node, call.call, callee.active.execution.id, call.workflow_id, call.rounds
        )
        self.append(started)
        self.run.deliver(started)
        if call.awaited and key in self._cancelled:
            self._cancel(callee)  # It was asked for before there was a callee to cancel.
        end = await callee.ended()
        if not call.awaited:
            return
        items = callee.active.result() if end.status == "succeeded" else EMPTY
        failure = None if end.failure is None else replace(end.failure, node=call.node)
        self.run.deliver(e.ChildFinished(utc_now(), call.node, call.call, end.status, items, failure, call.rounds))

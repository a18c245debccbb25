"""Stories in a simulated world without chance: what a test does to one server, and to those that come after it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from budflow.execution.signal import signal_of
from budflow.model import event as e
from budflow.model.execution import Execution
from budflow.model.identity import utc_now
from tests.execution.simulated_checks import check_world
from tests.execution.simulated_documents import URL
from tests.execution.simulated_loop import simulate
from tests.execution.simulated_server import Faults, Server
from tests.execution.simulated_world import World

POST = {"type": "http.request", "params": {"url": URL + "post", "method": "POST"}}
HOOK = {"type": "flow.wait", "params": {"mode": "webhook"}}
SET = {"type": "data.set", "params": {"values": {"n": 1}}}
NOBODY = "run_of_nobody"


def nap(seconds: float) -> dict[str, Any]:
    return {"type": "flow.wait", "params": {"mode": "duration", "seconds": seconds}}


def call(**more: Any) -> dict[str, Any]:
    return {"type": "flow.sub_workflow", "params": {"workflow": "callee"}, **more}


def body(key: str, node: dict[str, Any]) -> dict[str, Any]:
    return {"nodes": {key: node}, "edges": [{"from": "$in", "to": key}, {"from": key, "to": "$out"}]}


def document(key: str, node: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """A workflow of one node behind its trigger."""
    nodes = {"start": {"type": "trigger.manual"}, key: node}
    return {
        "format": 1,
        "name": "story",
        "nodes": nodes,
        "edges": [{"from": "start", "to": key}],
        "settings": settings,
    }


class Story(World):
    """A world without chance, and what one may want to know of it."""

    def __init__(self) -> None:
        super().__init__(1, Faults())
        self.random.random = lambda: 0.5  # type: ignore[method-assign] # every submit is to be durable
        self.random.choice = lambda choices: choices[0]  # type: ignore[method-assign] # nothing takes any time

    async def begin(self, caller: dict[str, Any], **others: dict[str, Any]) -> Server:
        """Save the workflows and start the first server."""
        for name, workflow in {"caller": caller, **others}.items():
            await self.save(name, workflow)
        return await self.new_server()

    async def row(self, workflow: str = "caller") -> Execution:
        """The one execution of a workflow."""
        [row] = [row for row in await self.store.rows() if row.workflow_id == workflow]
        return row

    async def all(self, kind: type, workflow: str = "caller") -> list[Any]:
        """The events of a kind that its one execution has."""
        return [event for event in await self.journal((await self.row(workflow)).id) if isinstance(event, kind)]

    async def sees(self, kind: type, workflow: str = "caller", times: int = 1) -> None:
        """Wait until events are durable."""
        async with asyncio.timeout(60):
            while workflow not in [row.workflow_id for row in await self.store.rows()]:  # noqa: ASYNC110 - virtual time
                await asyncio.sleep(0.01)
            while len(await self.all(kind, workflow)) < times:  # noqa: ASYNC110 - virtual time
                await asyncio.sleep(0.01)

    async def answer(self, answer: Any) -> None:
        """Answer the one open wait by another server, which only the store tells of."""
        [wait] = [wait for wait in await self.store.list_waits("default") if not wait.answered]
        event = e.WaitEnded(utc_now(), wait.node, int(wait.key[-1]), "answered", "somebody", answer)
        await self.store.answer_wait("default", signal_of(wait.execution_id, event))

    async def take_from(self, server: Server) -> None:
        """Let a server be thought dead that lives."""
        self.store.leases.pop(server.name)
        await self.store.release_dead(NOBODY)


def told(story: Callable[[Story], Awaitable[None]]) -> Callable[[], None]:
    """A test of a story; all that holds for every simulation has to hold in its end."""

    def test() -> None:
        async def main() -> None:
            teller = Story()
            await story(teller)
            await teller.quiet()
            await check_world(teller)
            await teller.close()

        simulate(main())

    test.__name__ = story.__name__
    return test

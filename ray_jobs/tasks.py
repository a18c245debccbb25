"""The Ray tasks that need no server: one node, a whole execution, one that failed once more, and cleaning up.

`opening` is always a pickled OpenTools, a document is a stored workflow as JSON. Ray repeats none of them by itself.
"""

import asyncio
import os
import pickle
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import orjson
import ray

from budflow.errors import BudflowError
from budflow.execution.hand_over import ask_nobody
from budflow.execution.segment import SegmentHost
from budflow.model import event as e
from budflow.model.execution import Place
from budflow.model.item import ItemList
from ray_jobs.serverless import Outcome, Serverless
from ray_jobs.wire import unpack_events


class ExecutionNotFailed(BudflowError):
    """Only an execution that failed can be tried again."""

    code = "execution.not_failed"
    http_status = 409
    hint = "Start a new execution instead."


@dataclass(frozen=True, slots=True)
class NodeOutcome:
    """The result of a packed segment, as bytes, and where it ran."""

    packed: bytes
    place: Place


@ray.remote(max_retries=0)
def execute_node_task(payload: bytes, opening: bytes, runner: tuple[Any, int] | None = None) -> NodeOutcome:
    """Run one packed segment. `runner` is the actor that has its credentials and takes its log, and a number there."""
    ask, tell = (ask_nobody, None) if runner is None else (partial(_ask, *runner), partial(_tell, *runner))
    return NodeOutcome(_host(opening).run(payload, ask, tell), _place())


@ray.remote(max_retries=0)
def execute_workflow_task(
    document: bytes, items: bytes, opening: bytes, callees: Mapping[str, bytes] | None = None
) -> Outcome:
    """Run one execution to its end in this worker; `items` is a JSON list, `callees` the workflows it may call, by id.

    Raises WorkflowInvalid and TriggerMissing.
    """
    serverless = Serverless(pickle.loads(opening), callees or {}, _place())  # noqa: S301 - written by our own driver
    return asyncio.run(serverless.execute(document, ItemList.of(orjson.loads(items))))


@ray.remote(max_retries=0)
def retry_failed_execution_task(
    document: bytes, journal: bytes, opening: bytes, callees: Mapping[str, bytes] | None = None
) -> Outcome:
    """Run a new execution with the trigger and the items of one that failed; `journal` is as `pack_events` has it.

    The failed one stays as it is. Raises ExecutionNotFailed, and what `execute_workflow_task` raises.
    """
    events = unpack_events(journal)
    admitted = next((event for event in events if isinstance(event, e.Admitted)), None)
    finished = next((event for event in events if isinstance(event, e.Finished)), None)
    if admitted is None or finished is None or finished.status != "failed":
        raise ExecutionNotFailed
    serverless = Serverless(pickle.loads(opening), callees or {}, _place())  # noqa: S301 - written by our own driver
    return asyncio.run(serverless.execute(document, admitted.items, trigger=admitted.trigger))


@ray.remote(max_retries=0, num_cpus=0)
def cleanup_execution_task(execution_id: str, actors: tuple[str, ...], namespace: str) -> tuple[str, ...]:
    """Free what these runner actors still hold of an execution that ended or lost its owner; the actors that did."""
    held: list[str] = []
    for name in actors:
        try:
            actor = ray.get_actor(name, namespace=namespace)
            if ray.get(actor.drop.remote(execution_id)):
                held.append(name)
        except (ValueError, ray.exceptions.RayActorError):
            continue  # There is no such actor any more, and so nothing that it holds.
    return tuple(held)


def _ask(actor: Any, number: int, question: bytes) -> bytes:
    """Have the credentials of a segment sealed by the actor that handed it out. Raises TicketRefused."""
    try:
        answer: bytes = ray.get(actor.hand_over_to_segment.remote(number, question))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, BudflowError):
            raise error.cause from None
        raise
    return answer


def _tell(actor: Any, number: int, told: bytes) -> None:
    """Have the actor take what a segment logs. Nobody waits for that: the result says it again."""
    actor.hear_segment.remote(number, told)


@lru_cache(maxsize=1)
def _host(opening: bytes) -> SegmentHost:
    """One a worker process, which runs many segments."""
    return SegmentHost(pickle.loads(opening))  # noqa: S301 - written by our own runner actor


def _place() -> Place:
    return Place("ray", socket.gethostname(), os.getpid(), None, ray.get_runtime_context().get_node_id())

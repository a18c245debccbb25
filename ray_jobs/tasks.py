"""The four Ray tasks: one node, a whole execution, one that goes on for a failed one, and cleaning up after a takeover.

`opening` is always a pickled OpenTools, a document is a stored workflow as JSON. Ray repeats none of them by itself.
"""

import asyncio
import os
import pickle
import socket
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeVar

import orjson
import ray
from ray.exceptions import RayError
from ray.util import list_named_actors

from budflow.errors import BudflowError
from budflow.execution.hand_over import ask_nobody
from budflow.execution.segment import SegmentHost
from budflow.model.execution import Place
from ray_jobs.beginnings import say_begun
from ray_jobs.blobs import TaskBlobs
from ray_jobs.cluster import NAMESPACE
from ray_jobs.serverless import Outcome, Serverless
from ray_jobs.wire import origin_of

#: What a segment tells first, by a call where a datagram does not reach its runner: until then it waits for resources,
#: or for its runtime environment.
BEGUN = b""
#: How often a task that runs an execution lets Python see that Ray asks it to end.
INTERRUPT_SECONDS = 0.2
#: How long a cleanup waits for actors to answer. A frozen one does what it was told when it goes on.
ANSWER_SECONDS = 5.0
#: Whose handles a process keeps, those used last.
RUNNERS_KEPT_MAX = 16
_SIZE_BYTES = 4

T = TypeVar("T")


class NothingRetried(BudflowError):
    """The execution goes on for no other one."""

    code = "ray.nothing_retried"
    http_status = 409
    hint = "Give `retry_failed_execution_task` what a retry begins with, and else use `execute_workflow_task`."


@dataclass(frozen=True, slots=True)
class NodeOutcome:
    """The result of a packed segment, as bytes, and where it ran.

    It comes as bytes too, which Ray passes as they are: the size of the place in 4 bytes, the place, the result.
    """

    packed: bytes
    place: Place

    @staticmethod
    def of_bytes(outcome: bytes) -> "NodeOutcome":
        """What `execute_node_task` gives."""
        end = _SIZE_BYTES + int.from_bytes(outcome[:_SIZE_BYTES], "big")
        return NodeOutcome(outcome[end:], Place(**orjson.loads(outcome[_SIZE_BYTES:end])))


def packed_runner(actor: Any, ear: str) -> bytes:
    """What tasks are told of the actor that hands them out: its handle, and the name of its Beginnings.

    As bytes, of which each process makes a handle once: as an argument it would be one for each task.
    """
    return pickle.dumps((actor, ear))


@ray.remote(max_retries=0)
def execute_node_task(payload: bytes, opening: bytes, runner: bytes | None, number: int) -> bytes:
    """Run one packed segment, or packed rounds; a NodeOutcome as bytes.

    `runner` is the packed actor that has its credentials and blobs and takes its log, under this `number`; None where
    there is none.
    """
    if runner is None:
        return _here() + _host(opening).run(payload, ask_nobody, None)
    actor, ear = _runner(runner)
    ask, tell, blobs = partial(_ask, actor, number), partial(_tell, actor, number), TaskBlobs(actor, number)
    if not say_begun(ear, number):
        tell(BEGUN)
    return _here() + _host(opening).run(payload, ask, tell, blobs)


@ray.remote(max_retries=0, num_cpus=0)
def execute_workflow_task(
    document: bytes, work: bytes, opening: bytes, callees: Mapping[str, bytes] | None = None
) -> Outcome:
    """Run one execution to its end, or until it rests on somebody: `budflow run --ray`.

    `work` is as `pack_work` has it, `callees` are the workflows that it may call, by id. It takes no CPU, since heavy
    nodes are tasks of their own where `opening` says so, and would wait for the one it had. Raises WorkflowInvalid.
    """
    return _execute(document, work, opening, callees)


@ray.remote(max_retries=0, num_cpus=0)
def retry_failed_execution_task(
    document: bytes, work: bytes, opening: bytes, callees: Mapping[str, bytes] | None = None
) -> Outcome:
    """Run an execution that goes on for a failed one: `budflow run --ray --retries`.

    `work` begins with what the failed one did well (see budflow.execution.repeat), which is not done again; the failed
    one stays as it is. Raises NothingRetried, and what `execute_workflow_task` raises.
    """
    if origin_of(work) != "retry":
        raise NothingRetried
    return _execute(document, work, opening, callees)


@ray.remote(max_retries=0, num_cpus=0)
def cleanup_execution_task(execution_id: str, token: int) -> tuple[str, ...]:
    """Have every runner actor give up an execution that it holds by an older claim than `token`; the names of those.

    Whoever took an execution over asks for it before it begins a heavy segment. What the runner before may still write
    is fenced, so this saves work and no more: one that was only frozen, or cut off from the database, finds out when it
    next writes, and until then its segment computes on for nothing, with the resources that the new one waits for.
    """
    asked: dict[Any, str] = {}
    for named in list_named_actors(all_namespaces=True):
        if named["namespace"] != NAMESPACE:
            continue
        try:
            actor: Any = ray.get_actor(named["name"], namespace=NAMESPACE)
        except ValueError:
            continue  # It has just gone, and with it what it held.
        if hasattr(actor, "drop"):  # Else it is no runner.
            asked[actor.drop.remote(execution_id, token)] = named["name"]
    answered, _ = ray.wait([*asked], num_returns=len(asked), timeout=ANSWER_SECONDS) if asked else ([], [])
    return tuple(sorted(asked[answer] for answer in answered if _dropped(answer)))


def _execute(document: bytes, work: bytes, opening: bytes, callees: Mapping[str, bytes] | None) -> Outcome:
    serverless = Serverless(pickle.loads(opening), callees or {}, _place())  # noqa: S301 - written by our own driver
    return asyncio.run(_interruptible(serverless.execute(document, work)))


async def _interruptible(work: Coroutine[Any, Any, T]) -> T:
    """Do the work, and wake up now and then: of an interrupt by Ray a loop that sleeps would see nothing."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=INTERRUPT_SECONDS)
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _dropped(answer: Any) -> bool:
    try:
        return bool(ray.get(answer))
    except RayError:
        return False  # It died, and with it what it held.


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


@lru_cache(maxsize=RUNNERS_KEPT_MAX)
def _runner(packed: bytes) -> tuple[Any, str]:
    """Of each runner whose tasks come to this process."""
    actor, ear = pickle.loads(packed)  # noqa: S301 - written by our own runner actor
    return actor, ear


@lru_cache(maxsize=1)
def _here() -> bytes:
    """What the outcomes of this process begin with."""
    place = orjson.dumps(_place().to_json())
    return len(place).to_bytes(_SIZE_BYTES, "big") + place


def _place() -> Place:
    return Place("ray", socket.gethostname(), os.getpid(), None, ray.get_runtime_context().get_node_id())

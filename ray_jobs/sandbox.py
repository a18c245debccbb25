"""The sandbox on Ray: an author's code goes from a runner by a relay to the sandboxd of a Ray node, and runs there.

No Ray worker ever runs it: each of them holds the token of the cluster. What it runs in is the runtime environment
`budflow_sandbox` (sandbox_env), by which Ray knows, shows, counts and collects the images.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import cache, partial
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

from budflow.errors import BudflowError
from budflow.model.log import LogCapability
from budflow.model.sandbox import CodePart, CodeTask, SandboxCapability, SandboxUnavailable, SandboxWorkerLost
from ray_jobs.blobs import Content
from ray_jobs.living_nodes import LivingNodes
from ray_jobs.rounds import INLINE_BYTES_MAX
from ray_jobs.sandbox_env import short
from ray_jobs.sandbox_node import sign
from ray_jobs.sandbox_relay import caller_here
from ray_jobs.sandbox_relays import Relay, Relays, Sign
from ray_jobs.sandbox_wire import pack_task, part_of, unpack_frames

#: So many items are made into bytes on the event loop.
PACKED_HERE_MAX = 10


class RaySandboxes:
    """The sandboxes of one process, one a project: see Tools."""

    def __init__(self, sign: Sign) -> None:
        """`sign` makes tickets for a project and an image."""
        self._relays = Relays(sign, LivingNodes())

    def of(self, project_id: str) -> SandboxCapability:
        """The sandbox of a project."""
        return RaySandbox(project_id, self._relays)


@cache
def sandboxes_of(directory: Path) -> RaySandboxes:
    """Those of this process, with the key of sandboxd that stands in a directory."""
    return RaySandboxes(partial(sign, directory))


class RaySandbox:
    """Meets SandboxCapability in a process of Ray."""

    def __init__(self, project_id: str, relays: Relays) -> None:
        self._project_id, self._relays = project_id, relays

    async def run(self, task: CodeTask, log: LogCapability) -> AsyncGenerator[CodePart, None]:
        """See SandboxCapability. Ray's tools show the task by its name and the image."""
        for left in (1, 0):
            relay = await self._relays.find(
                self._project_id, task.requirements, egress=bool(task.network), on_progress=log.info
            )
            try:
                async with aclosing(self._run(relay, task, log)) as parts:
                    async for part in parts:
                        yield part
            except SandboxUnavailable:  # It did not begin: the image may have gone, or sandboxd.
                self._relays.lost(relay)
                if not left:
                    raise
            else:
                return

    async def _run(self, relay: Relay, task: CodeTask, log: LogCapability) -> AsyncGenerator[CodePart, None]:
        ticket, (head, parts) = await self._relays.ticket(relay), await _packed(task)
        name = f"{task.name}@{short(relay.image)}"
        told = relay.actor.run.options(name=name, num_returns="streaming").remote(caller_here(), ticket, head, *parts)
        ended = False
        try:
            with self._relays.busy(relay):
                async for reference in told:
                    for frame in unpack_frames(await reference):
                        if "log" in frame:
                            _log(frame["log"], log)
                        else:
                            yield part_of(frame)
            ended = True
        except RayTaskError as error:
            ended = True
            if isinstance(error.cause, BudflowError):
                raise error.cause from None
            raise SandboxWorkerLost(f"The relay to the sandbox failed: {type(error.cause).__name__}.") from error
        except RayActorError as error:
            ended = True
            self._relays.lost(relay)
            raise SandboxWorkerLost("The relay to the sandbox died, or its Ray node.") from error
        except RayError as error:
            raise SandboxWorkerLost(f"{type(error).__name__} while the code ran.") from error
        finally:
            if not ended:
                ray.cancel(told)


async def _packed(task: CodeTask) -> tuple[bytes, list[Any]]:
    """The head and the items, which are put into the object store where they are many."""
    if len(task.items) <= PACKED_HERE_MAX:
        return _put(*pack_task(task))
    return await asyncio.to_thread(lambda: _put(*pack_task(task)))


def _put(head: bytes, parts: list[bytes]) -> tuple[bytes, list[Any]]:
    if sum(map(len, parts)) <= INLINE_BYTES_MAX:
        return head, list(parts)
    return head, [ray.put(Content(part)) for part in parts]


def _log(line: list[Any], log: LogCapability) -> None:
    level, message, fields, item = line
    writer = log if item is None else log.for_item(item)
    getattr(writer, level)(message, **fields)

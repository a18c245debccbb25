"""Heavy segments of an embedded server: processes of this machine, started with the first segment and kept."""

import asyncio
import os
import pickle
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import orjson

from budflow.execution.environment import environment_of_nodes
from budflow.execution.hand_over import NO_HAND_OVER, Giving, HandOverMissing, TicketRefused
from budflow.execution.node_result import NodeResult, NodeRun
from budflow.execution.ports import HandOver, Work
from budflow.execution.segment import OpenTools, all_failed, late, limit_seconds, pack, unpack_result
from budflow.execution.segment_log import hear
from budflow.execution.segment_process import LOGGED, QUESTION, SIZE_BYTES, frame
from budflow.model.execution import Place
from budflow.model.failure import NodeError
from budflow.model.journal import EventUnwritable

#: About what the first process takes until it has imported everything.
START_SECONDS = 0.5


class ProcessDied(NodeError):
    """The process that ran the node died."""

    code = "node.process_died"
    hint = "It may have run out of memory; give the node less to do at a time."


class LabelsNeedRay(NodeError):
    """The node asks for labels of a Ray node, and here is no Ray."""

    code = "node.labels_need_ray"
    hint = (
        "Take `labels` out of its `resources`, or have it run on Ray: `BUDFLOW_EXECUTOR=ray`, or where runners on a "
        "cluster share the queue `BUDFLOW_CLAIM=false` for the servers beside them."
    )


@dataclass(frozen=True, slots=True)
class _Child:
    """One process of the pool; it runs one segment at a time."""

    process: asyncio.subprocess.Process
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader

    async def run(
        self, payload: bytes, answer: Callable[[bytes], Awaitable[bytes]], heard: Callable[[bytes], None]
    ) -> bytes:
        """The result of a packed segment; `answer` is what its questions are put to, `heard` takes what it logs."""
        try:
            await self._put(payload)
            while True:
                kind, said = await self._take()
                if kind == QUESTION:
                    await self._put(await answer(said))
                elif kind == LOGGED:
                    heard(said)
                else:
                    return said
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise ProcessDied from error

    async def _put(self, message: bytes) -> None:
        self.stdin.write(frame(message))
        await self.stdin.drain()

    async def _take(self) -> tuple[bytes, bytes]:
        kind = await self.stdout.readexactly(1)
        size = int.from_bytes(await self.stdout.readexactly(SIZE_BYTES), "big")
        return kind, await self.stdout.readexactly(size)

    async def end(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        self.stdin.close()
        await self.process.wait()


class ProcessPool:
    """Meets Heavy. At most `size` processes, one a core by default; what comes beyond that waits.

    `hand_over` seals the credentials of a segment for the process that runs it. Its blobs a process reads and writes
    itself, by the tools that it opens.
    """

    def __init__(self, open_tools: OpenTools, size: int | None = None, *, hand_over: HandOver = NO_HAND_OVER) -> None:
        self._hand_over = hand_over
        self._opening = pickle.dumps(open_tools)
        self._size = size or os.cpu_count() or 1
        self._free = asyncio.Semaphore(self._size)
        self._warm = False
        self._idle: list[_Child] = []
        self._ending: set[asyncio.Task[None]] = set()

    async def run(self, work: Work, run: NodeRun) -> tuple[NodeResult, Place]:
        """See Heavy. A process whose segment was cancelled, or took too long, is killed; the next starts afresh."""
        pid, giving = os.getpid(), Giving(run, self._hand_over)
        if labels := run.node.node.labels:
            asked = ", ".join(f"{name}={condition}" for name, condition in labels.items())
            refused = LabelsNeedRay(f"`{run.node.key}` asks for a Ray node with {asked}, and here is no Ray.")
            return all_failed(run, refused), Place("inprocess", socket.gethostname(), pid)
        try:
            payload = await asyncio.to_thread(pack, run, giving.ticket, project_id=work.execution.project_id)
        except EventUnwritable as error:
            return all_failed(run, error), Place("inprocess", socket.gethostname(), pid)
        try:
            async with self._one() as child:
                pid = child.process.pid
                async with asyncio.timeout(limit_seconds(run)):
                    result = unpack_result(await child.run(payload, giving.answer, partial(hear, run=run)), run)
        except TimeoutError:
            result = late(run)
        except (ProcessDied, HandOverMissing, TicketRefused) as error:
            result = all_failed(run, error)
        return result, Place("inprocess", socket.gethostname(), pid)

    async def run_rounds(self, work: Work, chunk: bytes) -> bytes:
        """See Heavy."""
        async with self._one() as child:
            return await child.run(chunk, _refuse, lambda told: None)  # Such rounds have no credentials.

    @property
    def width(self) -> int:
        """See Heavy."""
        return self._size

    @property
    def start_seconds(self) -> float:
        """See Heavy."""
        return 0.0 if self._warm else START_SECONDS

    async def close(self) -> None:
        """End every process; segments under way fail."""
        for child in self._idle:
            self._end(child)
        self._idle.clear()
        await asyncio.gather(*self._ending)

    @asynccontextmanager
    async def _one(self) -> AsyncIterator[_Child]:
        """A process that does nothing else meanwhile, as soon as one is free; ended unless it did what was asked."""
        async with self._free:
            child = self._idle.pop() if self._idle else await self._start()
            answered = False
            try:
                yield child
                answered = self._warm = True
            finally:
                if answered:
                    self._idle.append(child)
                else:
                    self._end(child)

    async def _start(self) -> _Child:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "budflow.execution.segment_process"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment_of_nodes(),
        )
        if process.stdin is None or process.stdout is None:
            raise ProcessDied("The process was started without its pipes.")
        process.stdin.write(frame(orjson.dumps(sys.path)) + frame(self._opening))
        return _Child(process, process.stdin, process.stdout)

    def _end(self, child: _Child) -> None:
        ending = asyncio.get_running_loop().create_task(child.end())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)


async def _refuse(question: bytes) -> bytes:
    raise TicketRefused

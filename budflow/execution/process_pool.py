"""Heavy segments of an embedded server: processes of this machine, started with the first segment and kept."""

import asyncio
import os
import pickle
import socket
import sys
from collections.abc import Awaitable, Callable
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


class ProcessDied(NodeError):
    """The process that ran the node died."""

    code = "node.process_died"
    hint = "It may have run out of memory; give the node less to do at a time."


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

    `hand_over` seals the credentials of a segment for the process that runs it.
    """

    def __init__(self, open_tools: OpenTools, size: int | None = None, *, hand_over: HandOver = NO_HAND_OVER) -> None:
        self._hand_over = hand_over
        self._opening = pickle.dumps(open_tools)
        self._free = asyncio.Semaphore(size or os.cpu_count() or 1)
        self._idle: list[_Child] = []
        self._ending: set[asyncio.Task[None]] = set()

    async def run(self, work: Work, run: NodeRun) -> tuple[NodeResult, Place]:
        """See Heavy. A process whose segment was cancelled, or took too long, is killed; the next starts afresh."""
        pid, giving = os.getpid(), Giving(run, self._hand_over)
        try:
            payload = await asyncio.to_thread(pack, run, giving.ticket)
        except EventUnwritable as error:
            return all_failed(run, error), Place("inprocess", socket.gethostname(), pid)
        async with self._free:
            child = self._idle.pop() if self._idle else await self._start()
            pid = child.process.pid
            answered = False
            try:
                async with asyncio.timeout(limit_seconds(run)):
                    result = unpack_result(await child.run(payload, giving.answer, partial(hear, run=run)), run)
                answered = True
            except TimeoutError:
                result = late(run)
            except (ProcessDied, HandOverMissing, TicketRefused) as error:
                result = all_failed(run, error)
            finally:
                if answered:
                    self._idle.append(child)
                else:
                    self._end(child)
        return result, Place("inprocess", socket.gethostname(), pid)

    async def close(self) -> None:
        """End every process; segments under way fail."""
        for child in self._idle:
            self._end(child)
        self._idle.clear()
        await asyncio.gather(*self._ending)

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

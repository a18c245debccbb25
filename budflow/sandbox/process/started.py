"""A worker that was started as a process: its end, however it comes, and what is left of it then."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from budflow.log import get_log
from budflow.sandbox.process.control_groups import REMOVE_SECONDS_MAX, ControlGroup
from budflow.sandbox.runners import End

KILL_SECONDS = 2.0
_TOLD_BYTES_MAX = 4_000
_RETRY_SECONDS = 0.01

log = get_log(__name__)


class Told:
    """The first of what a process writes to stderr; the rest is read and dropped, so that it never waits for us."""

    def __init__(self, stream: asyncio.StreamReader | None) -> None:
        self._stream = stream
        self._first = b""
        self._reading = asyncio.ensure_future(self._read())

    async def text(self) -> str:
        """All of it, when the process has ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(KILL_SECONDS):  # Something else may hold the other end.
                await asyncio.shield(self._reading)
        self._reading.cancel()
        return self._first.decode(errors="replace").strip()

    async def _read(self) -> None:
        while self._stream is not None and (data := await self._stream.read(65_536)):
            self._first += data[: _TOLD_BYTES_MAX - len(self._first)]


class StartedProcess:
    """Meets StartedWorker. `handle` is a file descriptor of the process that is PID 1 in its namespace."""

    def __init__(
        self, process: asyncio.subprocess.Process, handle: int, group: ControlGroup | None, told: Told
    ) -> None:
        self._process, self._handle, self._group, self._told = process, handle, group, told
        self._killed = False
        self.last_words = ""  # What it wrote to stderr, known with its end.
        self._ending = asyncio.ensure_future(self._end())

    @property
    def id(self) -> str:
        """See StartedWorker."""
        return str(self._process.pid)

    async def wait(self) -> End:
        """See StartedWorker."""
        return await asyncio.shield(self._ending)

    def on_end(self, then: Callable[["StartedProcess"], None]) -> None:
        """Call this when it has ended and nothing is left of it."""
        self._ending.add_done_callback(lambda _: then(self))

    async def kill(self) -> None:
        """See StartedWorker."""
        if not self._ending.done():
            self._killed = True
            # With the first process of the namespace the kernel ends all others in it.
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            done, _ = await asyncio.wait({self._ending}, timeout=KILL_SECONDS)
            if not done:
                with suppress(ProcessLookupError):
                    self._process.kill()
        await asyncio.shield(self._ending)

    async def _end(self) -> End:
        status = await self._process.wait()
        out_of_memory = self._group is not None and self._group.ran_out_of_memory()
        killed = self._killed
        os.close(self._handle)
        if self._group is not None:
            await removed(self._group)
        self.last_words = await self._told.text()
        if not killed:
            log.info("sandbox.process_ended", pid=self._process.pid, status=status, told=self.last_words)
        if killed:
            return End("killed", status)
        return End("out_of_memory" if out_of_memory else "exited", status)


async def removed(group: ControlGroup) -> None:
    """Remove a group; its last processes may take a moment to die."""
    deadline = asyncio.get_running_loop().time() + REMOVE_SECONDS_MAX
    while not group.remove():
        if asyncio.get_running_loop().time() > deadline:
            log.warning("sandbox.group_not_removed", directories=[str(path) for path in group.directories])
            return
        await asyncio.sleep(_RETRY_SECONDS)

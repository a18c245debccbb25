"""Starts sandbox workers as processes of this machine, in namespaces of their own: meets the port WorkerRunner."""

import asyncio
import json
import os
import platform
import secrets
import shutil
import signal
import tempfile
from asyncio.subprocess import Process
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from budflow.model.sandbox import REDUCED_ISOLATION, Isolation, RequirementsFailed, SandboxUnavailable
from budflow.sandbox.docker.seccomp import profile
from budflow.sandbox.process.control_groups import ControlGroups, find_control_groups
from budflow.sandbox.process.launch import (
    Descriptors,
    Launch,
    command,
    inner_arguments,
    stage_arguments,
    worker_program,
)
from budflow.sandbox.process.seccomp.filter_program import filter_program
from budflow.sandbox.process.seccomp.machines import MACHINES
from budflow.sandbox.process.started import StartedProcess, Told, removed
from budflow.sandbox.process.view import PYTHON, View, installed_python
from budflow.sandbox.runners import Limits, OnProgress, WorkerKind

START_SECONDS = 10.0
#: Users that nobody has: above those that systemd gives away, one for each worker, so that none can touch another's.
FIRST_USER, USERS = 1_900_000_000, 2**27

_NEEDS_DOCKER = "Install Docker: only containers have it. Without it code runs with reduced isolation, and less."


class ProcessRunner:
    """Meets WorkerRunner. Without control groups a worker is held by the limits of its processes, each by itself."""

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        find_groups: Callable[[], ControlGroups | None] = find_control_groups,
    ) -> None:
        self._limits = Limits() if limits is None else limits
        self._find_groups = find_groups
        self._started: set[StartedProcess] = set()
        self._closed = False

    @property
    def isolation(self) -> Isolation:
        """See WorkerRunner."""
        return "process"

    async def prepare(self, requirements: Sequence[str], on_progress: OnProgress) -> str:
        """See WorkerRunner: nothing can be installed here."""
        if requirements:
            raise RequirementsFailed("Packages cannot be installed with reduced isolation.", hint=_NEEDS_DOCKER)
        return ""

    async def start(self, kind: WorkerKind, sockets: Path, environment: Mapping[str, str]) -> StartedProcess:
        """See WorkerRunner."""
        if kind.egress:
            raise SandboxUnavailable("Code has no network with reduced isolation.", hint=_NEEDS_DOCKER)
        if self._closed:
            raise SandboxUnavailable("The sandbox is being shut down.")
        return await self.start_program(kind, sockets, environment, None)

    async def start_program(
        self, kind: WorkerKind, sockets: Path, environment: Mapping[str, str], program: Sequence[str] | None
    ) -> StartedProcess:
        """Start another program in a worker's place. Raises SandboxUnavailable."""
        started = await self._start(kind, sockets, environment, program)
        self._started.add(started)
        started.on_end(self._started.discard)
        if self._closed:
            await started.kill()
            raise SandboxUnavailable("The sandbox is being shut down.")
        return started

    async def trouble(self) -> str | None:
        """Why no worker can be started on this machine, in words; None: a trial went well."""
        if (why := self._missing()) is not None:
            return why
        with tempfile.TemporaryDirectory(prefix="budflow-") as directory:
            try:
                trial = await self.start_program(
                    WorkerKind(""), Path(directory), {}, (PYTHON, "-I", "-S", "-c", "pass")
                )
            except SandboxUnavailable as error:
                return error.message
            end = await trial.wait()
        return None if end.status == 0 else f"bubblewrap made no sandbox here: {trial.last_words or end}"

    async def describe(self) -> Mapping[str, Any]:
        """See WorkerRunner."""
        held = () if self._groups is None else tuple(self._groups.parents)
        group = "" if self._groups is None else f"control group of version {self._groups.version}"
        return {
            "isolation": self.isolation,
            "label": REDUCED_ISOLATION,
            "python": platform.python_version(),
            "bubblewrap": await _version(),
            "workers": len(self._started),
            "limits": {
                "memory": group if "memory" in held else "each process by itself",
                "processes": group if "pids" in held else "the user's in its namespace",
                "cpu": group if "cpu" in held else "none",
            },
        }

    async def close(self) -> None:
        """See WorkerRunner."""
        self._closed = True
        await asyncio.gather(*(started.kill() for started in tuple(self._started)))

    def _missing(self) -> str | None:
        if platform.machine() not in MACHINES:
            return f"No filter of system calls is known for this kind of machine, {platform.machine()}."
        programs = ("bwrap", "setpriv") if os.geteuid() == 0 else ("bwrap",)
        missing = [name for name in programs if shutil.which(name) is None]
        if missing:
            return f"{' and '.join(missing)} cannot be found: install the packages bubblewrap and util-linux."
        try:
            _ = self._view
        except (OSError, ValueError) as error:
            return f"This Python cannot be shown to a sandbox: {error}."
        return None

    async def _start(
        self, kind: WorkerKind, sockets: Path, environment: Mapping[str, str], program: Sequence[str] | None
    ) -> StartedProcess:
        if (why := self._missing()) is not None:
            raise SandboxUnavailable(why)
        try:
            group = None if self._groups is None else self._groups.add(kind.memory_mb, self._limits)
        except OSError as error:
            raise SandboxUnavailable(f"No control group could be made for a worker: {error}.") from error
        user = FIRST_USER + secrets.randbelow(USERS) if os.geteuid() == 0 else None
        launch = Launch(self._view, sockets, kind, self._limits, environment, group, user)
        try:
            async with asyncio.timeout(START_SECONDS):
                return await _spawn(launch, self._filter, program or worker_program(launch))
        except BaseException as error:
            if group is not None:
                await removed(group)
            if isinstance(error, OSError | TimeoutError):
                raise SandboxUnavailable(f"A sandbox worker could not be started: {error}.") from error
            raise

    @cached_property
    def _groups(self) -> ControlGroups | None:
        groups = self._find_groups()
        if groups is not None:
            groups.sweep()
        return groups

    @cached_property
    def _view(self) -> View:
        return installed_python()

    @cached_property
    def _filter(self) -> bytes:
        return filter_program(profile(internet=False), MACHINES[platform.machine()])


async def _spawn(launch: Launch, filter_bytes: bytes, program: Sequence[str]) -> StartedProcess:
    """Start the command and wait until the sandbox's first process is known."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        inner = _memory_file(stack, inner_arguments(launch))
        stage = _memory_file(stack, stage_arguments(launch))
        program_filter = _memory_file(stack, filter_bytes)
        reading, writing = os.pipe()
        info = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(info), os.fdopen(reading, "rb")
        )
        stack.callback(transport.close)
        waiting, go = os.pipe()
        stack.callback(os.close, go)
        try:
            process = await _created(
                asyncio.create_subprocess_exec(
                    *command(launch, Descriptors(inner, stage, program_filter, writing, waiting), program),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    env={"PATH": os.environ.get("PATH", os.defpath)},
                    pass_fds=(inner, stage, program_filter, writing, waiting),
                    start_new_session=True,
                )
            )
        finally:
            os.close(writing)
            os.close(waiting)
        told = Told(process.stderr)
        try:
            told_of_it = json.loads(await info.readuntil(b"}"))
            handle = os.pidfd_open(told_of_it["child-pid"])
            os.write(go, b"!")  # Not before: one that ends at once would be gone, and its number another's.
        except BaseException as error:
            await _killed(process)
            if isinstance(error, asyncio.IncompleteReadError | ProcessLookupError):
                raise SandboxUnavailable(f"bubblewrap made no sandbox here: {await told.text()}") from error
            raise
        return StartedProcess(process, handle, launch.group, told)


async def _created(creating: Coroutine[Any, Any, Process]) -> Process:
    """The process; one that is there when its start is cancelled is killed with all that it has started."""
    task = asyncio.ensure_future(creating)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await _killed(await task)
        raise


async def _killed(process: Process) -> None:
    """All of its group: of a bubblewrap that ends as it starts, the child waits for a word of it for ever."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _memory_file(stack: ExitStack, data: bytes) -> int:
    """A file descriptor from which this can be read once; nobody else sees it."""
    descriptor = os.memfd_create("sandbox")
    stack.callback(os.close, descriptor)
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


async def _version() -> str | None:
    try:
        asked = await asyncio.create_subprocess_exec(
            "bwrap", "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return None
    told, _ = await asked.communicate()
    return told.decode().removeprefix("bubblewrap").strip()

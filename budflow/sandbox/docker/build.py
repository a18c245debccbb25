"""One step of building an image: a hardened container in which uv runs, with the package index as its only network."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import uv

from budflow.model.sandbox import RequirementsFailed
from budflow.sandbox.docker.created import created
from budflow.sandbox.docker.engine import Engine
from budflow.sandbox.docker.hardening import Container, container_config
from budflow.sandbox.docker.python_tree import PACKAGES_DIRECTORY, PYTHON
from budflow.sandbox.egress.proxy import Egress, EgressConnection, OnConnection
from budflow.sandbox.runners import EGRESS_SOCKET, SOCKETS_DIRECTORY, Limits, OnProgress

_UV_INSIDE = "/usr/local/bin/uv"
_LOOK_SECONDS = 1.0
_TOLD_MAX = 2_000
_REFUSALS_MAX = 3
_MEBIBYTE = 1024 * 1024
_CONTAINER = Limits(processes=256, cpus=1.0, tmp_bytes=256 * _MEBIBYTE, open_files=1_024)


@dataclass(frozen=True, slots=True)
class PackageIndex:
    """Where packages come from. `url` of the simple API (PEP 503); None: the one that uv knows."""

    hosts: tuple[str, ...] = ("pypi.org", "files.pythonhosted.org")
    url: str | None = None


@dataclass(frozen=True, slots=True)
class BuildLimits:
    """What one step may use."""

    seconds: float = 600.0
    memory_mb: int = 1_024
    image_bytes: int = 2 * 1024 * _MEBIBYTE
    lock_bytes: int = 4 * _MEBIBYTE
    container: Limits = _CONTAINER


class Builder:
    """Runs steps. `owner` is the daemon's id, by which what an earlier run left is found."""

    def __init__(
        self, engine: Engine, owner: str, egress: Egress, index: PackageIndex, limits: BuildLimits, runtime: str
    ) -> None:
        self.index = index
        self._engine = engine
        self._owner = owner
        self._egress = egress
        self._limits = limits
        self._runtime = runtime
        self._script = (files("budflow.sandbox.docker") / "build_script.py").read_text("utf-8")

    async def lock(self, image: str, requirements: Sequence[str], on_progress: OnProgress) -> str:
        """Which files are to be installed, with their hashes. Raises RequirementsFailed, SandboxUnavailable."""
        on_progress(f"Looking for {', '.join(requirements)[:200]}")
        given = {"requirements.in": "\n".join(requirements) + "\n"}
        async with self._step(image, "lock", given, on_progress) as step:
            return step.printed

    async def install(self, image: str, lock: str, config: Mapping[str, Any], on_progress: OnProgress) -> str:
        """Make an image in which the lock is installed; its digest. Raises RequirementsFailed, SandboxUnavailable."""
        async with self._step(image, "install", {"requirements.txt": lock}, on_progress) as step:
            on_progress("Keeping the image")
            return await asyncio.to_thread(self._engine.commit, step.container_id, config)

    @contextlib.asynccontextmanager
    async def _step(
        self, image: str, name: str, given: Mapping[str, str], on_progress: OnProgress
    ) -> AsyncIterator["_Step"]:
        """Run one step to its end; its container is there until the block is left."""
        with tempfile.TemporaryDirectory(prefix="budflow-build-") as directory:
            sockets = _readable(Path(directory), given)
            refusals: list[str] = []
            way_out = await self._egress.serve(
                sockets / EGRESS_SOCKET, self.index.hosts, f"build/{name}", on_connection=self._told(refusals)
            )
            try:
                step = _Step(await created(self._engine, self._config(image, name, sockets)), refusals)
                try:
                    await self._run(step, on_progress)
                    yield step
                finally:
                    await asyncio.shield(asyncio.to_thread(self._engine.remove, step.container_id))
            finally:
                await way_out.close()

    def _told(self, refusals: list[str]) -> OnConnection:
        """Keeps why the proxy refused connections, of which uv says only that a tunnel failed."""

        def told(connection: EgressConnection) -> None:
            self._egress.on_connection(connection)
            if connection.outcome in {"refused", "failed"} and connection.reason not in refusals:
                refusals.append(connection.reason)

        return told

    def _config(self, image: str, name: str, sockets: Path) -> dict[str, Any]:
        arguments = (name, SOCKETS_DIRECTORY, PACKAGES_DIRECTORY, self.index.url or "")
        return container_config(
            Container(
                owner=self._owner,
                role="build",
                image=image,
                memory_mb=self._limits.memory_mb,
                sockets=sockets,
                limits=self._limits.container,
                internet=True,
                runtime=self._runtime,
                command=(PYTHON, "-I", "-c", self._script, *arguments),
                readable={Path(uv.find_uv_bin()).resolve(): _UV_INSIDE},
                writable_root=True,
                file_bytes_max=self._limits.image_bytes,
            )
        )

    async def _run(self, step: "_Step", on_progress: OnProgress) -> None:
        loop = asyncio.get_running_loop()

        def tell(line: str) -> None:
            loop.call_soon_threadsafe(on_progress, line)

        output = await asyncio.to_thread(self._engine.attach, step.container_id)
        reading = asyncio.ensure_future(asyncio.to_thread(step.read, output, self._limits.lock_bytes, tell))
        try:
            async with asyncio.timeout(self._limits.seconds):
                await asyncio.to_thread(self._engine.start, step.container_id)
                while not (await asyncio.wait({reading}, timeout=_LOOK_SECONDS))[0]:
                    if await asyncio.to_thread(self._engine.root_bytes, step.container_id) > self._limits.image_bytes:
                        raise RequirementsFailed(f"The packages need more than {self._limits.image_bytes:,} bytes")
        except TimeoutError:
            raise RequirementsFailed(
                f"Installing the packages took longer than {self._limits.seconds:g} s", hint="Ask for fewer packages."
            ) from None
        finally:
            if not reading.done():
                await asyncio.shield(asyncio.to_thread(self._engine.remove, step.container_id))
            await asyncio.gather(reading, return_exceptions=True)
        if step.too_long:
            raise RequirementsFailed("There are too many packages to lock")
        status = await asyncio.to_thread(self._engine.wait, step.container_id)
        if status == 137:
            raise RequirementsFailed(f"Installing the packages needed more than {self._limits.memory_mb} MB")
        if status != 0:
            raise RequirementsFailed(f"The packages could not be installed: {step.trouble()}")


def _readable(directory: Path, files_in_it: Mapping[str, str]) -> Path:
    """A directory with files, that the container's user can read."""
    directory.chmod(0o755)
    for name, text in files_in_it.items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o644)
    return directory


class _Step:
    """A container, and what it printed."""

    def __init__(self, container_id: str, refusals: list[str]) -> None:
        self.container_id = container_id
        self._refusals = refusals
        self.printed = ""
        self.told = ""
        self.too_long = False

    def trouble(self) -> str:
        """What it told last, and what the proxy refused it."""
        return " ".join([self.told.strip(), *self._refusals[:_REFUSALS_MAX]])

    def read(self, output: Iterator[tuple[bytes, bytes]], bytes_max: int, tell: OnProgress) -> None:
        """Take everything in until its end, in a thread."""
        printed = bytearray()
        begun = ""
        try:
            for out, err in output:
                if len(printed) + len(out) > bytes_max:
                    self.too_long = True
                    continue
                printed += out
                text = err.decode(errors="replace")
                self.told = (self.told + text)[-_TOLD_MAX:]
                *lines, begun = (begun + text)[-_TOLD_MAX:].split("\n")
                for line in lines:
                    if line.strip():
                        tell(line.strip()[:200])
        except (OSError, ValueError) as error:  # The container was removed while it was read.
            self.told += f"\n{error}"
        self.printed = printed.decode(errors="replace")

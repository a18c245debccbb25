"""One step of building an image: a hardened container in which uv runs, with the package index as its only network."""

import asyncio
import contextlib
import re
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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
_HOSTS_MAX = 20
_UV_SECONDS = 20.0
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_DEFAULT_INDEX = re.compile(r"^--\S+ (https?://\S+)$", re.MULTILINE)
_MEBIBYTE = 1024 * 1024
_CONTAINER = Limits(processes=256, cpus=1.0, tmp_bytes=256 * _MEBIBYTE, open_files=1_024)


@dataclass(frozen=True, slots=True)
class PackageIndex:
    """Where packages come from. `url` of the simple API (PEP 503); None: the one that uv on this machine has.

    Without `hosts` they are the index's own and those that its pages link to.
    """

    hosts: tuple[str, ...] = ()
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
        self._url = index.url
        self._linked: tuple[str, ...] = ()

    async def lock(self, image: str, requirements: Sequence[str], on_progress: OnProgress) -> str:
        """Which files are to be installed, with their hashes. Raises RequirementsFailed, SandboxUnavailable."""
        on_progress(f"Looking for {', '.join(requirements)[:200]}")
        hosts = await self._hosts(image, requirements[0], on_progress)
        given = {"requirements.in": "\n".join(requirements) + "\n"}
        async with self._step(image, "lock", given, hosts, on_progress) as step:
            return step.printed

    async def install(self, image: str, lock: str, config: Mapping[str, Any], on_progress: OnProgress) -> str:
        """Make an image in which the lock is installed; its digest. Raises RequirementsFailed, SandboxUnavailable."""
        hosts = await self._hosts(image, lock, on_progress)
        async with self._step(image, "install", {"requirements.txt": lock}, hosts, on_progress) as step:
            on_progress("Keeping the image")
            return await asyncio.to_thread(self._engine.commit, step.container_id, config)

    async def _hosts(self, image: str, requirement: str, on_progress: OnProgress) -> tuple[str, ...]:
        """What a build may reach. Where nobody says, the page of the first package tells where the index has files."""
        if self.index.hosts:
            return self.index.hosts
        if self._url is None:
            self._url = await asyncio.to_thread(default_index)
        own = origin_of(self._url)
        if not self._linked:
            name = _NAME.match(requirement)
            given = {"requirements.in": name[0] if name else ""}
            async with self._step(image, "hosts", given, (own,), on_progress) as step:
                self._linked = tuple(step.printed.split()[:_HOSTS_MAX])
        return (own, *self._linked)

    @contextlib.asynccontextmanager
    async def _step(
        self, image: str, name: str, given: Mapping[str, str], hosts: Sequence[str], on_progress: OnProgress
    ) -> AsyncIterator["_Step"]:
        """Run one step to its end; its container is there until the block is left."""
        with tempfile.TemporaryDirectory(prefix="budflow-build-") as directory:
            sockets = _readable(Path(directory), given)
            refusals: list[str] = []
            way_out = await self._egress.serve(
                sockets / EGRESS_SOCKET, hosts, f"build/{name}", on_connection=self._told(refusals)
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
        arguments = (name, SOCKETS_DIRECTORY, PACKAGES_DIRECTORY, self._url or "")
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


def default_index() -> str:
    """The index that uv has on this machine, by its own configuration or by itself. Raises RequirementsFailed."""
    command = [uv.find_uv_bin(), "pip", "compile", "--emit-index-url", "--no-header", "--offline", "--quiet", "-"]
    told = subprocess.run(  # noqa: S603 - uv's own binary, with fixed arguments
        command, input="", capture_output=True, text=True, check=False, timeout=_UV_SECONDS
    )
    found = _DEFAULT_INDEX.search(told.stdout)
    if found is None or "@" in found[1]:  # A password would be seen in the container's command.
        what = "has a password in its address" if found else f"is unknown: {told.stderr.strip()[-200:]}"
        raise RequirementsFailed(f"The package index of this machine {what}", hint="Set `sandbox_index`.")
    return found[1]


def origin_of(url: str) -> str:
    """The address's host as a pattern, see `budflow.model.host_pattern`."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


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

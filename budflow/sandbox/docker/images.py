"""Which image a task's code runs in: the base image, or one with its requirements, built once and then found again."""

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budflow.model.sandbox import SandboxUnavailable
from budflow.sandbox.docker.base_image import LOCK_LABEL, MADE_FROM, base_tag, build_base, image_config, made_from
from budflow.sandbox.docker.build import Builder
from budflow.sandbox.docker.engine import Engine
from budflow.sandbox.docker.requirement_names import normalised
from budflow.sandbox.runners import OnProgress

#: How long the same requirements mean the same versions.
LOCK_SECONDS = 24 * 3600.0
#: Images with requirements that are kept; the oldest go first, unless they are in use.
IMAGES_MAX = 50
BUILDS_AT_ONCE_MAX = 2
KNOWN_MAX = 1_000
_WRITTEN = frozenset({".txt", ".new"})


@dataclass(frozen=True, slots=True)
class _Known:
    digest: str
    until: float


class Images:
    """Prepares images. `reference` names a base image of the operator's; None: the one that this machine makes.

    `directory` keeps the locks; without a builder there are no images with requirements.
    """

    def __init__(self, engine: Engine, directory: Path, builder: Builder | None, reference: str | None = None) -> None:
        self._engine = engine
        self._directory = directory
        self._builder = builder
        self._reference = reference
        self._base: str | None = None
        self._known: dict[tuple[str, ...], _Known] = {}
        self._locks: dict[tuple[str, ...], asyncio.Lock] = {}
        self._builds = asyncio.Semaphore(BUILDS_AT_ONCE_MAX)

    async def prepare(self, requirements: Sequence[str], on_progress: OnProgress) -> str:
        """The digest of the image for these requirements. Raises RequirementsFailed, SandboxUnavailable."""
        wanted = normalised(requirements)
        known = self._known.get(wanted)
        if known is not None and known.until > time.monotonic():
            return known.digest
        async with self._locks.setdefault(wanted, asyncio.Lock()):
            try:
                return await self._prepared(wanted, on_progress)
            finally:
                self._locks.pop(wanted, None)  # Who waits has it still.

    def forget(self, digest: str) -> None:
        """The image is gone: it is looked for, or made, when it is next asked for."""
        self._known = {wanted: known for wanted, known in self._known.items() if known.digest != digest}
        if self._base == digest:
            self._base = None

    def remove_old_locks(self) -> None:
        """Remove those that mean nothing any more, whatever became of their images; and what a crash left half written.

        This is the only process that has the directory, whose lock sandboxd holds, and all that reads or writes there
        does so in its loop, one after the other.
        """
        until = time.time() - LOCK_SECONDS
        for file in self._directory.iterdir() if self._directory.is_dir() else ():
            if file.suffix in _WRITTEN and file.lstat().st_mtime <= until:
                file.unlink()

    def own_bytes(self, digest: str) -> int:
        """What an image takes beyond the base image. Raises SandboxUnavailable where it is not there, or not ours."""
        found = self._engine.image(digest)
        if found is None or not (self._is_base(digest) or LOCK_LABEL in _labels(found)):
            raise SandboxUnavailable(
                f"Docker on this machine has no sandbox image {digest}", hint="It is prepared again with the next code."
            )
        base = None if self._is_base(digest) else self._engine.image(self._base or self._reference or base_tag())
        return max(0, int(found["Size"]) - int((base or found)["Size"]))

    def remove(self, digest: str) -> int:
        """Remove an image with requirements that no container uses; the bytes that this frees."""
        found = self._engine.image(digest)
        if found is None or self._is_base(digest) or LOCK_LABEL not in _labels(found):
            return 0
        size = self.own_bytes(digest)
        if not self._engine.remove_image(digest):
            return 0
        self.forget(digest)
        return size

    def _is_base(self, digest: str) -> bool:
        found = self._engine.image(self._reference or base_tag())
        return digest == self._base or (found is not None and found["Id"] == digest)

    def describe(self) -> dict[str, Any]:
        """For the status."""
        return {"base_image": self._base, "images": len(self._engine.images_labelled(LOCK_LABEL))}

    async def _prepared(self, wanted: tuple[str, ...], on_progress: OnProgress) -> str:
        known = self._known.get(wanted)
        if known is None or known.until <= time.monotonic():
            base = await self._prepared_base(on_progress)
            digest = await self._with_requirements(base, wanted, on_progress) if wanted else base
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()  # Their locks and images are found again.
            known = self._known[wanted] = _Known(digest, time.monotonic() + LOCK_SECONDS)
        return known.digest

    async def _prepared_base(self, on_progress: OnProgress) -> str:
        async with self._locks.setdefault(("",), asyncio.Lock()):
            if self._base is None:
                self._base = await asyncio.to_thread(self._find_base, on_progress, asyncio.get_running_loop())
        return self._base

    def _find_base(self, on_progress: OnProgress, loop: asyncio.AbstractEventLoop) -> str:
        reference = self._reference or base_tag()
        found = self._engine.image(reference)
        if self._reference is None:
            labels = ((found or {}).get("Config") or {}).get("Labels") or {}
            if labels.get(MADE_FROM) != made_from():
                loop.call_soon_threadsafe(on_progress, "Making the base image")
                return build_base(self._engine)
        if found is None:
            raise SandboxUnavailable(
                f"Docker has no image {reference!r}", hint="Pull it, or leave `sandbox_image` unset to have one made."
            )
        return str(found["Id"])

    async def _with_requirements(self, base: str, wanted: tuple[str, ...], on_progress: OnProgress) -> str:
        if self._builder is None:
            raise SandboxUnavailable("This sandbox has no way to a package index, and installs no requirements")
        async with self._builds:
            lock = await self._lock(self._builder, base, wanted, on_progress)
            label = _digest(base, lock)
            for image in await asyncio.to_thread(self._engine.images_labelled, LOCK_LABEL, label):
                return str(image["Id"])
            config = image_config("")
            config["Labels"] = {LOCK_LABEL: label}
            digest = await self._builder.install(base, lock, config, on_progress)
            await asyncio.to_thread(self._remove_old)
            return digest

    async def _lock(self, builder: Builder, base: str, wanted: tuple[str, ...], on_progress: OnProgress) -> str:
        file = self._directory / f"{_digest(base, builder.index.url or '', *wanted)}.txt"
        try:
            if time.time() - file.stat().st_mtime < LOCK_SECONDS:
                return file.read_text()
        except FileNotFoundError:
            pass
        lock = await builder.lock(base, wanted, on_progress)
        self._directory.mkdir(parents=True, exist_ok=True)
        written = file.with_suffix(".new")
        written.write_text(lock)
        written.replace(file)
        self.remove_old_locks()
        return lock

    def _remove_old(self) -> None:
        for image in self._engine.images_labelled(LOCK_LABEL)[IMAGES_MAX:]:
            self.remove(str(image["Id"]))


def _labels(image: Mapping[str, Any]) -> Mapping[str, str]:
    return (image.get("Config") or {}).get("Labels") or {}


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()

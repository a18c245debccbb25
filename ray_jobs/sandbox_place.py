"""The sandbox as a process of Ray has it; it imports no Ray until code runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budflow.model.sandbox import SandboxCapability
from budflow.sandbox.open import daemon_settings
from budflow.settings import Settings
from ray_jobs.sandbox_address import DEFAULT_ADDRESS, directory_of


@dataclass(frozen=True, slots=True)
class SandboxPlace:
    """Meets Sandbox in a process of Ray. `directory` is that of sandboxd: its socket and its key stand in it."""

    directory: Path

    @staticmethod
    def wanted(settings: Settings) -> "SandboxPlace | None":
        """As settings have it: the server's own sandboxd, or the one that each node of a cluster has; None: none."""
        if settings.sandbox == "off":
            return None
        if settings.sandbox_address is not None:
            return SandboxPlace(directory_of(settings.sandbox_address))
        if settings.ray_address == "local":
            return SandboxPlace(daemon_settings(settings).directory)
        return SandboxPlace(directory_of(DEFAULT_ADDRESS))

    def of(self, project_id: str) -> SandboxCapability:
        """See Sandbox."""
        from ray_jobs.sandbox import sandboxes_of  # noqa: PLC0415 - imports the sandbox, with the first code

        return sandboxes_of(self.directory).of(project_id)

    async def describe(self) -> Mapping[str, Any]:
        """See Sandbox. Nothing of it is in this process."""
        return {"state": "idle"}

    async def serve_others(self) -> None:
        """See Sandbox. It is started elsewhere."""

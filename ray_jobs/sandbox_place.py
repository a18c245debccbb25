"""Where the sandboxd of a Ray node is, as its processes are told by their environment; it imports no Ray."""

import json
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budflow.model.sandbox import SandboxCapability
from budflow.sandbox.open import daemon_settings
from budflow.settings import Settings

#: The resource of Ray nodes that have a sandboxd.
RESOURCE = "sandbox"
#: What Ray reads when a node starts, so that the agent of the node loads the plugin.
PLUGINS_VARIABLE = "RAY_RUNTIME_ENV_PLUGINS"
PLUGIN = {"class": "ray_jobs.sandbox_env.SandboxEnv"}
#: The address of the node's sandboxd: `unix:` and the path of its socket, beside which stands its key.
ADDRESS_VARIABLE = "BUDFLOW_SANDBOX_ADDRESS"
DEFAULT_ADDRESS = "unix:/run/budflow/sandboxd.sock"
PREFIX = "unix:"
SOCKET_FILE = "sandboxd.sock"


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
            return SandboxPlace(_directory(settings.sandbox_address))
        if settings.ray_address == "local":
            return SandboxPlace(daemon_settings(settings).directory)
        return SandboxPlace(_directory(DEFAULT_ADDRESS))

    def of(self, project_id: str) -> SandboxCapability:
        """See Sandbox."""
        from ray_jobs.sandbox import sandboxes_of  # noqa: PLC0415 - imports the sandbox, with the first code

        return sandboxes_of(self.directory).of(project_id)

    async def describe(self) -> Mapping[str, Any]:
        """See Sandbox. Nothing of it is in this process."""
        return {"state": "idle"}

    async def serve_others(self) -> None:
        """See Sandbox. It is started elsewhere."""


@contextmanager
def lent(environment: MutableMapping[str, str], place: SandboxPlace | None) -> Iterator[None]:
    """For a Ray that is started here: it loads the plugin, and its processes know where sandboxd is. None: nothing."""
    added = {} if place is None else _added(environment, place)
    before = {name: environment.get(name) for name in added}
    environment.update(added)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del environment[name]
            else:
                environment[name] = value


def _directory(address: str) -> Path:
    return Path(address.removeprefix(PREFIX)).parent


def _added(environment: Mapping[str, str], place: SandboxPlace) -> dict[str, str]:
    plugins = [plugin for plugin in json.loads(environment.get(PLUGINS_VARIABLE) or "[]") if plugin != PLUGIN]
    return {
        PLUGINS_VARIABLE: json.dumps([*plugins, PLUGIN]),
        ADDRESS_VARIABLE: f"{PREFIX}{place.directory / SOCKET_FILE}",
    }

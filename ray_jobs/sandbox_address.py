"""Where the sandboxd of a Ray node is, as the node's processes are told by their environment; it imports no Ray."""

import json
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path

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


def directory_of(address: str) -> Path:
    """The directory of sandboxd, in which its socket and its key stand, from its address."""
    return Path(address.removeprefix(PREFIX)).parent


@contextmanager
def lent(environment: MutableMapping[str, str], directory: Path | None) -> Iterator[None]:
    """For a Ray that is started here: it loads the plugin, and its processes know where sandboxd is. None: nothing."""
    added = {} if directory is None else _added(environment, directory)
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


def _added(environment: Mapping[str, str], directory: Path) -> dict[str, str]:
    plugins = [plugin for plugin in json.loads(environment.get(PLUGINS_VARIABLE) or "[]") if plugin != PLUGIN]
    return {
        PLUGINS_VARIABLE: json.dumps([*plugins, PLUGIN]),
        ADDRESS_VARIABLE: f"{PREFIX}{directory / SOCKET_FILE}",
    }

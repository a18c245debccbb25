"""Why a runtime environment could not be built, in short: Ray tells it with all its traces."""

import re

from ray.exceptions import RuntimeEnvSetupError

from budflow.model.failure import NodeError

REASON_CHARS_MAX = 500
#: After this comes what an installer wrote before it failed.
_OUTPUT = re.compile(r"Last \d+ lines of \w+:")


class RuntimeEnvFailed(NodeError):
    """The runtime environment of the node type could not be built on the Ray node."""

    code = "ray.runtime_env_failed"
    hint = (
        "Whoever runs the server mends the environment in `ray_runtime_envs`, or lets the Ray nodes reach what its "
        "packages come from; the node's logs under Ray's directory (runtime_env_setup) have all of it."
    )


def build_failure(name: str, error: RuntimeEnvSetupError) -> RuntimeEnvFailed:
    """What a node fails with, with the end of what Ray or the installer says: the reason stands there."""
    reason = " ".join(_OUTPUT.split(error.error_message or "")[-1].split())
    if len(reason) > REASON_CHARS_MAX:
        reason = "…" + reason[-REASON_CHARS_MAX:]
    return RuntimeEnvFailed(f"The runtime environment `{name}` could not be built: {reason or 'Ray does not say why.'}")

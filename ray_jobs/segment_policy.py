"""What the operator has settled for heavy segments and code, from the settings; it imports no Ray, and actors get it.

Runtime environments bring packages and variables, and confine nothing: a task in one is a full member of the cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from budflow.execution.tools import Tools
from budflow.model.failure import NodeError
from budflow.model.node import NodeSpec
from budflow.runtime_envs import RuntimeEnv
from budflow.settings import Settings
from ray_jobs.sandbox_place import SandboxPlace


class RuntimeEnvUntrusted(NodeError):
    """This server has no runtime environment for a node type that needs one."""

    code = "ray.runtime_env_untrusted"
    hint = "Whoever runs the server adds the environment to `ray_runtime_envs`, with the node type in its `types`."


@dataclass(frozen=True, slots=True)
class SegmentPolicy:
    """Environments by their names, how long to wait for an autoscaler, and where code runs."""

    runtime_envs: Mapping[str, RuntimeEnv] = field(default_factory=dict)
    scale_up_seconds: float = 0.0
    sandbox: SandboxPlace | None = None

    @staticmethod
    def of(settings: Settings) -> "SegmentPolicy":
        """The part of the settings that is about segments and code."""
        return SegmentPolicy(settings.ray_runtime_envs, settings.ray_scale_up_seconds, SandboxPlace.wanted(settings))

    def runtime_env_of(self, spec: NodeSpec) -> str | None:
        """The name of the environment that a type has; None for the cluster's own. Raises RuntimeEnvUntrusted."""
        found = next((name for name, environment in self.runtime_envs.items() if spec.name in environment.types), None)
        if spec.runtime_env is not None and found != spec.runtime_env:
            other = "" if found is None else f", and is given `{found}`"
            raise RuntimeEnvUntrusted(f"`{spec.name}` needs the runtime environment `{spec.runtime_env}`{other}.")
        return found

    def with_sandbox(self, tools: Tools) -> Tools:
        """What nodes may use in a process of Ray, the sandbox too."""
        return tools if self.sandbox is None else replace(tools, sandbox_of=self.sandbox.of)

    def options(self, name: str | None) -> dict[str, Any]:
        """An environment as options of a Ray task; none for none."""
        if name is None:
            return {}
        environment = self.runtime_envs[name]
        shape: dict[str, Any] = {"config": {"setup_timeout_seconds": environment.build_seconds}}
        if environment.env_vars:
            shape["env_vars"] = dict(environment.env_vars)
        if environment.packages:
            shape[environment.installer] = {"packages": list(environment.packages)}
        return {"runtime_env": shape}


NO_POLICY = SegmentPolicy()

"""Whether the code nodes of a workflow can run on this server: asked when it is saved and published."""

from collections.abc import Iterator

from budflow.graph.nesting import nest
from budflow.model.problem import Problem
from budflow.model.workflow import Workflow
from budflow.services.use_case import Services


def sandbox_problems(services: Services, workflow: Workflow) -> Iterator[Problem]:
    """The nodes that need a sandbox where the settings allow none, or ask more of it than they allow."""
    settings = services.settings
    most = {
        "memory_mb": ("sandbox_memory_mb_max", settings.sandbox_memory_mb_max, "MiB"),
        "timeout_seconds": ("sandbox_timeout_seconds_max", settings.sandbox_timeout_seconds_max, "seconds"),
    }
    for placed, node in nest(workflow).nodes():
        spec = services.registry.get(node.type, node.type_version)
        if spec is None or not spec.sandboxed or node.disabled:
            continue
        if settings.sandbox == "off":
            message = f"`{node.key}` runs code, and this server's setting `sandbox` is `off`."
            advice = "Have it set to `auto`, or disable the node."
            yield Problem("sandbox.off", placed.path("nodes", node.key, "type"), message, advice, "run")
            continue
        for name in ("requirements", "network") if settings.sandbox == "process" else ():
            if node.params.get(name) not in (None, [], "none"):
                message = f"`{name}` needs Docker, and this server's setting `sandbox` is `process`."
                where = placed.path("nodes", node.key, "params", name)
                yield Problem("sandbox.needs_docker", where, message, f"Remove `{name}`.", "run")
        for name, (setting, limit, unit) in most.items():
            asked = node.params.get(name)
            if isinstance(asked, int | float) and asked > limit:
                message = f"`{name}` is {asked:,}, and this server gives code at most {limit:,g} {unit}."
                advice = f"Ask for less, or have the setting `{setting}` raised."
                where = placed.path("nodes", node.key, "params", name)
                yield Problem("sandbox.over_limit", where, message, advice, "run")

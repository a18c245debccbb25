"""What is shown of the sandbox: how it isolates, in what state it is, and how much it has to do."""

from collections import Counter
from typing import Any, Literal

from pydantic import Field

from budflow.model.sandbox import REDUCED_ISOLATION
from budflow.services.sandbox_ports import SandboxStatus
from budflow.services.use_case import View


class SandboxView(View):
    """The sandbox of the server that answers."""

    wanted: str = Field(description="What the setting `sandbox` says.")
    state: Literal["off", "idle", "running", "failed"] = Field(
        description="`idle`: no code has run yet, so nothing was started."
    )
    isolation: str | None = Field(description="How code is isolated: `docker` or `process`; null until it is running.")
    label: str | None = Field(description=f"`{REDUCED_ISOLATION}` where processes take the place of containers.")
    image: str | None = Field(description="The digest of the base image.")
    workers: dict[str, int] = Field(description="How many workers there are, by what they are doing.")
    workers_max: int | None
    queued: int | None = Field(description="How much code waits for a worker.")
    tasks_done: int | None
    problem: str | None = Field(description="Why it cannot be used.")
    hint: str | None
    details: dict[str, Any] = Field(description="What it told besides: engine and runtime, failures, starts.")


async def view_sandbox(sandbox: SandboxStatus, wanted: str) -> SandboxView:
    """What it tells now."""
    told = dict(await sandbox.describe())
    state, isolation = told.pop("state"), told.pop("isolation", None)
    runner = dict(told.pop("runner", {}))
    workers: Counter[str] = Counter()
    for one in told.pop("workers", ()):
        workers[one["state"]] += one["count"]
    return SandboxView(
        wanted=wanted,
        state=state,
        isolation=isolation,
        label=REDUCED_ISOLATION if isolation == "process" else None,
        image=runner.pop("base_image", None),
        workers=dict(workers),
        workers_max=told.pop("workers_max", None),
        queued=told.pop("queued", None),
        tasks_done=told.pop("tasks_done", None),
        problem=told.pop("problem", None) or runner.pop("error", None),
        hint=told.pop("hint", None),
        details={**told, **({"runner": runner} if runner else {})},
    )

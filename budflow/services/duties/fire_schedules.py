"""fire_schedules: executions that the time starts, at their time."""

import asyncio
from contextlib import suppress

from budflow.services.fire_schedules import fire_due_schedules
from budflow.services.leader_only import leader_only
from budflow.services.leader_ports import Leading
from budflow.services.use_case import Services

#: How long it takes at most until a schedule is seen that nobody told of.
LOOK_SECONDS = 2.0


@leader_only
async def fire_schedules(services: Services, leading: Leading) -> None:
    """Start an execution for each slot of the armed schedules that is due."""
    armed = asyncio.Event()
    quiet = services.wakes.listen("triggers", lambda _subject: armed.set())
    try:
        while True:
            armed.clear()
            leading.require()
            seen = await fire_due_schedules(services, leading.require)
            seconds = LOOK_SECONDS if seen.wait_seconds is None else min(LOOK_SECONDS, seen.wait_seconds)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await armed.wait()
    finally:
        quiet()

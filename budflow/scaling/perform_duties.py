"""perform_duties: all duties of a leader side by side, each begun again after a pause when it fails."""

import asyncio
from collections.abc import Sequence

from budflow.errors import BudflowError
from budflow.log import get_log
from budflow.services.leader_only import Duty
from budflow.services.leader_ports import Leading, NotLeader
from budflow.services.use_case import Services

#: The pause before a duty is begun again: doubled with every failure, from the first on after it did well for a while.
PAUSE_SECONDS = 1.0
PAUSE_SECONDS_MAX = 60.0
WELL_SECONDS = 60.0

log = get_log(__name__)


async def perform_duties(duties: Sequence[Duty], services: Services, leading: Leading) -> None:
    """Do all of them until the term is over; to be cancelled then."""
    async with asyncio.TaskGroup() as group:
        for duty in duties:
            group.create_task(_perform(duty, services, leading), name=f"duty-{duty.name}")


async def _perform(duty: Duty, services: Services, leading: Leading) -> None:
    loop = asyncio.get_running_loop()
    pause = PAUSE_SECONDS
    while leading.leads:
        began = loop.time()
        try:
            await duty.run(services, leading)
        except NotLeader:
            pass  # The term is over, as the loop finds too.
        except Exception as error:  # noqa: BLE001 - the worker's loop: one duty must not end the others
            _tell(duty, error)
        if loop.time() - began >= WELL_SECONDS:
            pause = PAUSE_SECONDS
        await asyncio.sleep(pause)
        pause = min(2 * pause, PAUSE_SECONDS_MAX)


def _tell(duty: Duty, error: Exception) -> None:
    if isinstance(error, BudflowError | OSError):  # Something is away; what else is raised is a fault of the duty.
        log.warning("duty.failed", duty=duty.name, error=f"{type(error).__name__}: {error}")
    else:
        log.error("duty.failed", duty=duty.name, exc_info=error)

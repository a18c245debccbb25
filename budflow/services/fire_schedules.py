"""fire_schedules: start the executions whose time has come, each slot once, whoever else does the same.

Two things make that so. An execution is stored together with its slot, whose key the database knows only once; and a
slot is not started any more once its schedule is settled beyond it. So a server that dies between the two leaves a slot
that the next one finds started, and one that was paused finds that it comes too late.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus

from budflow.errors import BudflowError
from budflow.execution.records import ScheduleSlot
from budflow.log import get_log
from budflow.model.armed_schedule import ArmedSchedule, Refusal, ScheduleRoute
from budflow.model.execution import SlotFired, SlotSettled
from budflow.model.failure import Failure
from budflow.model.identity import utc_now
from budflow.model.item import ItemList
from budflow.model.principal import Principal
from budflow.model.schedule import look_at
from budflow.nodes.trigger.schedule import slot_item
from budflow.services.trigger_workflow import Triggered, TriggerEvent, trigger_workflow
from budflow.services.use_case import Services

#: How many schedules are seen to in one round, and how many of them at the same time.
DUE_MAX = 200
AT_ONCE_MAX = 16
#: When a start that could not be made now, such as for a full queue, is tried again.
RETRY = timedelta(seconds=1)
PERMISSIONS = frozenset({"execution:run"})

log = get_log(__name__)


@dataclass(frozen=True, slots=True)
class Round:
    """How many executions were started, and in how many seconds something is due again; None: nothing is known of."""

    fired: int
    wait_seconds: float | None


async def fire_due_schedules(
    services: Services, require: Callable[[], None] = lambda: None, *, now: datetime | None = None
) -> Round:
    """See once to all schedules that are due, at the database's time unless `now`.

    `require` is called before each start, and what it raises ends the round.
    """
    loop = asyncio.get_running_loop()
    looked_at = loop.time()
    found = await services.store.schedules.find_due(limit=DUE_MAX, now=now)
    room = asyncio.Semaphore(AT_ONCE_MAX)

    async def see_to(armed: ArmedSchedule) -> tuple[int, datetime | None]:
        async with room:
            return await _Firing(services, require, found.now).see_to(armed)

    seen = await asyncio.gather(*(see_to(armed) for armed in found.due))
    following = [due_at for due_at in (found.next_at, *(due_at for _, due_at in seen)) if due_at is not None]
    fired = sum(count for count, _ in seen)
    if len(found.due) == DUE_MAX:
        return Round(fired, 0.0)
    if not following:
        return Round(fired, None)
    gone = loop.time() - looked_at
    return Round(fired, max(0.0, (min(following) - found.now).total_seconds() - gone))


async def start_slot(services: Services, route: ScheduleRoute, slot: datetime, *, backfill: bool = False) -> Triggered:
    """Start the execution of a slot. With `backfill` it may be one that the schedule has gone past.

    Raises SlotFired, SlotSettled, and what trigger_workflow does, with nothing stored.
    """
    principal = Principal(f"schedule:{route.origin}", route.project_id, PERMISSIONS)
    event = TriggerEvent(
        workflow_id=route.workflow_id,
        items=ItemList.of([slot_item(route.schedule, slot, backfill=backfill)]),
        mode="schedule",
        version=route.version,
        trigger=route.node,
        slot=ScheduleSlot(
            route.project_id, route.workflow_id, route.node, slot, version=None if backfill else route.version
        ),
    )
    return await trigger_workflow(services, principal, event)


@dataclass(slots=True)
class _Firing:
    services: Services
    require: Callable[[], None]
    now: datetime

    async def see_to(self, armed: ArmedSchedule) -> tuple[int, datetime | None]:
        """Start what is due of one schedule: how many, and when to look again."""
        route = armed.route
        try:
            return await self._see_to(armed)
        except BudflowError as error:
            self.require()  # Else it was this that was raised.
            log.warning("schedule.not_fired", workflow=route.workflow_id, node=route.node, code=error.code)
        except Exception:  # The worker's loop: one schedule must not hold up the others.
            log.exception("schedule.broken", workflow=route.workflow_id, node=route.node)
        return 0, self.now + RETRY

    async def _see_to(self, armed: ArmedSchedule) -> tuple[int, datetime | None]:
        route = armed.route
        look = look_at(route.schedule, route.origin, armed.settled_until, self.now)
        self.require()
        if look.passed_until > armed.settled_until:
            # First of all it must be clear which slots are passed over, or somebody else might choose others.
            passed = replace(armed, settled_until=look.passed_until)
            if not await self.services.store.schedules.settle(armed, passed):
                return 0, self.now
            log.info("schedule.passed_over", workflow=route.workflow_id, node=route.node, until=look.passed_until)
            armed = passed
        settled, due_at, fired = armed, look.due_at, 0
        for slot in look.fire:
            self.require()
            try:
                await start_slot(self.services, route, slot)
                fired += 1
                settled = replace(settled, settled_until=slot, refused=None)
            except SlotFired:  # By somebody who had no time to settle it.
                settled = replace(settled, settled_until=slot, refused=None)
            except SlotSettled:  # By somebody else, or it is not armed any more: what is so now is to be read again.
                return fired, self.now
            except BudflowError as error:
                settled = replace(settled, refused=Refusal(slot, utc_now(), Failure.of(error)))
                if error.http_status == HTTPStatus.SERVICE_UNAVAILABLE:  # That passes: the slot waits.
                    due_at = self.now + RETRY
                    break
                settled = replace(settled, settled_until=slot)
                log.warning("schedule.refused", workflow=route.workflow_id, node=route.node, slot=slot, code=error.code)
        await self.services.store.schedules.settle(armed, replace(settled, due_at=due_at))
        return fired, due_at

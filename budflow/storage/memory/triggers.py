"""Arming and disarming a workflow's triggers in memory; budflow.storage.workflows does the same in SQL."""

from collections.abc import Sequence

from budflow.model.armed_schedule import ScheduleRoute, armed_anew
from budflow.model.identity import utc_now
from budflow.model.workflow import WebhookRoute, WebhookTaken
from budflow.services.ports import TriggerRoute
from budflow.storage.errors import WriteConflict
from budflow.storage.memory.tables import Tables


def arm(tables: Tables, workflow_id: str, armed: Sequence[TriggerRoute]) -> None:
    """Replace what is armed of a workflow. Raises WebhookTaken; then nothing changes."""
    webhooks = {(route.method, route.shape): route for route in armed if isinstance(route, WebhookRoute)}
    schedules = [route for route in armed if isinstance(route, ScheduleRoute)]
    if len(webhooks) + len(schedules) < len(armed):
        raise WriteConflict("Two of the workflow's webhooks have the same method and path.")
    for name in webhooks:
        holder = tables.webhooks.get(name)
        if holder is not None and holder.workflow_id != workflow_id:
            raise WebhookTaken(
                f"{holder.method} {holder.path} belongs to another workflow.",
                method=holder.method,
                path=holder.path,
                workflow_id=holder.workflow_id,
            )
    before = {node: one for (of, node), one in tables.schedules.items() if of == workflow_id}
    disarm(tables, workflow_id)
    tables.webhooks.update(webhooks)
    now = utc_now()
    for route in schedules:
        tables.schedules[workflow_id, route.node] = armed_anew(route, before, now)


def disarm(tables: Tables, workflow_id: str) -> None:
    """Let nothing start the workflow by itself any more."""
    tables.webhooks = {name: route for name, route in tables.webhooks.items() if route.workflow_id != workflow_id}
    tables.schedules = {name: one for name, one in tables.schedules.items() if name[0] != workflow_id}

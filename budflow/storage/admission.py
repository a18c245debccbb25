"""Whether an execution may come in: its idempotency key or slot, and its limit, decided without a database."""

from datetime import datetime

from budflow.execution.records import KEY_LIFE, AdmissionKey, ScheduleSlot
from budflow.model.execution import Execution, KeyKnown, KeyReused, LimitReached, SlotFired, SlotSettled
from budflow.storage.rows import refuse_unstorable
from budflow.storage.writes import Known, slot_name


def check_key(known: Known, key: AdmissionKey, at: datetime) -> None:
    """Raise KeyKnown or KeyReused where the key came in before `at`, and TextRefused where it cannot be stored; for a
    slot SlotFired or SlotSettled.
    """
    if isinstance(key, ScheduleSlot):
        _check_slot(known, key)
        return
    refuse_unstorable(trigger_key=key.key, fingerprint=key.fingerprint)
    found = known.keys.get((key.project_id, key.key))
    if found is None or found.created_at < at - KEY_LIFE:
        return
    if found.fingerprint != key.fingerprint:
        raise KeyReused
    raise KeyKnown(execution_id=found.execution_id)


def _check_slot(known: Known, slot: ScheduleSlot) -> None:
    workflow_id, node, micros = name = slot_name(slot)
    if name in known.slots:
        raise SlotFired(execution_id=known.slots[name])
    if slot.version is None:
        return
    # Whoever was paused between looking and starting finds out here what happened meanwhile.
    armed = known.schedules.get((workflow_id, node))
    if armed is None or armed.version != slot.version or armed.settled_until >= micros:
        raise SlotSettled


def displaced_by(known: Known, new: Execution) -> list[tuple[str, bool]]:
    """The executions to cancel so that `new` finds room in its group, and whether a caller awaits each.

    Of a group that cancels its oldest, those that are being cancelled already take no room. Raises LimitReached where
    the policy is to drop.
    """
    limit, heads = new.limit, known.heads
    if limit is None or limit.policy == "queue":
        return []
    live = [one for one in known.groups.get(limit.key, {}).items() if one[0] not in heads or not heads[one[0]].ended]
    if limit.policy == "cancel_oldest":
        staying = [one for one in live if not heads[one[0]].cancelling]
        return staying[: max(0, len(staying) + 1 - limit.running_max)]
    if len(live) >= limit.running_max:
        raise LimitReached(running_max=limit.running_max)
    return []

"""What the store in memory holds of executions: its tables, and a group of one write applied to them."""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime

import orjson

from budflow.execution.records import OpenWait, ScheduleSlot, Signal, Snapshot
from budflow.model.armed_schedule import ArmedSchedule
from budflow.model.event import StoredEvent
from budflow.model.execution import TERMINAL, Execution
from budflow.model.workflow import WebhookRoute
from budflow.storage.attachments import Attachments
from budflow.storage.memory.credentials import CredentialTables
from budflow.storage.rows import DUE, json_text, to_micros
from budflow.storage.settle import FiredBy, settle
from budflow.storage.writes import Head, Known, KnownKey, KnownSchedule, SlotName, Write, ids_of, limits_of


@dataclass(slots=True)
class Tables:
    """Waits and signals are by execution and key; static data is JSON, by project and workflow, then by node.

    Blobs are by project and hash, with the time since when they are unused; references by execution. Schedules are by
    workflow and node, webhooks by method and shape.
    """

    executions: dict[str, Execution] = field(default_factory=dict)
    journals: defaultdict[str, list[StoredEvent]] = field(default_factory=lambda: defaultdict(list))
    signals: defaultdict[str, dict[str, Signal]] = field(default_factory=lambda: defaultdict(dict))
    waits: defaultdict[str, dict[str, OpenWait]] = field(default_factory=lambda: defaultdict(dict))
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    keys: dict[tuple[str, str], KnownKey] = field(default_factory=dict)
    static: defaultdict[tuple[str, str], dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    blobs: dict[tuple[str, str], datetime | None] = field(default_factory=dict)
    blob_refs: defaultdict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    credentials: CredentialTables = field(default_factory=CredentialTables)
    schedules: dict[tuple[str, str], ArmedSchedule] = field(default_factory=dict)
    slots: dict[SlotName, FiredBy] = field(default_factory=dict)
    webhooks: dict[tuple[str, str], WebhookRoute] = field(default_factory=dict)


def write(tables: Tables, wanted: Write) -> None:
    """Do what is asked for, or raise why not and change nothing."""
    settled = settle([wanted], _known(tables, wanted))
    [refusal] = settled.outcomes
    if refusal is not None:
        raise refusal
    for execution in settled.inserted:
        tables.executions[execution.id] = execution
    for id_, change in settled.changed.items():
        tables.executions[id_] = change.on(tables.executions[id_])
    for id_, _, event in settled.events:
        tables.journals[id_].append(event)
    tables.keys.update(settled.keys)
    tables.slots.update(settled.slots)
    for id_, project_id, event in settled.with_blobs():
        for ref in event.blobs:
            tables.blobs[project_id, ref.sha256] = None
            tables.blob_refs[id_].add((project_id, ref.sha256))
    tables.credentials.add_uses(settled.uses)
    _attach(tables, settled.attachments)


def wake(tables: Tables, execution_id: str) -> Execution:
    """Let it be claimed at once where it waits; gives its row."""
    execution = tables.executions[execution_id]
    if execution.status == "waiting":
        execution = tables.executions[execution_id] = replace(execution, wake_at=DUE)
    return execution


def clear(tables: Tables, execution_id: str) -> None:
    """Forget what hangs on an execution that has ended."""
    for attached in (tables.waits, tables.signals, tables.snapshots):
        attached.pop(execution_id, None)


def kept(wait: OpenWait) -> OpenWait:
    """The wait as a database would give it back: what its maker does to `ask` later must not change it."""
    return replace(wait, ask=orjson.loads(json_text("ask", wait.ask)))


def _known(tables: Tables, wanted: Write) -> Known:
    known = Known(keys=tables.keys.copy() if wanted.trigger_key else {})
    if isinstance(wanted.trigger_key, ScheduleSlot):
        known.slots = {name: fired.execution_id for name, fired in tables.slots.items()}
        known.schedules = {
            name: KnownSchedule(armed.route.version, to_micros(armed.settled_until))
            for name, armed in tables.schedules.items()
        }
    groups = {limit.key for limit in limits_of([wanted])}
    ids = set(ids_of([wanted]))
    if groups:
        for execution in sorted(tables.executions.values(), key=lambda e: e.id):
            limit, parent = execution.limit, execution.parent
            if limit is not None and limit.key in groups and execution.status not in TERMINAL:
                known.groups.setdefault(limit.key, {})[execution.id] = parent is not None and parent.awaited
                ids.add(execution.id)
    for id_ in ids & tables.executions.keys():
        row, journal = tables.executions[id_], tables.journals[id_]
        next_seq = journal[-1].seq + 1 if journal else 0
        known.heads[id_] = Head(row.project_id, row.status, row.token, next_seq, row.cancelling, attached=True)
        known.signals[id_] = set(tables.signals[id_])
    return known


def _attach(tables: Tables, attachments: Attachments) -> None:
    for id_ in attachments.cleared:
        clear(tables, id_)
    for id_, keys in attachments.closed.items():
        for key in keys:
            tables.waits[id_].pop(key, None)
    for id_, opened in attachments.opened.items():
        tables.waits[id_].update({key: kept(wait) for key, wait in opened.items()})
    for id_, keys in attachments.consumed.items():
        for key in keys:
            tables.signals[id_].pop(key, None)
    for id_, sent in attachments.signals.items():
        tables.signals[id_].update({key: Signal(id_, key, replace(event, seq=0)) for key, (_, event) in sent.items()})
    for id_, rest in attachments.rested.items():
        row = tables.executions[id_]
        tables.executions[id_] = replace(
            row, status="waiting", waiting=rest.reason, wake_at=rest.wake_at, runner=None, token=row.token + 1
        )
    for id_ in attachments.flagged:
        tables.executions[id_] = replace(tables.executions[id_], cancelling=True)
    for id_ in attachments.due:
        wake(tables, id_)
    for id_, texts in attachments.static.items():
        values = tables.static[tables.executions[id_].project_id, tables.executions[id_].workflow_id]
        for node, text in texts.items():
            values.pop(node, None)
            if text is not None:
                values[node] = text

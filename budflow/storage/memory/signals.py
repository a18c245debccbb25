"""Signals and waits in memory; budflow.storage.signals and .waits do the same in SQL."""

from dataclasses import replace
from datetime import datetime

from budflow.execution.records import OpenWait, Signal
from budflow.model.execution import TERMINAL, Execution, ExecutionEnded, WaitClosed
from budflow.model.wait import WantedWaits
from budflow.storage.memory.tables import Tables, wake
from budflow.storage.rows import refuse_unstorable

SIGNALS_MAX = 1000


def send_signal(tables: Tables, project_id: str, signal: Signal) -> Execution | None:
    """Store a signal for a live execution. Raises ExecutionEnded, TextRefused."""
    refuse_unstorable(key=signal.key)
    execution = tables.executions.get(signal.execution_id)
    if execution is None or execution.project_id != project_id:
        return None
    if execution.status in TERMINAL:
        raise ExecutionEnded(execution_id=execution.id, status=execution.status)
    return _store(tables, signal)


def answer_wait(tables: Tables, project_id: str, signal: Signal) -> None:
    """Store the answer to a wait. Raises WaitClosed, TextRefused."""
    refuse_unstorable(key=signal.key)
    wait = tables.waits[signal.execution_id].get(signal.key)
    if wait is None or wait.answered or wait.project_id != project_id:
        raise WaitClosed
    tables.waits[signal.execution_id][signal.key] = replace(wait, answered=True)
    _store(tables, signal)


def list_waits(tables: Tables, project_id: str, wanted: WantedWaits, limit: int) -> list[OpenWait]:
    """The oldest waits of a project, as far as they are wanted."""
    found = [
        wait
        for waits in tables.waits.values()
        for wait in waits.values()
        if wait.project_id == project_id
        and wanted.execution_id in (None, wait.execution_id)
        and wanted.node in (None, wait.node)
        and (not wanted.reasons or wait.reason in wanted.reasons)
        and (wanted.after is None or _position(wait) > wanted.after)
    ]
    return sorted(found, key=_position)[:limit]


def list_signals(tables: Tables, runner: str) -> list[Signal]:
    """The oldest of those for the executions of a runner."""
    leased = [e.id for e in tables.executions.values() if e.runner == runner and e.status == "running"]
    return _oldest_first([signal for id_ in leased for signal in tables.signals[id_].values()])[:SIGNALS_MAX]


def signals_of(tables: Tables, execution_id: str) -> list[Signal]:
    """Those for one execution, the oldest first."""
    return _oldest_first(list(tables.signals[execution_id].values()))


def _position(wait: OpenWait) -> tuple[datetime, str, str]:
    return wait.opened_at, wait.execution_id, wait.key


def _store(tables: Tables, signal: Signal) -> Execution:
    tables.signals[signal.execution_id][signal.key] = replace(signal, event=replace(signal.event, seq=0))
    return wake(tables, signal.execution_id)


def _oldest_first(signals: list[Signal]) -> list[Signal]:
    return sorted(signals, key=lambda signal: (signal.event.at, signal.execution_id, signal.key))

"""Rates that executions share, as the time from which each is free again; takes a connection inside a transaction."""

from datetime import datetime

from sqlalchemy import BigInteger, Connection, bindparam, text

from budflow.execution.records import RateAsk
from budflow.model.identity import utc_now
from budflow.storage.rows import from_micros, refuse_unstorable, to_micros

_RESERVE = text(
    "INSERT INTO rates (project_id, key, free_at) VALUES (:project_id, :key, :free_at) "
    "ON CONFLICT (project_id, key) DO UPDATE SET free_at = CASE WHEN rates.free_at > :now "
    "THEN rates.free_at + :taken ELSE excluded.free_at END RETURNING free_at"
).bindparams(*(bindparam(name, type_=BigInteger) for name in ("free_at", "now", "taken")))


def reserve(conn: Connection, project_id: str, ask: RateAsk) -> datetime:
    """Take `amount` turns, evenly spaced behind those that others took; the time of the last. Raises TextRefused."""
    refuse_unstorable(key=ask.key)
    spacing = spacing_of(ask)
    now, taken = to_micros(utc_now()), ask.amount * spacing
    values = {"project_id": project_id, "key": ask.key, "now": now, "taken": taken, "free_at": now + taken}
    free_at: int = conn.execute(_RESERVE, values).scalar_one()
    return from_micros(free_at - spacing)


def spacing_of(ask: RateAsk) -> int:
    """Microseconds from one turn to the next."""
    return max(1, round(ask.per_seconds * 1_000_000 / ask.limit))

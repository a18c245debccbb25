"""Who leads, in SQL, by the database's own time; each function takes a connection inside a transaction of the caller.

A row is never deleted, so that its token only grows.
"""

from sqlalchemy import BigInteger, Connection, bindparam, case, select, text, update

from budflow.services.leader_ports import LeaderRow
from budflow.storage.rows import from_micros
from budflow.storage.schema import leaders
from budflow.storage.streams import database_now

# What was asked before may come later, where the database stalled: then it does not shorten what its asker has by now.
_ACQUIRE = text(
    "INSERT INTO leaders (name, holder, token, until) VALUES (:name, :holder, 1, :until) "
    "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = leaders.token + 1, "
    "until = CASE WHEN leaders.until > excluded.until THEN leaders.until ELSE excluded.until END "
    "WHERE leaders.until <= :now OR leaders.holder = excluded.holder RETURNING token"
).bindparams(*(bindparam(name, type_=BigInteger) for name in ("now", "until")))


def acquire_lead(conn: Connection, name: str, holder: str, seconds: float) -> int | None:
    """The token, where nobody leads or `holder` itself does."""
    now = database_now(conn)
    c = leaders.c
    # Only to look takes no lock; the statement decides.
    taken = select(c.name).where(c.name == name, c.until > now, c.holder != holder)
    if conn.execute(taken).first() is not None:
        return None
    values = {"name": name, "holder": holder, "now": now, "until": now + _micros(seconds)}
    token: int | None = conn.execute(_ACQUIRE, values).scalar_one_or_none()
    return token


def renew_lead(conn: Connection, name: str, token: int, seconds: float) -> bool:
    """Whether it goes on."""
    now = database_now(conn)
    c, until = leaders.c, now + _micros(seconds)
    renewal = (
        update(leaders)
        .where(c.name == name, c.token == token, c.until > now)
        .values(until=case((c.until > until, c.until), else_=until))
        .returning(c.token)
    )
    return conn.execute(renewal).first() is not None


def release_lead(conn: Connection, name: str, holder: str) -> None:
    """A renewal that is still under way comes too late: of a lease that ran out there is none."""
    c = leaders.c
    conn.execute(update(leaders).where(c.name == name, c.holder == holder).values(until=0))


def current_lead(conn: Connection, name: str) -> LeaderRow | None:
    """Who leads now."""
    c = leaders.c
    now = database_now(conn)
    row = conn.execute(select(c.holder, c.token, c.until).where(c.name == name, c.until > now)).first()
    return None if row is None else LeaderRow(row.holder, row.token, from_micros(row.until))


def _micros(seconds: float) -> int:
    return int(seconds * 1_000_000)

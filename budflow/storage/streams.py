"""The queue in SQL, read as streams: what one workflow has at one priority and limit, oldest first.

A flood of one workflow must not cost time when another is looked for. So nothing here sorts or counts the queue: the
head of every stream is found by jumps in the index `executions_to_claim` (a loose index scan, as in
https://wiki.postgresql.org/wiki/Loose_indexscan), and of the streams that matter only the first few rows are read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import Boolean, ColumnElement, Connection, TextClause, literal_column, text

from budflow.model.identity import utc_now
from budflow.storage.fairness import Candidate
from budflow.storage.rows import Row, to_micros
from budflow.storage.schema import CLAIMABLE, GATE, SINCE, SUSPECTED

#: Of more streams than this a claim looks at a part, and the next claim at the next part.
HEADS_MAX = 2_000
#: At so many suspects a claim looks, those first whose back-off ended first.
SUSPECTS_MAX = 100

#: Settings of a session of PostgreSQL that claims: it keeps to the indexes, and to the plans that it has once made.
#: Statistics lag behind a queue that fills and empties in seconds. With nothing left but the indexes, and one row after
#: the other looked up in them, there is one plan for an empty queue and for a full one; so it is made once for each
#: connection. Planning costs more than all the rest of a claim: 3 ms against 1.
PLANNING: Mapping[str, str] = {
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    **{f"enable_{name}": "off" for name in ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin")},
}

Position = tuple[str, str, str, int]  # Project, workflow, gate and priority: the beginning of the index.
START: Position = ("", "", "", -(2**31))
SQLITE, POSTGRES = "sqlite", "postgresql"

#: Conditions that are spelled out, because a partial index does not serve a parameter.
RUNNING: ColumnElement[bool] = literal_column("executions.status = 'running'", Boolean)
WAITING: ColumnElement[bool] = literal_column("executions.status = 'waiting'", Boolean)
TAKES_ROOM: ColumnElement[bool] = literal_column(
    "executions.limit_key IS NOT NULL AND executions.status IN ('running', 'waiting')", Boolean
)

# Statements. They differ where SQLite must be told its index, and has no LATERAL and no rivals. Only constants of this
# package are put together; values are parameters.

_COLUMNS = f"""e.id, e.project_id, e.workflow_id, e.priority, e.status, e.limit_max,
    {SINCE.format("e.")} AS since, {GATE.format("e.")} AS gate"""
_ACTIVE = f"""CASE WHEN {GATE.format("e.")} = '' THEN 0 ELSE
    (SELECT count(*) FROM executions AS a WHERE a.limit_key = e.limit_key AND a.limit_key IS NOT NULL
     AND a.status IN ('running', 'waiting')) END AS active"""  # noqa: S608 - see above
_DUE = f"({{0}}status = 'queued' OR {SINCE} <= {{now}})"
_LEASE = """UPDATE executions SET status = 'running', runner = :runner, token = executions.token + 1,
    waiting = NULL, wake_at = NULL"""


def _next_head(after: Sequence[str], hint: str) -> str:
    """The id of the head of the next stream: the next priority, else the next gate, workflow or project."""
    names = ("x.project_id", "x.workflow_id", GATE.format("x."), "x.priority")
    order = (*names, SINCE.format("x."), "x.id")
    jumps = (
        f"""(SELECT x.id FROM executions AS x {hint} WHERE {CLAIMABLE.format("x.")}
             AND {" AND ".join(f"{names[i]} {'>' if i == fixed else '='} {after[i]}" for i in range(fixed + 1))}
             ORDER BY {", ".join(order[fixed:])} LIMIT 1)"""  # noqa: S608 - see above
        for fixed in (3, 2, 1, 0)
    )
    return f"coalesce({', '.join(jumps)})"


def _look(hint: str, now: str) -> TextClause:
    """The heads and the suspects at one stroke; suspects have the number 0."""
    here = ("h.project_id", "h.workflow_id", GATE.format("h."), "h.priority")
    return text(
        f"""WITH RECURSIVE head (id, number) AS (
            SELECT {_next_head((":project", ":workflow", ":gate", ":priority"), hint)}, 1
            UNION ALL
            SELECT {_next_head(here, hint)}, head.number + 1
            FROM head JOIN executions AS h ON h.id = head.id WHERE head.number < :heads_max),
        suspected (id) AS (
            SELECT x.id FROM executions AS x WHERE {SUSPECTED.format("x.")} AND x.not_before <= {now}
            AND {_DUE.format("x.", now=now)} ORDER BY x.not_before LIMIT :suspects_max)
        SELECT {_COLUMNS}, {_ACTIVE}, head.number, {now} AS now FROM head JOIN executions AS e ON e.id = head.id
        UNION ALL
        SELECT {_COLUMNS}, {_ACTIVE}, 0, {now} FROM suspected JOIN executions AS e ON e.id = suspected.id"""  # noqa: S608 - see above
    )


def _first_of_stream(hint: str, stream: Sequence[str], limit: str) -> str:
    names = ("x.project_id", "x.workflow_id", GATE.format("x."), "x.priority")
    return f"""SELECT x.id FROM executions AS x {hint} WHERE {CLAIMABLE.format("x.")}
        AND {_DUE.format("x.", now=":now")}
        AND {" AND ".join(f"{name} = {value}" for name, value in zip(names, stream, strict=True))}
        ORDER BY {SINCE.format("x.")}, x.id LIMIT {limit}"""  # noqa: S608 - see above


_INDEX = "INDEXED BY executions_to_claim"
_OF_SQLITE = tuple(f"json_extract(s.value, '$[{i}]')" for i in range(4))
_OF_POSTGRES = ("s.value ->> 0", "s.value ->> 1", "s.value ->> 2", "CAST(s.value ->> 3 AS integer)")
_GIVEN_STREAMS = "jsonb_array_elements(CAST(:streams AS jsonb)) AS s (value)"

_MICROS = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"
_NOW = text(f"SELECT {_MICROS}")
# Of the statement and not of the clock: only what stays the same within a statement can be looked up in an index.
_STATEMENT_MICROS = "CAST(extract(epoch FROM statement_timestamp()) * 1000000 AS bigint)"
_LOOK = {SQLITE: _look(_INDEX, ":now"), POSTGRES: _look("", _STATEMENT_MICROS)}
_STREAMS = {
    SQLITE: text(
        f"""SELECT {_COLUMNS} FROM json_each(:streams) AS s CROSS JOIN executions AS e
        WHERE e.id IN ({_first_of_stream(_INDEX, _OF_SQLITE, ":depth")})"""  # noqa: S608 - see above
    ),
    POSTGRES: text(
        f"""SELECT {_COLUMNS} FROM {_GIVEN_STREAMS}
        CROSS JOIN LATERAL ({_first_of_stream("", _OF_POSTGRES, ":depth")}) AS first
        JOIN executions AS e ON e.id = first.id"""  # noqa: S608 - see above
    ),
}
_TAKE_IDS = text(f"{_LEASE} WHERE id IN (SELECT value FROM json_each(:ids)) RETURNING *")  # noqa: S608 - see above
_TAKE_NAMED = {
    dialect: text(
        f"""{_LEASE} WHERE id = (SELECT x.id FROM executions AS x WHERE x.id = :id AND x.status = 'queued'
        AND x.token = 0 AND x.limit_key IS NULL AND NOT x.cancelling {lock}) RETURNING *"""  # noqa: S608 - see above
    )
    for dialect, lock in ((SQLITE, ""), (POSTGRES, "FOR UPDATE SKIP LOCKED"))
}
_TAKE_STREAMS = text(
    f"""WITH due AS MATERIALIZED (
        SELECT first.id FROM {_GIVEN_STREAMS} CROSS JOIN LATERAL (
            {_first_of_stream("", _OF_POSTGRES, "CAST(s.value ->> 4 AS integer)")} FOR UPDATE SKIP LOCKED) AS first
    ), suspected AS MATERIALIZED (
        SELECT x.id FROM executions AS x WHERE {SUSPECTED.format("x.")}
        AND x.id IN (SELECT jsonb_array_elements_text(CAST(:suspects AS jsonb))) FOR UPDATE SKIP LOCKED)
    {_LEASE} FROM (SELECT id FROM due UNION ALL SELECT id FROM suspected) AS given WHERE executions.id = given.id
    RETURNING executions.*"""  # noqa: S608 - see above
)


@dataclass(frozen=True, slots=True)
class Head:
    """The oldest of a stream. `due` is false where it is a timer's, later than now; `active` counts its limit's."""

    candidate: Candidate
    due: bool
    active: int

    @property
    def position(self) -> Position:
        """The stream's place in the index."""
        return position_of(self.candidate)


@dataclass(frozen=True, slots=True)
class Look:
    """What a claim finds first: heads of streams in the order of the index, and suspects. `now` is 0 with neither."""

    now: int
    heads: Sequence[Head]
    doubtful: Sequence[Head]

    @property
    def limited(self) -> bool:
        """Whether some of it is to pass a limit."""
        return any(head.candidate.gate for head in (*self.heads, *self.doubtful))


def position_of(candidate: Candidate) -> Position:
    """The place of the candidate's stream in the index."""
    return candidate.project_id, candidate.workflow_id, candidate.gate, candidate.priority


def database_now(conn: Connection) -> int:
    """The database's time in microseconds since 1970."""
    if conn.dialect.name == SQLITE:
        return to_micros(utc_now())  # It runs in this process.
    now: int = conn.execute(_NOW).scalar_one()
    return now


def look(conn: Connection, after: Position, *, suspects: bool) -> Look:
    """The heads of up to HEADS_MAX streams behind a position, and with `suspects` those whose back-off is over."""
    values: dict[str, Any] = dict(zip(("project", "workflow", "gate", "priority"), after, strict=True))
    values |= {"heads_max": HEADS_MAX, "suspects_max": SUSPECTS_MAX if suspects else 0}
    if conn.dialect.name == SQLITE:
        values["now"] = database_now(conn)
    now, heads, doubtful = 0, list[tuple[int, Head]](), list[Head]()
    # By their places and not by name: with many workflows these are most of the rows that a claim reads.
    for id_, project, workflow, priority, status, most, since, gate, active, number, now in conn.execute(
        _LOOK[conn.dialect.name], values
    ):
        candidate = Candidate(id_, project, workflow, priority, since, gate, most, suspect=not number)
        if number:
            heads.append((number, Head(candidate, status == "queued" or since <= now, active)))
        else:  # Suspects belong to no stream.
            doubtful.append(Head(candidate, due=True, active=active))
    return Look(now, [head for _, head in sorted(heads, key=itemgetter(0))], doubtful)


def read_streams(conn: Connection, positions: Iterable[Position], depth: int, now: int) -> list[Candidate]:
    """The first `depth` of each stream that are due."""
    streams = orjson.dumps(list(positions)).decode()
    rows = conn.execute(_STREAMS[conn.dialect.name], {"streams": streams, "depth": depth, "now": now}).mappings()
    return [
        Candidate(
            id=row["id"],
            project_id=row["project_id"],
            workflow_id=row["workflow_id"],
            priority=row["priority"],
            since=row["since"],
            gate=row["gate"],
            limit_max=row["limit_max"],
        )
        for row in rows
    ]


def take(conn: Connection, runner: str, chosen: Sequence[Candidate], now: int) -> list[Row]:
    """Lease what was chosen and give the rows after that.

    In PostgreSQL a rival may hold some of it by now. They are passed over, and the next of their streams are taken.
    """
    if conn.dialect.name == SQLITE:
        ids = orjson.dumps([candidate.id for candidate in chosen]).decode()
        return list(conn.execute(_TAKE_IDS, {"runner": runner, "ids": ids}).mappings())
    wanted: dict[Position, int] = {}
    for candidate in chosen:
        if not candidate.suspect:
            wanted[position_of(candidate)] = wanted.get(position_of(candidate), 0) + 1
    values = {
        "runner": runner,
        "now": now,
        "streams": orjson.dumps([(*position, number) for position, number in wanted.items()]).decode(),
        "suspects": orjson.dumps([candidate.id for candidate in chosen if candidate.suspect]).decode(),
    }
    return list(conn.execute(_TAKE_STREAMS, values).mappings())


def take_named(conn: Connection, runner: str, execution_id: str) -> Row | None:
    """Lease one that nobody had yet and no limit holds back, and give its row after that; None where it is not so."""
    values = {"runner": runner, "id": execution_id}
    return next(iter(conn.execute(_TAKE_NAMED[conn.dialect.name], values).mappings()), None)

"""Claims in SQL: leasing what is due to a runner, fairly and within the limits.

Each function takes a connection inside a transaction of the caller; PostgreSQL runs them through `run_sync`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import orjson
from sqlalchemy import Connection, func, select, text, update

from budflow.execution.records import Unbegun
from budflow.model.execution import Claim, Execution
from budflow.storage import streams
from budflow.storage.fairness import SUSPECT_TAKEOVERS, Candidate, Turns
from budflow.storage.rows import execution_of, from_micros
from budflow.storage.schema import executions
from budflow.storage.unbegun import read_unbegun

#: So often a claim looks again when rivals were faster.
ROUNDS_MAX = 5
#: More than any limit: how many run where a rival is just deciding that.
_FULL = 2**31

_TRY_GATES = text(
    "SELECT gate, pg_try_advisory_xact_lock(hashtextextended(gate, 0)) "
    "FROM jsonb_array_elements_text(CAST(:gates AS jsonb)) AS given (gate)"
)


class Claims:
    """What one store claims, and where its turns stand."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._after = streams.START

    def claim(self, conn: Connection, runner: str, limit: int, suspects: int) -> list[tuple[Claim, Execution]]:
        """Lease up to `limit` executions to `runner`, at most `suspects` of them suspects."""
        return self.take(conn, runner, limit, suspects, self.look(conn, suspects))

    def look(self, conn: Connection, suspects: int) -> streams.Look:
        """What is due. Nothing is locked; it is for one `take`."""
        found = streams.look(conn, self._after, suspects=suspects > 0)
        if not found.heads and self._after != streams.START:
            found = streams.look(conn, streams.START, suspects=suspects > 0)
        heads = found.heads
        self._after = heads[-1].position if len(heads) == streams.HEADS_MAX else streams.START
        return replace(found, heads=[head for head in heads if head.due])

    def take(
        self, conn: Connection, runner: str, limit: int, suspects: int, look: streams.Look
    ) -> list[tuple[Claim, Execution]]:
        """Lease of what was found, or of what came behind it since. Without limits it needs no transaction."""
        now, heads, doubtful = look.now, look.heads, look.doubtful
        active = {head.candidate.gate: head.active for head in (*heads, *doubtful)}
        given: list[Execution] = []
        for _ in range(ROUNDS_MAX):
            wanted = self._choose(conn, heads, doubtful, limit - len(given), suspects, now, active)
            chosen = _pass_gates(conn, wanted, active)
            taken = _take(conn, runner, chosen, now) if chosen else []
            self._turns.serve(map(_served, taken), now)
            for execution in taken:
                suspects -= execution.takeovers >= SUSPECT_TAKEOVERS
                if execution.limit is not None and execution.limit.key in active:
                    active[execution.limit.key] += 1
            given += taken
            if len(taken) == len(wanted):  # Nobody came in between, and more is not due.
                break
            heads = _left(heads, chosen, taken)
            doubtful = [head for head in doubtful if head.candidate not in chosen]
        return [(Claim(execution.id, runner, execution.token), execution) for execution in given]

    def _choose(
        self,
        conn: Connection,
        heads: Sequence[streams.Head],
        doubtful: Sequence[streams.Head],
        limit: int,
        suspects: int,
        now: int,
        active: dict[str, int],
    ) -> list[Candidate]:
        free = [head.candidate for head in heads if head.candidate.has_room(active)]
        oldest = self._turns.first_heads(free, limit, now)
        if not doubtful and not any(head.gate for head in oldest):
            if len(oldest) == 1 and conn.dialect.name != streams.SQLITE:
                return oldest * limit  # As many of its stream: who they are is found out by taking them.
            if self._turns.are_enough(oldest, limit, now):
                return self._turns.choose(oldest, limit=limit, suspects=0, now=now, active=active)
        positions = [streams.position_of(head) for head in oldest]
        depth = 1 + limit // max(1, len(positions))
        while True:
            first = streams.read_streams(conn, positions, depth, now) if positions else []
            candidates = [*first, *(head.candidate for head in doubtful)]
            chosen = self._turns.choose(candidates, limit=limit, suspects=suspects, now=now, active=active)
            if depth >= limit or not _used_up(first, chosen, depth):
                return chosen
            depth = min(limit, depth * 4)


def reclaim_execution(conn: Connection, runner: str, execution_id: str) -> tuple[Claim, Execution] | None:
    """Lease what `runner` holds already anew, with a higher token."""
    c = executions.c
    row = conn.execute(
        update(executions)
        .where(c.id == execution_id, c.runner == runner, streams.RUNNING)
        .values(token=c.token + 1)
        .returning(*c)
    ).mappings()
    execution = next(map(execution_of, row), None)
    return None if execution is None else (Claim(execution.id, runner, execution.token), execution)


def claim_queued(conn: Connection, runner: str, execution_id: str) -> tuple[Claim, Execution, Unbegun] | None:
    """Lease one of which is known that it was just queued, with what is stored of it. It needs no transaction."""
    row = streams.take_named(conn, runner, execution_id)
    if row is None:
        return None
    execution = execution_of(row)
    return Claim(execution.id, runner, execution.token), execution, read_unbegun(conn, [execution.id])[execution.id]


def next_wake(conn: Connection) -> datetime | None:
    """The earliest time at which something that waits may be claimed."""
    first = conn.execute(select(func.min(executions.c.wake_at)).where(streams.WAITING)).scalar()
    return None if first is None else from_micros(first)


def _pass_gates(conn: Connection, chosen: list[Candidate], active: dict[str, int]) -> list[Candidate]:
    """Those of the chosen that their limits still let through; `active` is brought up to date.

    In PostgreSQL two claimers could each see the last free place of a limit. Whoever fills one, by a claim or by an
    admission, holds an advisory lock on its key until the commit, and counts after taking it, in a statement of its
    own: a statement sees only what was committed before it began. A limit that a rival holds counts as full instead
    of being waited for.
    """
    gates = sorted({candidate.gate for candidate in chosen if candidate.gate})
    if conn.dialect.name == streams.SQLITE or not gates:
        return chosen
    locks = conn.execute(_TRY_GATES, {"gates": orjson.dumps(gates).decode()})
    held = {gate for gate, locked in locks if locked}
    c = executions.c
    counted = conn.execute(
        select(c.limit_key, func.count()).where(c.limit_key.in_(held), streams.TAKES_ROOM).group_by(c.limit_key)
    )
    active.update({gate: 0 if gate in held else _FULL for gate in gates})
    for gate, number in counted:
        active[gate] = number
    passed, taken = [], dict(active)
    for candidate in chosen:
        if candidate.has_room(taken):
            passed.append(candidate)
            taken[candidate.gate] = taken.get(candidate.gate, 0) + 1
    return passed


def _take(conn: Connection, runner: str, chosen: Sequence[Candidate], now: int) -> list[Execution]:
    places: dict[str, int] = {}
    for place, candidate in enumerate(chosen):
        places.setdefault(candidate.id, place)
    taken = map(execution_of, streams.take(conn, runner, chosen, now))
    return sorted(
        taken, key=lambda execution: (places.get(execution.id, len(chosen)), execution.created_at, execution.id)
    )


def _left(heads: Sequence[streams.Head], chosen: Sequence[Candidate], taken: Sequence[Execution]) -> list[streams.Head]:
    """The heads without the streams that gave less than was asked of them: a rival has the rest."""
    missing = Counter(candidate.stream for candidate in chosen)
    missing.subtract(_served(execution).stream for execution in taken)
    return [head for head in heads if missing[head.candidate.stream] <= 0]


def _used_up(first: Sequence[Candidate], chosen: Sequence[Candidate], depth: int) -> bool:
    """Whether all that was read of a stream was chosen, so that more of it might be."""
    ids = {candidate.id for candidate in chosen}
    used = Counter(streams.position_of(candidate) for candidate in first if candidate.id in ids)
    return any(number >= depth for number in used.values())


def list_leased(conn: Connection, runner: str) -> list[str]:
    """The ids of what `runner` holds."""
    c = executions.c
    return list(conn.execute(select(c.id).where(c.runner == runner, streams.RUNNING)).scalars())


def give_back(conn: Connection, runner: str) -> None:
    """Queue what `runner` holds, which stops: none of it is to blame."""
    c = executions.c
    conn.execute(
        update(executions)
        .where(c.runner == runner, streams.RUNNING)
        .values(status="queued", runner=None, token=c.token + 1)
    )


def _served(execution: Execution) -> Candidate:
    return Candidate(execution.id, execution.project_id, execution.workflow_id, execution.priority, 0)

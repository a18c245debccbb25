"""What is stored of executions that were just claimed and never began: of all of them in one statement.

A second one reads signals, which hardly any of them has.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import orjson
from sqlalchemy import Connection, text

from budflow.execution.records import Signal, Unbegun
from budflow.model.event import StoredEvent
from budflow.storage.rows import event_of, signal_of

# The ids are one value, as JSON, so that there is one statement however many they are.
_GIVEN = {
    "sqlite": "(SELECT value AS id FROM json_each(:ids)) AS given",
    "postgresql": "jsonb_array_elements_text(CAST(:ids AS jsonb)) AS given (id)",
}
_EVENTS = {
    dialect: text(
        f"""SELECT EXISTS (SELECT 1 FROM signals AS s WHERE s.execution_id = given.id),
        e.execution_id, e.seq, e.type, e.version, e.at, e.encoding, e.payload
        FROM {given} JOIN events AS e ON e.execution_id = given.id ORDER BY e.execution_id, e.seq"""  # noqa: S608 - constants
    )
    for dialect, given in _GIVEN.items()
}
_SIGNALS = {
    dialect: text(
        f"""SELECT s.* FROM {given} JOIN signals AS s ON s.execution_id = given.id
        ORDER BY s.execution_id, s.at, s.key"""  # noqa: S608 - constants
    )
    for dialect, given in _GIVEN.items()
}


def read_unbegun(conn: Connection, execution_ids: Sequence[str]) -> Mapping[str, Unbegun]:
    """By the id of each."""
    ids = {"ids": orjson.dumps(list(execution_ids)).decode()}
    events: defaultdict[str, list[StoredEvent]] = defaultdict(list)
    signalled = False
    for has_signals, execution_id, *row in conn.execute(_EVENTS[conn.dialect.name], ids):
        signalled = signalled or bool(has_signals)
        events[execution_id].append(event_of(row))
    signals: defaultdict[str, list[Signal]] = defaultdict(list)
    for signal in map(signal_of, conn.execute(_SIGNALS[conn.dialect.name], ids).mappings()) if signalled else ():
        signals[signal.execution_id].append(signal)
    return {id_: Unbegun(tuple(events[id_]), tuple(signals[id_])) for id_ in execution_ids}

"""How many statements a group of writes costs: the hot path must not pay for what it does not use."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import Engine, event as sqlalchemy_event

from budflow.execution.records import JournalWrite, TriggerKey
from budflow.model.execution import Claim
from budflow.services.ports import Store
from budflow.storage.postgres.store import PostgresStore
from budflow.storage.sqlite.store import SqliteStore
from tests.storage.conftest import OpenStore
from tests.storage.journals import end, event, execution, running, signal, use


@pytest.fixture
async def sql_store(open_again: OpenStore) -> Store:
    return await open_again()


@pytest.fixture
async def statements(sql_store: Store) -> AsyncIterator[list[str]]:
    """The first two words of every statement that the store executes."""
    seen: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        words = statement.split()
        seen.append(" ".join(words[:3] if words[0] == "INSERT" else words[:1]))

    engine = _engine_of(sql_store)
    sqlalchemy_event.listen(engine, "before_cursor_execute", note)
    yield seen
    sqlalchemy_event.remove(engine, "before_cursor_execute", note)


def _engine_of(store: Store) -> Engine:
    if isinstance(store, SqliteStore):
        return store._engines[0]
    assert isinstance(store, PostgresStore)
    return store._engine.sync_engine


def without_transaction(statements: list[str]) -> list[str]:
    return [statement for statement in statements if statement not in ("BEGIN", "COMMIT")]


async def test_events_alone_cost_two_statements(sql_store: Store, statements: list[str]) -> None:
    claim = await running(sql_store)
    statements.clear()

    await sql_store.append(JournalWrite(claim, (event(1),)))

    assert without_transaction(statements) == ["SELECT", "INSERT INTO events"]


#: PostgreSQL changes the row by the statement that inserts the events.
ENDS = {SqliteStore: ["SELECT", "UPDATE", "INSERT INTO events"], PostgresStore: ["SELECT", "WITH"]}


async def test_an_end_costs_one_more_at_most(sql_store: Store, statements: list[str]) -> None:
    claim = await running(sql_store)
    statements.clear()

    await sql_store.append(end(claim))

    assert without_transaction(statements) == ENDS[type(sql_store)]


#: SQLite inserts into one table at a time.
INSERTS = {SqliteStore: ["INSERT INTO executions", "INSERT INTO events"], PostgresStore: ["WITH"]}


async def test_a_whole_execution_in_one_write_costs_its_rows_alone(sql_store: Store, statements: list[str]) -> None:
    new = execution()
    events = (event(0), event(1, "execution.started"), event(2), event(3, "execution.finished"))

    await sql_store.append(JournalWrite(Claim(new.id, "r1", 1), events, new, "succeeded"))

    assert without_transaction(statements) == INSERTS[type(sql_store)]


#: PostgreSQL inserts into all tables by one statement.
INSERTS_WITH_USES = {
    SqliteStore: ["INSERT INTO events", "INSERT INTO credential_uses"],
    PostgresStore: ["WITH"],
}


async def test_the_uses_of_a_group_cost_one_statement_at_most(sql_store: Store, statements: list[str]) -> None:
    claim = await running(sql_store)
    statements.clear()

    uses = tuple(use(claim, slot=f"s{number}") for number in range(10))
    await sql_store.append(JournalWrite(claim, (event(1),), uses=uses))

    assert without_transaction(statements) == ["SELECT", *INSERTS_WITH_USES[type(sql_store)]]


async def test_only_what_is_used_is_paid_for(sql_store: Store, statements: list[str]) -> None:
    claim = await running(sql_store)
    statements.clear()

    await sql_store.append(JournalWrite(claim, (event(1),), signals=(signal(claim.execution_id),)))
    await sql_store.admit(execution(), [event(0)], TriggerKey("default", "order-1", "f1"))

    assert without_transaction(statements) == [
        *("SELECT", "INSERT INTO events", "INSERT INTO signals"),
        *("SELECT", *INSERTS[type(sql_store)], "INSERT INTO trigger_keys"),
    ]

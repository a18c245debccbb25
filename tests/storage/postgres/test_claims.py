import asyncio
import re

import asyncpg
import pytest
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from budflow.model.execution import Limit
from budflow.storage import streams
from budflow.storage.postgres.store import PostgresStore
from tests.storage.journals import queued

pytestmark = pytest.mark.postgres


async def test_two_servers_keep_a_limit_together(postgres_url: str) -> None:
    stores = [await PostgresStore.open(postgres_url) for _ in range(2)]
    for key in range(3):
        await asyncio.gather(*(queued(stores[0], limit=Limit(f"wf_a:{key}", 2)) for _ in range(20)))

    taken = await asyncio.gather(*(stores[i % 2].claim(f"r{i}", limit=4) for i in range(8)))
    taken.append(await stores[0].claim("last", limit=100))

    given = [execution.limit.key for claims in taken for _, execution in claims if execution.limit is not None]
    assert sorted(given) == ["wf_a:0", "wf_a:0", "wf_a:1", "wf_a:1", "wf_a:2", "wf_a:2"]
    for store in stores:
        await store.close()


async def test_claimers_at_once_all_get_their_share_of_a_long_queue(postgres_url: str) -> None:
    stores = [await PostgresStore.open(postgres_url) for _ in range(2)]
    for i in range(200):
        await queued(stores[0], workflow_id=f"wf_{i % 2}")

    taken = await asyncio.gather(*(stores[i % 2].claim(f"r{i}", limit=20) for i in range(8)))

    ids = [claim.execution_id for claims in taken for claim, _ in claims]
    assert len(ids) == len(set(ids)) == 160
    for store in stores:
        await store.close()


async def test_the_plans_of_a_claim_keep_to_the_indexes_though_they_are_made_for_an_empty_queue(
    postgres_url: str,
) -> None:
    """They are made once a connection, and the queue may be long by then."""
    await (await PostgresStore.open(postgres_url)).close()
    statements = (*(both["postgresql"] for both in (streams._LOOK, streams._STREAMS)), streams._TAKE_STREAMS)
    plans = []
    connection = await asyncpg.connect(postgres_url, server_settings=dict(streams.PLANNING))
    for number, statement in enumerate(statements):
        sql = str(statement.compile(dialect=dialect()))  # type: ignore[no-untyped-call] # SQLAlchemy does not type it
        values = ", ".join(["NULL"] * max(map(int, re.findall(r"\$(\d+)", sql))))
        await connection.execute(f"PREPARE claim_{number} AS {sql}")
        explained = await connection.fetch(f"EXPLAIN EXECUTE claim_{number}({values})")
        plans.append("\n".join(row[0] for row in explained))
    await connection.close()

    for plan in plans:
        scans = re.findall(r"(\w+(?: \w+)* Scan)[^\n]* on executions\b", plan)
        assert scans
        assert {*scans} <= {"Index Scan", "Index Only Scan"}
        assert not re.search("Hash|Merge Join", plan)

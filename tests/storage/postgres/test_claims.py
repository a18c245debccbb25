import asyncio

import pytest

from budflow.model.execution import Limit
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

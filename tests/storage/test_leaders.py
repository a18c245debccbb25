"""What was asked of the lease on leading, and given up, may still come: it shortens nothing that its asker has now."""

import pytest

from budflow.services.ports import Store
from tests.storage.conftest import OpenStore
from tests.until import until

LONG, OVERTAKEN = 60.0, 0.0


@pytest.fixture
async def store(open_again: OpenStore) -> Store:
    return await open_again()


async def test_an_older_wish_to_lead_that_comes_late_lets_nobody_else_lead(store: Store) -> None:
    await store.acquire_lead("main", "a", seconds=LONG)
    await store.acquire_lead("main", "a", seconds=OVERTAKEN)

    assert await store.acquire_lead("main", "b", seconds=LONG) is None


async def test_an_older_renewal_that_comes_late_lets_nobody_else_lead(store: Store) -> None:
    token = await store.acquire_lead("main", "a", seconds=LONG)
    assert token is not None
    assert await store.renew_lead("main", token, seconds=OVERTAKEN)

    assert await store.acquire_lead("main", "b", seconds=LONG) is None


async def test_a_lease_that_ran_out_is_anybodys(store: Store) -> None:
    await store.acquire_lead("main", "a", seconds=OVERTAKEN)

    await until(lambda: store.acquire_lead("main", "b", seconds=LONG))

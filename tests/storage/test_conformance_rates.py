"""Rates that executions share: turns are evenly spaced, whoever takes them."""

from datetime import timedelta

import pytest

from budflow.execution.records import RateAsk
from budflow.model.identity import utc_now
from budflow.services.ports import Store
from budflow.storage.errors import TextRefused


def ask(amount: int = 1, key: str = "api") -> RateAsk:
    return RateAsk("limit", 0, key, amount, 10, 1.0)


async def test_turns_are_spaced_behind_one_another(store: Store) -> None:
    began = utc_now()
    first = await store.reserve("default", ask(3))
    second = await store.reserve("default", ask(2))

    assert timedelta(0) <= first - began - timedelta(seconds=0.2) < timedelta(seconds=1)
    assert second - first == timedelta(seconds=0.2)


async def test_keys_and_projects_have_rates_of_their_own(store: Store) -> None:
    await store.reserve("default", ask(1_000))
    for project, key in (("default", "other"), ("elsewhere", "api")):
        assert await store.reserve(project, ask(key=key)) - utc_now() < timedelta(seconds=1)


@pytest.mark.parametrize("key", ["a\x00b", "\ud800"])
async def test_a_key_that_no_database_can_keep_is_refused(store: Store, key: str) -> None:
    with pytest.raises(TextRefused):
        await store.reserve("default", ask(key=key))

"""Many who work with the same credentials at once, through two mains, over every adapter."""

import os
from pathlib import Path

import pytest

from budflow.services.ports import Store
from tests.services.credentials import open_services
from tests.storage.credential_campaign import Campaign

pytestmark = pytest.mark.generated

#: How many campaigns each adapter goes through.
SEEDS = int(os.environ.get("BUDFLOW_CREDENTIAL_CAMPAIGNS", "2"))


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_nothing_is_lost_mixed_or_used_after_its_end(store: Store, tmp_path: Path, seed: int) -> None:
    async with open_services() as services:
        campaign = Campaign(services, store, tmp_path / "keys", seed)
        await campaign.run()

    # It is a campaign only where all of it happened.
    assert campaign.done.keys() == {
        *("created", "deleted", "changed", "renamed", "granted", "answered", "rotated", "used")
    }

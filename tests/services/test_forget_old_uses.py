import asyncio
from datetime import datetime, timedelta

from budflow.execution.records import JournalWrite
from budflow.model.execution import Claim
from budflow.model.identity import utc_now
from budflow.services.forget_old_uses import forget_old_uses
from budflow.settings import Settings
from budflow.storage.errors import StorageUnavailable
from budflow.storage.memory.store import MemoryStore
from tests.storage.journals import credential_request, event, execution, use
from tests.until import until


class Flaky(MemoryStore):
    """Its database is away at first."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    async def delete_old_uses(self, before: datetime) -> None:
        self.calls += 1
        if self.calls == 1:
            raise StorageUnavailable
        await super().delete_old_uses(before)


async def test_what_is_older_than_the_audit_is_kept_goes_and_the_rest_stays() -> None:
    store, new = Flaky(), execution()
    claim = Claim(new.id, "r1", 1)
    kept_seconds = Settings().credential_uses_seconds
    past = utc_now() - timedelta(seconds=kept_seconds + 1)
    uses = (use(claim, slot="old", used_at=past), use(claim, slot="young", used_at=past + timedelta(seconds=60)))
    await store.append(JournalWrite(claim, (event(0),), admission=new, uses=uses))
    request = credential_request(expires_at=past)
    await store.add_credential_request(request)

    sweeping = asyncio.create_task(forget_old_uses(store, kept_seconds, seconds=0.001))

    async def gone() -> bool:
        return await store.get_credential_request(request.token_hash) is None

    await until(gone)
    sweeping.cancel()
    page = await store.list_credential_uses("default", "crd_a", limit=10)
    assert [one.slot for one in page.uses] == ["young"]


def test_the_audit_is_kept_for_a_year_unless_it_is_said_otherwise() -> None:
    assert timedelta(seconds=Settings().credential_uses_seconds) == timedelta(days=365)

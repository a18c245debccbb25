from datetime import timedelta

import pytest

from budflow.execution.records import JournalWrite
from budflow.model.execution import Claim
from budflow.model.identity import utc_now
from budflow.services.duties import forget_old_uses as module
from budflow.settings import Settings
from budflow.storage.memory.store import MemoryStore
from tests.services.duties.duty import performing, services
from tests.storage.journals import credential_request, event, execution, use
from tests.until import until


async def test_what_is_older_than_the_audit_is_kept_goes_and_the_rest_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.001)
    store, new = MemoryStore(), execution()
    claim = Claim(new.id, "r1", 1)
    past = utc_now() - timedelta(seconds=Settings().credential_uses_seconds + 1)
    uses = (use(claim, slot="old", used_at=past), use(claim, slot="young", used_at=past + timedelta(seconds=60)))
    await store.append(JournalWrite(claim, (event(0),), admission=new, uses=uses))
    request = credential_request(expires_at=past)
    await store.add_credential_request(request)

    async def gone() -> bool:
        return await store.get_credential_request(request.token_hash) is None

    async with performing(module.forget_old_uses, services(store=store, settings=Settings())):
        await until(gone)

    page = await store.list_credential_uses("default", "crd_a", limit=10)
    assert [one.slot for one in page.uses] == ["young"]


def test_the_audit_is_kept_for_a_year_unless_it_is_said_otherwise() -> None:
    assert timedelta(seconds=Settings().credential_uses_seconds) == timedelta(days=365)

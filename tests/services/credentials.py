"""What the tests of the use cases of credentials share: real services over a store in memory, and principals."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from budflow.app import open_temporary
from budflow.model.credential import CredentialRecord
from budflow.model.credential_kind import OpenCredential, Probed
from budflow.model.http import HttpRequest
from budflow.model.principal import OWNER, Principal
from budflow.services.create_credential import CreateCredential, create_credential
from budflow.services.credential_views import CredentialView
from budflow.services.update_credential import UpdateCredential, update_credential
from budflow.services.use_case import Services
from budflow.settings import Settings

CANARY = "canary-4f1d9b7e02a6"
OTHER = "canary-other-91c2"
PUBLIC_URL = "https://flows.example"

ADA = replace(OWNER, id="ada")
BOB = replace(OWNER, id="bob")
#: Somebody of another project.
EVE = replace(OWNER, id="eve", project_id="elsewhere")


@dataclass
class FakeProber:
    """Answers what a test wants, and knows what it was asked."""

    probed: Probed = field(default_factory=lambda: Probed(True, "Fine."))
    asked: list[tuple[OpenCredential, HttpRequest | None]] = field(default_factory=list)

    async def probe(self, credential: OpenCredential, request: HttpRequest | None) -> Probed:
        self.asked.append((credential, request))
        return self.probed


class Interleaving:
    """A store before and after each call of which all others go on, as they do with a database."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)

        async def called(*args: Any, **options: Any) -> Any:
            await asyncio.sleep(0)
            result = await call(*args, **options)
            await asyncio.sleep(0)
            return result

        return called


@asynccontextmanager
async def open_services(**settings: Any) -> AsyncIterator[Services]:
    """Everything as a server has it, but for the prober; the store lets others go on."""
    async with open_temporary(Settings(**{"public_url": PUBLIC_URL, **settings})) as runtime:
        yield replace(runtime.services, store=Interleaving(runtime.services.store), prober=FakeProber())


async def create(services: Services, principal: Principal = ADA, **different: Any) -> CredentialView:
    """Store a credential of the kind `bearer`."""
    ordinary: Mapping[str, Any] = {
        "kind": "bearer",
        "name": "crm-token",
        "values": {"token": CANARY},
        "hosts": ["crm.example"],
    }
    return await create_credential(services, principal, CreateCredential.model_validate({**ordinary, **different}))


async def update(services: Services, principal: Principal = ADA, **changes: Any) -> CredentialView:
    """Change what `create` stored."""
    return await update_credential(
        services, principal, UpdateCredential.model_validate({"credential": "crm-token", **changes})
    )


async def stored(services: Services, reference: str = "crm-token") -> tuple[CredentialRecord, dict[str, Any]]:
    """A credential as it is at rest, and its values."""
    record = await services.store.get_credential("default", reference)
    assert record is not None
    return record, orjson.loads(services.cipher.open(record))

"""A resolver with all that is behind it, counting what it asks for."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar

from pydantic import Field

from budflow.credentials.cipher import AesCipher
from budflow.credentials.find_kinds import find_kinds
from budflow.credentials.resolve import Resolver
from budflow.execution.ports import CredentialUser
from budflow.model.credential import (
    CredentialRecord,
)
from budflow.model.credential_kind import CredentialKind
from budflow.model.secret import Secret, SecretText
from budflow.services.credential_ports import Kinds
from budflow.storage.memory.store import MemoryStore
from tests.credentials.samples import FakeClock, given_cipher, sealed_record

USER = CredentialUser("default", "wf_1", "ada")


class Mute(CredentialKind):
    """A kind that signs nothing."""

    name: ClassVar[str] = "mute"
    token: Annotated[Secret, SecretText()] = Field(description="Anything.")


KINDS: Kinds = {**find_kinds(), "mute": Mute}


class CountingStore(MemoryStore):
    """A store that counts, and answers only when a test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.open = asyncio.Event()
        self.open.set()

    async def get_credential(self, project_id: str, reference: str) -> CredentialRecord | None:
        self.reads += 1
        record = await super().get_credential(project_id, reference)
        await self.open.wait()
        return record


class CountingCipher(AesCipher):
    """The real one, counting."""

    opened = 0

    def open(self, record: CredentialRecord) -> bytes:
        self.opened += 1
        return super().open(record)


@dataclass
class World:
    """A resolver with all that is behind it."""

    store: CountingStore = field(default_factory=CountingStore)
    cipher: CountingCipher = field(default_factory=lambda: CountingCipher(given_cipher(1)._ring))
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.resolver = Resolver(self.store, self.cipher, KINDS, clock=self.clock)

    async def add(self, **different: object) -> CredentialRecord:
        record = sealed_record(self.cipher, **different)  # type: ignore[arg-type] # by name
        await self.store.add_credential(record)
        return record

    async def change(self, record: CredentialRecord, **different: object) -> CredentialRecord:
        changed = replace(record, **different)  # type: ignore[arg-type] # by name
        await self.store.update_credential(changed, expected=record)
        return changed

    @property
    def counts(self) -> tuple[int, int]:
        """How often a row was read, and a value decrypted."""
        return self.store.reads, self.cipher.opened

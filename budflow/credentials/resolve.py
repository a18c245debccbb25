"""Opening credentials for nodes: who may have one is asked for each call, and what is decrypted is kept for a while."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from budflow.execution.ports import CredentialUser
from budflow.model.credential import CredentialNotFound, CredentialRecord, CredentialRefused, CredentialUnfit
from budflow.model.credential_kind import OpenCredential
from budflow.services.credential_ports import Cipher, EncryptionKeyMissing, Kinds
from budflow.services.credential_seal import kind_of, opened

#: How old a row may be that is decided by: what another process revokes or deletes works on until then.
FRESH_SECONDS = 2.0
#: Decrypted values that nobody used for so long are forgotten.
UNUSED_SECONDS = 300.0
KEPT_MAX = 1_000

_Key = tuple[str, str]
_Asker = tuple[str, str, tuple[str, ...]]  # A workflow, its author, and the kinds that the slot takes.


class CredentialRows(Protocol):
    """The part of the store that is needed here."""

    async def get_credential(self, project_id: str, reference: str) -> CredentialRecord | None:
        """The one with this name or id."""
        ...


class _Row(NamedTuple):
    """What was read, and to whom it was given since: while the row is fresh, their rights cannot change."""

    record: CredentialRecord
    read_at: float
    given: dict[_Asker, OpenCredential]


@dataclass
class _Kept:
    record: CredentialRecord
    opened: OpenCredential
    used_at: float


class Resolver:
    """Opens credentials for the nodes of one runner, in whose memory alone the values are."""

    def __init__(
        self, store: CredentialRows, cipher: Cipher, kinds: Kinds, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` counts seconds."""
        self._store, self._cipher, self._kinds, self._clock = store, cipher, kinds, clock
        self._rows: OrderedDict[_Key, _Row] = OrderedDict()
        self._reads: dict[_Key, asyncio.Task[CredentialRecord | None]] = {}
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._sweep: asyncio.TimerHandle | None = None

    async def open(self, user: CredentialUser, reference: str, kinds: tuple[str, ...]) -> OpenCredential:
        """Decrypt the credential with this name or id for one call; see CredentialSource."""
        key, asker = (user.project_id, reference), (user.workflow_id, user.author, kinds)
        row = self._fresh(key)
        if row is not None and (given := row.given.get(asker)) is not None and given.id in self._kept:
            self._kept.move_to_end(given.id)
            return given
        record = await self._read(key) if row is None else row.record
        try:
            given = self._opened(self._allowed(user, reference, kinds, record))
        except EncryptionKeyMissing:
            # A rotation may have wrapped it anew after the row was read, and dropped the key that the row names.
            self._rows.pop(key, None)
            self._reads.pop(key, None)
            record = await self._read(key)
            given = self._opened(self._allowed(user, reference, kinds, record))
        if (row := self._rows.get(key)) is not None and row.record is record:
            row.given[asker] = given
        return given

    def forget(self, credential_id: str) -> None:
        """The next use of the credential reads it anew: it was changed or deleted here."""
        for key in [key for key, row in self._rows.items() if row.record.id == credential_id]:
            del self._rows[key]
        self._reads.clear()  # A read that is under way may bring what was there before; nobody joins it any more.
        self._kept.pop(credential_id, None)

    def forget_unused(self) -> None:
        """Forget the values that nobody used for UNUSED_SECONDS; a timer does it as well."""
        since = self._clock() - UNUSED_SECONDS
        while self._kept and next(iter(self._kept.values())).used_at <= since:
            self._kept.popitem(last=False)
        self._rows = OrderedDict((key, row) for key, row in self._rows.items() if row.read_at > since)
        self._sweep = None
        self._sweep_later()

    def _fresh(self, key: _Key) -> _Row | None:
        row = self._rows.get(key)
        return row if row is not None and self._clock() - row.read_at <= FRESH_SECONDS else None

    async def _read(self, key: _Key) -> CredentialRecord | None:
        """The row from the store; who asks while it is being read gets the same answer."""
        reading = self._reads.get(key)
        if reading is None:
            reading = self._reads[key] = asyncio.create_task(self._read_alone(key))
            reading.add_done_callback(_take_error)
        # A caller that is cancelled must not take the answer from the others.
        return await asyncio.shield(reading)

    async def _read_alone(self, key: _Key) -> CredentialRecord | None:
        started, me = self._clock(), asyncio.current_task()
        try:
            record = await self._store.get_credential(*key)
            if self._reads.get(key) is me:
                self._keep_row(key, record, started)
            return record
        finally:
            if self._reads.get(key) is me:
                del self._reads[key]

    def _keep_row(self, key: _Key, record: CredentialRecord | None, read_at: float) -> None:
        # That there is none is not kept: it may be made in the next moment, under an id nobody could forget.
        self._rows.pop(key, None)
        if record is not None:
            self._rows[key] = _Row(record, read_at, {})
            if len(self._rows) > KEPT_MAX:
                self._rows.popitem(last=False)

    def _allowed(
        self, user: CredentialUser, reference: str, kinds: tuple[str, ...], record: CredentialRecord | None
    ) -> CredentialRecord:
        """The record, where it may be used. Raises CredentialNotFound, CredentialRefused, CredentialUnfit."""
        if record is None or record.project_id != user.project_id:
            raise CredentialNotFound(f"There is no credential `{reference}`.", credential=reference)
        if not record.grants.allow(workflow_id=user.workflow_id, author=user.author):
            raise CredentialRefused(
                f"The workflow {user.workflow_id}, saved by `{user.author}`, may not use the credential "
                f"`{record.name}`.",
                credential=record.name,
            )
        self._require_kind(record, kinds)
        return record

    def _require_kind(self, record: CredentialRecord, kinds: tuple[str, ...]) -> None:
        if not kind_of(record, self._kinds).fits(kinds):
            taken = ", ".join(kinds) or "kinds that sign requests"
            raise CredentialUnfit(
                f"The credential `{record.name}` is of the kind {record.kind}, and here only {taken} can be used.",
                credential=record.name,
            )

    def _opened(self, record: CredentialRecord) -> OpenCredential:
        now = self._clock()
        kept = self._kept.get(record.id)
        if kept is None or (kept.record is not record and _sealed_part(kept.record) != _sealed_part(record)):
            kept = self._kept[record.id] = _Kept(record, opened(record, self._kinds, self._cipher), now)
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
            self._sweep_later()
        kept.record, kept.used_at = record, now
        self._kept.move_to_end(record.id)
        return kept.opened

    def _sweep_later(self) -> None:
        if self._kept and self._sweep is None:
            due_in = next(iter(self._kept.values())).used_at + UNUSED_SECONDS - self._clock()
            self._sweep = asyncio.get_running_loop().call_later(due_in, self.forget_unused)


def _sealed_part(record: CredentialRecord) -> tuple[object, ...]:
    """All that the opened credential is made from; how its data key is wrapped may change under it."""
    return record.project_id, record.kind, record.name, record.revision, record.hosts, record.sealed.box


def _take_error(reading: asyncio.Task[CredentialRecord | None]) -> None:
    # Where every caller was cancelled nobody else asks for it, and asyncio would complain.
    if not reading.cancelled():
        reading.exception()

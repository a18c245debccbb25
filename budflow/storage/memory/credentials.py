"""Credentials, requests for them and their audit in memory; budflow.storage.credentials does the same in SQL."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from budflow.model.credential import (
    CredentialNameTaken,
    CredentialNotFound,
    CredentialRecord,
    CredentialRequest,
    CredentialUse,
    Sealed,
)
from budflow.services.credential_ports import CredentialsPage, RequestUsed, TooManyRequests, UsesPage
from budflow.storage.credential_rows import (
    behind,
    changed,
    credential_of,
    credential_values,
    cursor_of,
    request_of,
    request_values,
)
from budflow.storage.errors import WriteConflict
from budflow.storage.rows import refuse_unstorable, to_micros


@dataclass(slots=True)
class CredentialTables:
    """Credentials and requests are by id; uses by their numbers, in the order in which they were written."""

    credentials: dict[str, CredentialRecord] = field(default_factory=dict)
    requests: dict[str, CredentialRequest] = field(default_factory=dict)
    uses: dict[int, CredentialUse] = field(default_factory=dict)
    used: int = 0

    def add_uses(self, uses: list[CredentialUse]) -> None:
        """Write the audit on."""
        for use in uses:
            self.used += 1
            self.uses[self.used] = use


def add_credential(tables: CredentialTables, record: CredentialRecord, request_id: str | None) -> None:
    """Insert one; with `request_id` it answers the request. Raises CredentialNameTaken, RequestUsed, TextRefused."""
    new = _kept(record)
    _refuse_taken(tables, new)
    request = None if request_id is None else tables.requests.get(request_id)
    if request_id is not None:
        if request is None or request.project_id != new.project_id:
            raise RequestUsed
        if request.credential_id is not None or request.expires_at <= new.created_at:
            raise RequestUsed
    if new.id in tables.credentials:
        raise WriteConflict("The credential's id is taken.")
    tables.credentials[new.id] = new
    if request is not None:
        tables.requests[request.id] = replace(request, credential_id=new.id)


def get_credential(tables: CredentialTables, project_id: str, reference: str) -> CredentialRecord | None:
    """The one of the project with this name or id."""
    mine = (one for one in tables.credentials.values() if one.project_id == project_id)
    return next((one for one in mine if reference in (one.id, one.name)), None)


def list_credentials(
    tables: CredentialTables, project_id: str, limit: int, cursor: str | None, kind: str | None, name: str | None
) -> CredentialsPage:
    """One page, by name."""
    refuse_unstorable(cursor=cursor, kind=kind, name=name)
    part = (name or "").lower()
    found = sorted(
        (
            one
            for one in tables.credentials.values()
            if one.project_id == project_id
            and kind in (None, one.kind)
            and part in one.name
            and (cursor is None or one.name > cursor)
        ),
        key=lambda one: one.name,
    )
    return CredentialsPage(tuple(found[:limit]), found[limit - 1].name if len(found) > limit else None)


def update_credential(tables: CredentialTables, record: CredentialRecord, expected: CredentialRecord) -> None:
    """Replace one, if it is as expected but for how its data key is wrapped.

    Raises CredentialConflict, CredentialNotFound, CredentialNameTaken, TextRefused.
    """
    stored = tables.credentials.get(expected.id)
    if stored is None or stored.project_id != expected.project_id:
        raise CredentialNotFound(credential=expected.name)
    new = _kept(changed(stored, record, expected=expected))
    _refuse_taken(tables, new)
    tables.credentials[expected.id] = new


def delete_credential(tables: CredentialTables, project_id: str, credential_id: str) -> bool:
    """Remove one; its uses stay."""
    stored = tables.credentials.get(credential_id)
    if stored is None or stored.project_id != project_id:
        return False
    del tables.credentials[credential_id]
    return True


def list_wrapped_otherwise(tables: CredentialTables, key_id: str, limit: int) -> list[CredentialRecord]:
    """Some credentials of all projects that are not wrapped with this key."""
    return [one for one in tables.credentials.values() if one.sealed.key_id != key_id][:limit]


def rewrap_credential(tables: CredentialTables, record: CredentialRecord, sealed: Sealed) -> bool:
    """Replace how the data key is wrapped, if it still is as in `record`."""
    stored, old = tables.credentials.get(record.id), record.sealed
    if stored is None or stored.revision != record.revision:
        return False
    if (stored.sealed.key_id, stored.sealed.wrapped_key) != (old.key_id, old.wrapped_key):
        return False
    tables.credentials[record.id] = replace(stored, sealed=replace(sealed, box=stored.sealed.box))
    return True


def list_uses(
    tables: CredentialTables, project_id: str, credential_id: str, limit: int, cursor: str | None
) -> UsesPage:
    """One page, newest first."""
    found = sorted(
        (
            (to_micros(use.used_at), number)
            for number, use in tables.uses.items()
            if (use.project_id, use.credential_id) == (project_id, credential_id)
        ),
        reverse=True,
    )
    if cursor is not None:
        found = [position for position in found if position < behind(cursor)]
    page = tuple(tables.uses[number] for _, number in found[:limit])
    return UsesPage(page, cursor_of(*found[limit - 1]) if len(found) > limit else None)


def delete_old_uses(tables: CredentialTables, before: datetime) -> None:
    """Forget the uses from before, and the requests that expired before."""
    tables.uses = {number: use for number, use in tables.uses.items() if use.used_at >= before}
    tables.requests = {id_: one for id_, one in tables.requests.items() if one.expires_at >= before}


def add_request(tables: CredentialTables, request: CredentialRequest, open_max: int) -> None:
    """Insert a request. Raises TooManyRequests and TextRefused."""
    new = request_of(request_values(request))
    still_open = [
        one
        for one in tables.requests.values()
        if one.project_id == new.project_id and one.credential_id is None and one.expires_at > new.created_at
    ]
    if len(still_open) >= open_max:
        raise TooManyRequests
    if new.id in tables.requests or get_request(tables, new.token_hash) is not None:
        raise WriteConflict("The request's id or token is taken.")
    tables.requests[new.id] = new


def get_request(tables: CredentialTables, token_hash: str) -> CredentialRequest | None:
    """The one of any project whose token has this hash, whether it may still be answered or not."""
    return next((one for one in tables.requests.values() if one.token_hash == token_hash), None)


def _refuse_taken(tables: CredentialTables, record: CredentialRecord) -> None:
    for other in tables.credentials.values():
        if (other.project_id, other.name) == (record.project_id, record.name) and other.id != record.id:
            raise CredentialNameTaken(name=record.name)


def _kept(record: CredentialRecord) -> CredentialRecord:
    # As a database would give it back: what its maker does to `probe` later must not change it.
    return credential_of(credential_values(record))

"""Credentials at rest in SQL; each function takes a connection inside a transaction of the caller."""

from typing import Any

from sqlalchemy import Connection, Row, Select, delete, insert, or_, select, update

from budflow.model.credential import CredentialNameTaken, CredentialNotFound, CredentialRecord, Sealed
from budflow.services.credential_ports import CredentialsPage
from budflow.storage.credential_requests import answer_request
from budflow.storage.credential_rows import changed, credential_of, credential_values, rewrapped_values
from budflow.storage.rows import is_storable, refuse_unstorable
from budflow.storage.schema import credentials


def add_credential(conn: Connection, record: CredentialRecord, request_id: str | None) -> None:
    """Insert one; with `request_id` it answers the request. Raises CredentialNameTaken, RequestUsed, TextRefused."""
    values = credential_values(record)
    _refuse_taken(conn, record)
    if request_id is not None:
        answer_request(conn, request_id, record)
    conn.execute(insert(credentials).values(values))


def get_credential(conn: Connection, project_id: str, reference: str) -> CredentialRecord | None:
    """The one of the project with this name or id."""
    if not is_storable(reference):
        return None
    c = credentials.c
    wanted = select(*c).where(c.project_id == project_id, or_(c.id == reference, c.name == reference))
    row = conn.execute(wanted).mappings().first()
    return None if row is None else credential_of(row)


def list_credentials(
    conn: Connection, project_id: str, limit: int, cursor: str | None, kind: str | None, name: str | None
) -> CredentialsPage:
    """One page, by name."""
    refuse_unstorable(cursor=cursor, kind=kind, name=name)
    c = credentials.c
    wanted = select(*c).where(c.project_id == project_id)
    if kind is not None:
        wanted = wanted.where(c.kind == kind)
    if name is not None:  # Names are in lower case, so that it does not matter whether a database minds case here.
        wanted = wanted.where(c.name.contains(name.lower(), autoescape=True))
    if cursor is not None:
        wanted = wanted.where(c.name > cursor)
    found = [credential_of(row) for row in conn.execute(wanted.order_by(c.name).limit(limit + 1)).mappings()]
    return CredentialsPage(tuple(found[:limit]), found[limit - 1].name if len(found) > limit else None)


def update_credential(conn: Connection, record: CredentialRecord, expected: CredentialRecord) -> None:
    """Replace the row, if it is as expected but for how its data key is wrapped.

    Raises CredentialConflict, CredentialNotFound, CredentialNameTaken, TextRefused.
    """
    row = conn.execute(_one(expected.project_id, expected.id).with_for_update()).mappings().first()
    if row is None:
        raise CredentialNotFound(credential=expected.name)
    values = credential_values(changed(credential_of(row), record, expected=expected))
    _refuse_taken(conn, record)
    conn.execute(update(credentials).where(credentials.c.id == expected.id).values(values))


def delete_credential(conn: Connection, project_id: str, credential_id: str) -> bool:
    """Remove one; its uses stay."""
    if not is_storable(credential_id):
        return False
    c = credentials.c
    gone = conn.execute(delete(credentials).where(c.id == credential_id, c.project_id == project_id))
    return bool(gone.rowcount)


def list_key_ids(conn: Connection) -> frozenset[str]:
    """With which keys of the server the credentials of all projects are wrapped."""
    return frozenset(conn.execute(select(credentials.c.key_id).distinct()).scalars())


def list_wrapped_otherwise(conn: Connection, key_id: str, limit: int) -> list[CredentialRecord]:
    """Some credentials of all projects that are not wrapped with this key."""
    c = credentials.c
    # Not `<>`, which no index serves: the last of many is to be found as fast as the first.
    wanted = select(*c).where(or_(c.key_id < key_id, c.key_id > key_id)).limit(limit)
    return [credential_of(row) for row in conn.execute(wanted).mappings()]


def rewrap_credential(conn: Connection, record: CredentialRecord, sealed: Sealed) -> bool:
    """Replace how the data key is wrapped, if it still is as in `record`."""
    c = credentials.c
    wrapped = conn.execute(
        update(credentials)
        .where(
            c.id == record.id,
            c.revision == record.revision,
            c.key_id == record.sealed.key_id,
            c.wrapped_key == record.sealed.wrapped_key,
        )
        .values(rewrapped_values(sealed))
    )
    return bool(wrapped.rowcount)


def _refuse_taken(conn: Connection, record: CredentialRecord) -> None:
    # Before anything is written. Should a rival take the name after this, the index refuses it.
    c = credentials.c
    other: Row[Any] | None = conn.execute(
        select(c.id).where(c.project_id == record.project_id, c.name == record.name, c.id != record.id)
    ).first()
    if other is not None:
        raise CredentialNameTaken(name=record.name)


def _one(project_id: str, credential_id: str) -> Select[Any]:
    return select(*credentials.c).where(credentials.c.id == credential_id, credentials.c.project_id == project_id)

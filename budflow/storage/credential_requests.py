"""Requests for credentials in SQL; each function takes a connection inside a transaction of the caller."""

from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from budflow.model.credential import CredentialRecord, CredentialRequest
from budflow.services.credential_ports import RequestUsed, TooManyRequests
from budflow.storage.credential_rows import request_of, request_values
from budflow.storage.rows import is_storable, to_micros
from budflow.storage.schema import credential_requests


def add_request(conn: Connection, request: CredentialRequest, open_max: int) -> None:
    """Insert a request. Raises TooManyRequests and TextRefused."""
    c = credential_requests.c
    is_open = (
        c.project_id == request.project_id,
        c.credential_id.is_(None),
        c.expires_at > to_micros(request.created_at),
    )
    if conn.execute(select(func.count()).select_from(credential_requests).where(*is_open)).scalar_one() >= open_max:
        raise TooManyRequests
    conn.execute(insert(credential_requests).values(request_values(request)))


def get_request(conn: Connection, token_hash: str) -> CredentialRequest | None:
    """The one of any project whose token has this hash, whether it may still be answered or not."""
    if not is_storable(token_hash):
        return None
    c = credential_requests.c
    row = conn.execute(select(*c).where(c.token_hash == token_hash)).mappings().first()
    return None if row is None else request_of(row)


def answer_request(conn: Connection, request_id: str, record: CredentialRecord) -> None:
    """Note the credential that answers a request of its project. Raises RequestUsed."""
    c = credential_requests.c
    # One statement looks and writes, so that of two who answer at the same time one finds it answered.
    answered = conn.execute(
        update(credential_requests)
        .where(
            c.id == request_id,
            c.project_id == record.project_id,
            c.credential_id.is_(None),
            c.expires_at > to_micros(record.created_at),
        )
        .values(credential_id=record.id)
    )
    if not answered.rowcount:
        raise RequestUsed


def delete_old_requests(conn: Connection, before: datetime) -> None:
    """Forget the requests that expired before."""
    conn.execute(delete(credential_requests).where(credential_requests.c.expires_at < to_micros(before)))

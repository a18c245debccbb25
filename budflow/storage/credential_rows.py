"""Between credentials, requests for them and their uses, and the rows that keep them; the same for every adapter."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from budflow.model.credential import (
    CredentialConflict,
    CredentialRecord,
    CredentialRequest,
    CredentialUse,
    Grants,
    Sealed,
)
from budflow.storage.rows import Row, from_micros, json_text, refuse_unstorable, to_micros


def credential_values(record: CredentialRecord) -> dict[str, Any]:
    """The row of a credential. Raises TextRefused."""
    refuse_unstorable(
        id=record.id,
        project_id=record.project_id,
        name=record.name,
        kind=record.kind,
        key_id=record.sealed.key_id,
        created_by=record.created_by,
    )
    return {
        "id": record.id,
        "project_id": record.project_id,
        "name": record.name,
        "kind": record.kind,
        "revision": record.revision,
        "hosts": json_text("hosts", record.hosts),
        "grants": _grants_text(record.grants),
        "probe": None if record.probe is None else json_text("probe", record.probe),
        "key_id": record.sealed.key_id,
        "wrapped_key": record.sealed.wrapped_key,
        "box": record.sealed.box,
        "created_at": to_micros(record.created_at),
        "updated_at": to_micros(record.updated_at),
        "created_by": record.created_by,
    }


def credential_of(row: Row) -> CredentialRecord:
    """A row of `credentials` as its record."""
    probe = row["probe"]
    return CredentialRecord(
        id=row["id"],
        project_id=row["project_id"],
        name=row["name"],
        kind=row["kind"],
        revision=row["revision"],
        hosts=tuple(orjson.loads(row["hosts"])),
        grants=_grants_of(row["grants"]),
        probe=None if probe is None else orjson.loads(probe),
        sealed=Sealed(row["key_id"], bytes(row["wrapped_key"]), bytes(row["box"])),
        created_at=from_micros(row["created_at"]),
        updated_at=from_micros(row["updated_at"]),
        created_by=row["created_by"],
    )


def rewrapped_values(sealed: Sealed) -> dict[str, Any]:
    """The columns that say how a data key is wrapped."""
    return {"key_id": sealed.key_id, "wrapped_key": sealed.wrapped_key}


def changed(stored: CredentialRecord, record: CredentialRecord, *, expected: CredentialRecord) -> CredentialRecord:
    """What to store in place of `stored`. Raises CredentialConflict where that is no longer as expected.

    With the same box the data key stays as it is wrapped now: perhaps anew since `expected` was read.
    """
    box = expected.sealed.box
    if stored != replace(expected, sealed=replace(stored.sealed, box=box)):
        raise CredentialConflict(credential=expected.name, revision=stored.revision)
    return replace(record, sealed=stored.sealed) if record.sealed.box == box else record


def request_values(request: CredentialRequest) -> dict[str, Any]:
    """The row of a request for a credential. Raises TextRefused."""
    refuse_unstorable(
        id=request.id,
        project_id=request.project_id,
        token_hash=request.token_hash,
        kind=request.kind,
        name=request.name,
        reason=request.reason,
        asked_by=request.asked_by,
        credential_id=request.credential_id,
    )
    return {
        "id": request.id,
        "project_id": request.project_id,
        "token_hash": request.token_hash,
        "kind": request.kind,
        "name": request.name,
        "hosts": json_text("hosts", request.hosts),
        "grants": _grants_text(request.grants),
        "reason": request.reason,
        "asked_by": request.asked_by,
        "created_at": to_micros(request.created_at),
        "expires_at": to_micros(request.expires_at),
        "credential_id": request.credential_id,
    }


def request_of(row: Row) -> CredentialRequest:
    """A row of `credential_requests` as its record."""
    return CredentialRequest(
        id=row["id"],
        project_id=row["project_id"],
        token_hash=row["token_hash"],
        kind=row["kind"],
        name=row["name"],
        hosts=tuple(orjson.loads(row["hosts"])),
        grants=_grants_of(row["grants"]),
        reason=row["reason"],
        asked_by=row["asked_by"],
        created_at=from_micros(row["created_at"]),
        expires_at=from_micros(row["expires_at"]),
        credential_id=row["credential_id"],
    )


def refuse_unstorable_use(use: CredentialUse) -> None:
    """Raise TextRefused where a text of the use cannot be stored."""
    refuse_unstorable(
        project_id=use.project_id,
        credential_id=use.credential_id,
        workflow_id=use.workflow_id,
        execution_id=use.execution_id,
        node=use.node,
        slot=use.slot,
        author=use.author,
        principal=use.principal,
    )


def use_values(use: CredentialUse) -> tuple[Any, ...]:
    """The row of a use, in the order of the table's columns behind its `id`."""
    return (
        use.project_id,
        use.credential_id,
        to_micros(use.used_at),
        use.workflow_id,
        use.version,
        use.execution_id,
        use.node,
        use.slot,
        use.author,
        use.principal,
    )


def use_of(row: Row) -> CredentialUse:
    """A row of `credential_uses` as its record."""
    return CredentialUse(
        project_id=row["project_id"],
        credential_id=row["credential_id"],
        used_at=from_micros(row["used_at"]),
        workflow_id=row["workflow_id"],
        version=row["version"],
        execution_id=row["execution_id"],
        node=row["node"],
        slot=row["slot"],
        author=row["author"],
        principal=row["principal"],
    )


def cursor_of(used_at: int, number: int) -> str:
    """The cursor behind a use: its time in microseconds, and the number of its row, which tells equal times apart."""
    return f"{used_at}~{number}"


def behind(cursor: str) -> tuple[int, int]:
    """The reverse of `cursor_of`; the cursor matches budflow.services.credential_ports.USES_CURSOR_PATTERN."""
    used_at, _, number = cursor.partition("~")
    return int(used_at), int(number)


def _grants_text(grants: Grants) -> str:
    values = {
        "project": grants.project,
        "principals": sorted(grants.principals),
        "workflows": sorted(grants.workflows),
    }
    return json_text("grants", values)


def _grants_of(text: str) -> Grants:
    values: Mapping[str, Any] = orjson.loads(text)
    return Grants(values["project"], frozenset(values["principals"]), frozenset(values["workflows"]))

"""Which blobs there are and who refers to them, in SQL; each function takes a connection inside a transaction."""

from sqlalchemy import Connection

from budflow.storage.rows import to_micros
from budflow.storage.schema import blob_refs, blobs
from budflow.storage.settle import Settled
from budflow.storage.upsert import upsert


def write_blob_refs(conn: Connection, settled: Settled) -> None:
    """Note the blobs of the group's events and signals: from now on they are in use."""
    found = sorted(
        (project_id, ref.sha256, execution_id, ref.size_bytes, to_micros(event.at))
        for execution_id, project_id, event in settled.with_blobs()
        for ref in event.blobs
    )
    if not found:
        return
    # In one order, so that two transactions do not wait for each other.
    rows = {
        (project_id, sha256): {
            "project_id": project_id,
            "sha256": sha256,
            "size_bytes": size,
            "written_at": at,
            "unused_since": None,
        }
        for project_id, sha256, _, size, at in found
    }
    conn.execute(upsert(blobs), list(rows.values()))
    refs = {(execution_id, sha256): project_id for project_id, sha256, execution_id, _, _ in found}
    conn.execute(
        upsert(blob_refs),
        [
            {"execution_id": execution_id, "sha256": sha256, "project_id": project_id}
            for (execution_id, sha256), project_id in refs.items()
        ],
    )

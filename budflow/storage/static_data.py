"""Static data of workflows in SQL; each function takes a connection inside a transaction of the caller."""

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, delete, select

from budflow.storage.schema import executions, static_data
from budflow.storage.upsert import upsert


def write_static(conn: Connection, changed: Mapping[str, Mapping[str, str | None]]) -> None:
    """Replace values by execution and node; they become those of the executions' workflows."""
    e, c = executions.c, static_data.c
    owners = {
        id_: (project_id, workflow_id)
        for id_, project_id, workflow_id in conn.execute(
            select(e.id, e.project_id, e.workflow_id).where(e.id.in_(changed))
        )
    }
    values = {(*owners[id_], node): text for id_, texts in changed.items() for node, text in texts.items()}
    # In the order of the key, so that two servers never wait for each other in a circle.
    for (project_id, workflow_id, node), text in sorted(values.items()):
        if text is None:
            conn.execute(
                delete(static_data).where(c.project_id == project_id, c.workflow_id == workflow_id, c.node == node)
            )
        else:
            row = {"project_id": project_id, "workflow_id": workflow_id, "node": node, "value": text}
            conn.execute(upsert(static_data), row)


def get_static(conn: Connection, project_id: str, workflow_id: str) -> dict[str, Any]:
    """The values of a workflow by node."""
    c = static_data.c
    rows = conn.execute(select(c.node, c.value).where(c.project_id == project_id, c.workflow_id == workflow_id))
    return {node: orjson.loads(value) for node, value in rows}

"""Random keys that all servers of a database share; each function takes a connection inside a transaction."""

import secrets

from sqlalchemy import Connection, select, text

from budflow.storage.schema import server_keys

KEY_BYTES = 32

_ADD = text("INSERT INTO server_keys (name, key) VALUES (:name, :key) ON CONFLICT (name) DO NOTHING")


def get_server_key(conn: Connection, name: str) -> bytes:
    """The key of this name; where there is none, a random one becomes it, unless a rival is faster."""
    conn.execute(_ADD, {"name": name, "key": secrets.token_bytes(KEY_BYTES)})
    return bytes(conn.execute(select(server_keys.c.key).where(server_keys.c.name == name)).scalar_one())

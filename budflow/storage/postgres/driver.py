"""What the driver takes for a connection beside the pool, to the database that the pool is for."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine


def driver_arguments(engine: AsyncEngine) -> dict[str, Any]:
    """The arguments of `asyncpg.connect`."""
    _, arguments = engine.dialect.create_connect_args(engine.url)
    for name in ("prepared_statement_cache_size", "prepared_statement_name_func"):  # SQLAlchemy's own.
        arguments.pop(name, None)
    return dict(arguments)

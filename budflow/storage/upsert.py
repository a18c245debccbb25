"""Insert or replace, in the one wording that SQLite and PostgreSQL share."""

from functools import cache

from sqlalchemy import Table, TextClause, bindparam, text


@cache
def upsert(table: Table) -> TextClause:
    """The statement for rows by column; a row with the same primary key is replaced."""
    columns, key = table.c.keys(), table.primary_key.columns.keys()
    values = ", ".join(f":{name}" for name in columns)
    replaced = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in key)
    statement = (
        f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({values}) "  # noqa: S608 - names of the schema
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {replaced}"
    )
    return text(statement).bindparams(*(bindparam(column.name, type_=column.type) for column in table.c))

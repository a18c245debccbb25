"""Rows of the database under test, read past BudFlow."""

import asyncio
from typing import Any

import asyncpg


def fetch(url: str, statement: str, *args: Any) -> list[Any]:
    """What a statement finds."""

    async def run() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return list(await connection.fetch(statement, *args))
        finally:
            await connection.close()

    return asyncio.run(run())

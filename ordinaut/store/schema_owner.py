"""Makes a role without special rights the owner of the database, so that the services need no superuser."""

from typing import Any

import asyncpg

from ordinaut.store.sql import Queries

SQL = Queries(__file__)


async def give_schema(superuser_url: str, role: str) -> None:
    """Creates the role if necessary, and makes it the owner of the database and of everything in its schema public."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(superuser_url, timeout=10)
    try:
        async with connection.transaction():
            for row in await SQL.missing.rows(connection, role=role):
                await connection.execute(row["statement"])
            for row in await SQL.transfers.rows(connection, role=role):
                await connection.execute(row["statement"])
    finally:
        await connection.close()

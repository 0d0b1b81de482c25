"""Migrates a database to the schema of this version. Forward only; several processes may call it concurrently."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from ordinaut.errors import StartError
from ordinaut.settings import StoreSettings, read_settings
from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)
FOLDER = Path(__file__).parent / "migrations"
BUILTIN_TOOLS = Path(__file__).parent / "builtin_tools.json"
SCHEMA_VERSION = 1
POSTGRES_OLDEST = 16
OLDEST_SERVED = 1


class SchemaVersionError(StartError):
    """This version cannot work with the schema of the database."""


class PostgresVersionError(StartError):
    """The PostgreSQL server is too old."""


def require_postgres(server: Any) -> None:
    """Requires a server that has everything the schema uses; `server` has the attributes major and minor.

    Raises:
        PostgresVersionError: it is older than PostgreSQL 16.
    """
    if server.major < POSTGRES_OLDEST:
        received = f"{server.major}.{server.minor}"
        raise PostgresVersionError(
            f"the database server must be PostgreSQL {POSTGRES_OLDEST} or newer (got {received})"
        )


async def migrate(database_url: str) -> int:
    """Applies the missing migrations in one transaction and refreshes the built-in tools.

    Returns:
        The schema version.

    Raises:
        PostgresVersionError: the server is older than PostgreSQL 16.
        SchemaVersionError: the schema is newer than this version.
    """
    connection: asyncpg.Connection[Any] = await asyncpg.connect(database_url, timeout=10)
    try:
        require_postgres(connection.get_server_version())
        async with connection.transaction():
            await SQL.lock.value(connection)
            await SQL.create_version_table.run(connection)
            version = int(await SQL.version.value(connection))
            if version > SCHEMA_VERSION:
                raise SchemaVersionError(f"schema version must be at most {SCHEMA_VERSION} (got {version})")
            for number, path in _files():
                if number > version:
                    await connection.execute(path.read_text())
                    await SQL.record_version.run(connection, version=number)
            await _refresh_builtin_tools(connection)
        return SCHEMA_VERSION
    finally:
        await connection.close()


async def check_schema(connection: Connection) -> int:
    """The schema version.

    Raises:
        SchemaVersionError: this version cannot work with it.
    """
    try:
        version = int(await SQL.version.value(connection))
    except asyncpg.UndefinedTableError:
        version = 0
    if not OLDEST_SERVED <= version <= SCHEMA_VERSION:
        raise SchemaVersionError(
            f"schema version must be {OLDEST_SERVED} to {SCHEMA_VERSION} (got {version}): run `ordinaut migrate`"
        )
    return version


def _files() -> list[tuple[int, Path]]:
    return sorted((int(re.match(r"\d+", path.name)[0]), path) for path in FOLDER.glob("*.sql"))  # type: ignore[index]


async def _refresh_builtin_tools(connection: Connection) -> None:
    tools = json.loads(BUILTIN_TOOLS.read_text())
    changed = await SQL.put_builtin_tools.rows(
        connection, names=[tool["name"] for tool in tools], definitions=[json.dumps(tool) for tool in tools]
    )
    if changed:
        await SQL.bump_every_project.run(connection)


def main() -> None:
    """Migrates the database that ORDINAUT_DATABASE_URL names."""
    version = uvloop.run(migrate(read_settings(StoreSettings).database_url))
    sys.stdout.write(f"schema {version}\n")


if __name__ == "__main__":
    main()

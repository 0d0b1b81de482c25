"""Migrates the embedded database, creates projects, and stores the admin token of the first project in a file."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from ordinaut.embedded.folder import tighten
from ordinaut.errors import AlreadyExistsError, NotFoundError
from ordinaut.quotas import Limit
from ordinaut.settings import StoreSettings
from ordinaut.store import quota as store_quota
from ordinaut.store.database import Database
from ordinaut.store.identity import create_operator_token, create_project, recover_token
from ordinaut.store.migrate import migrate
from ordinaut.store.sql import Connection

PROJECT = "default"
TOKEN_FILE = "admin.token"  # noqa: S105 - the name of a file


async def prepare_database(database_url: str, folder: Path) -> str:
    """Migrates the database; on first use creates the project and writes its admin token to `admin.token` (0600).

    If the file was removed, a new token is written; earlier ones remain valid until they are revoked.

    Returns:
        The admin token.
    """
    await migrate(database_url)
    token_file = folder / TOKEN_FILE
    if not token_file.exists():
        await _create(database_url, token_file)
    tighten(token_file, 0o600)
    return token_file.read_text().strip()


async def new_project(database_url: str, name: str) -> str:
    """Creates a project with an admin agent.

    Returns:
        The token of the agent, which is not stored.

    Raises:
        AlreadyExistsError: a project with this name exists.
    """
    return await _with_database(database_url, lambda connection: create_project(connection, name))


async def recovered_token(database_url: str, project: str) -> str:
    """Creates a token for the admin of a project.

    Raises:
        NotFoundError: the project does not exist.
    """
    return await _with_database(database_url, lambda connection: recover_token(connection, project))


async def _with_database(database_url: str, work: Callable[[Connection], Awaitable[str]]) -> str:
    database = await Database.open(StoreSettings(database_url=database_url))
    try:
        async with database.transaction() as connection:
            return await work(connection)
    finally:
        await database.close()


async def new_operator(database_url: str) -> str:
    """Creates a token of an operator of the installation, and the operator on first use.

    Returns:
        The token, which is not stored.
    """
    return await _with_database(database_url, create_operator_token)


async def set_quota(database_url: str, project: str, quota: str, limit: Limit) -> None:
    """Sets a quota of a project; None in `limit` is the default.

    Raises:
        NotFoundError: there is no such project.
    """
    database = await Database.open(StoreSettings(database_url=database_url))
    try:
        async with database.transaction() as connection:
            if not await store_quota.put(connection, project=project, quota=quota, limit=limit):
                raise NotFoundError.of(f"projects/{project}")
    finally:
        await database.close()


async def quotas_of(database_url: str, project: str) -> dict[str, Limit]:
    """Returns the quotas of a project that differ from the defaults."""
    database = await Database.open(StoreSettings(database_url=database_url))
    try:
        async with database.connection() as connection:
            return await store_quota.overrides(connection, project)
    finally:
        await database.close()


async def _create(database_url: str, token_file: Path) -> None:
    """Writes the token to a temporary file before the commit and renames it after, so that a crash does not lose it."""
    pending = token_file.with_suffix(".new")
    database = await Database.open(StoreSettings(database_url=database_url))
    try:
        async with database.transaction() as connection:
            _write_private(pending, await create_project(connection, PROJECT))
    except AlreadyExistsError:
        if not pending.exists():
            async with database.transaction() as connection:
                _write_private(pending, await recover_token(connection, PROJECT))
    finally:
        await database.close()
    pending.rename(token_file)


def _write_private(path: Path, token: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())

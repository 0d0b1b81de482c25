"""The database made ready, and the admin token of its first project in a file."""

import os
from pathlib import Path

from ordinaut.errors import AlreadyExistsError
from ordinaut.settings import StoreSettings
from ordinaut.store.database import Database
from ordinaut.store.identity import create_project
from ordinaut.store.migrate import migrate

PROJECT = "default"
TOKEN_FILE = "admin.token"  # noqa: S105 - the name of a file


class TokenLostError(RuntimeError):
    """The project exists, and the file with its admin token does not."""


async def prepare_database(database_url: str, folder: Path) -> str:
    """Migrates, and the first time creates the project and writes its admin token to `admin.token` (0600).

    Returns:
        The admin token.

    Raises:
        TokenLostError: somebody removed the file; the database keeps only a hash.
    """
    await migrate(database_url)
    token_file = folder / TOKEN_FILE
    if not token_file.exists():
        await _create(database_url, token_file)
    return token_file.read_text().strip()


async def new_project(database_url: str, name: str) -> str:
    """Creates a project with an agent that may do everything in it.

    Returns:
        Its token, which is kept nowhere.

    Raises:
        AlreadyExistsError: the name is taken.
    """
    database = await Database.open(StoreSettings(database_url=database_url))
    try:
        async with database.transaction() as connection:
            return await create_project(connection, name)
    finally:
        await database.close()


async def _create(database_url: str, token_file: Path) -> None:
    """Writes the token beside its place before the commit, and moves it there after: a crash between loses nothing."""
    pending = token_file.with_suffix(".new")
    database = await Database.open(StoreSettings(database_url=database_url))
    try:
        async with database.transaction() as connection:
            _write_private(pending, await create_project(connection, PROJECT))
    except AlreadyExistsError:
        if not pending.exists():
            raise TokenLostError(
                f"{token_file} is gone and cannot be made again; `ordinaut project create NAME` makes another project"
            ) from None
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

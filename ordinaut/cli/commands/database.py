"""`ordinaut migrate`, and what other commands that access the database directly need."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import typer

from ordinaut.cli.output import print_json
from ordinaut.cli.session import session_of

Result = TypeVar("Result")


def migrate(context: typer.Context) -> None:
    """Migrate the database of ORDINAUT_DATABASE_URL to the current schema."""
    from ordinaut.store.migrate import migrate as migrate_database  # noqa: PLC0415 - needs the database driver

    version = run_on_database(migrate_database)
    print_json({"schema_version": version}) if session_of(context).as_json else typer.echo(f"schema {version}")


def run_on_database(work: Callable[[str], Coroutine[Any, Any, Result]]) -> Result:
    """Runs `work` on the database of ORDINAUT_DATABASE_URL.

    Raises:
        RuntimeError: PostgreSQL refused the connection or a statement; with its message.
    """
    from ordinaut.store.database import REFUSED  # noqa: PLC0415 - needs the database driver

    try:
        return asyncio.run(work(_database_url()))
    except REFUSED as failure:
        raise RuntimeError(f"PostgreSQL: {failure}") from None


def _database_url() -> str:
    url = os.environ.get("ORDINAUT_DATABASE_URL")
    if not url:
        raise typer.BadParameter("ORDINAUT_DATABASE_URL must be set: this command accesses the database directly")
    return url

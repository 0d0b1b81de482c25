"""`ordinaut migrate` and `admin token`, and what other commands that access the database directly need."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

import typer

from ordinaut.cli.output import UsageError, echo, print_json
from ordinaut.cli.session import session_of

Result = TypeVar("Result")


def migrate(context: typer.Context) -> None:
    """Migrate the database of ORDINAUT_DATABASE_URL to the current schema."""
    from ordinaut.store.migrate import migrate as migrate_database  # noqa: PLC0415 - needs the database driver

    version = run_on_database(migrate_database)
    print_json({"schema_version": version}) if session_of(context).as_json else echo(f"schema {version}")


admin = typer.Typer(no_args_is_help=True, help="Recover access, at the database.")


@admin.callback()
def admin_group() -> None:
    """Recover access, at the database."""


@admin.command("token")
def admin_token(
    context: typer.Context,
    project_name: Annotated[
        str, typer.Option("--project", help="The project; `_` for the records of calls without a valid token.")
    ],
) -> None:
    """Create an admin token in the database of ORDINAUT_DATABASE_URL, for a project whose token is lost.

    The token does not expire, and its creation is recorded in the audit log of the project.
    """
    from ordinaut.embedded.database import recovered_token  # noqa: PLC0415 - as above

    token = run_on_database(lambda url: recovered_token(url, project_name))
    print_json({"project": project_name, "token": token}) if session_of(context).as_json else echo(token)


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
        raise UsageError("ORDINAUT_DATABASE_URL must be set: this command accesses the database directly")
    return url

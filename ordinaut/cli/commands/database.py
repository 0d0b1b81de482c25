"""`ordinaut migrate` and `ordinaut project create`: what is done on the database's side, without a gateway."""

import asyncio
import os
from typing import Annotated

import typer

from ordinaut.cli.output import print_json
from ordinaut.cli.session import session_of

project = typer.Typer(no_args_is_help=True, help="Projects: separate tenants of one installation.")


def migrate(context: typer.Context) -> None:
    """Bring the database of ORDINAUT_DATABASE_URL to this version's schema."""
    from ordinaut.store.migrate import migrate as bring  # noqa: PLC0415 - the client alone has no database driver

    version = asyncio.run(bring(_database_url()))
    print_json({"schema_version": version}) if session_of(context).as_json else typer.echo(f"schema {version}")


@project.callback()
def group() -> None:
    """Projects: separate tenants of one installation."""


@project.command("create")
def create_project(context: typer.Context, name: Annotated[str, typer.Argument(help="The project's name.")]) -> None:
    """Make a project in the database of ORDINAUT_DATABASE_URL and print its admin token, which is shown this once."""
    from ordinaut.embedded.database import new_project  # noqa: PLC0415 - as above

    token = asyncio.run(new_project(_database_url(), name))
    print_json({"project": name, "token": token}) if session_of(context).as_json else typer.echo(token)


def _database_url() -> str:
    url = os.environ.get("ORDINAUT_DATABASE_URL")
    if not url:
        raise typer.BadParameter("set ORDINAUT_DATABASE_URL: this works on the database itself")
    return url

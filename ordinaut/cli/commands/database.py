"""`ordinaut migrate` and `ordinaut project`: commands that access the database directly."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

import typer

from ordinaut.cli.output import print_json, print_table
from ordinaut.cli.session import session_of
from ordinaut.quotas import DEFAULTS, Limit

Result = TypeVar("Result")
HELP = "Create projects, the isolated tenants of an installation, and set their quotas."
project = typer.Typer(no_args_is_help=True, help=HELP)


def migrate(context: typer.Context) -> None:
    """Migrate the database of ORDINAUT_DATABASE_URL to the current schema."""
    from ordinaut.store.migrate import migrate as migrate_database  # noqa: PLC0415 - as above

    version = _run(migrate_database)
    print_json({"schema_version": version}) if session_of(context).as_json else typer.echo(f"schema {version}")


@project.callback()
def group() -> None:
    """Create projects, the isolated tenants of an installation, and set their quotas."""


@project.command("create")
def create_project(context: typer.Context, name: Annotated[str, typer.Argument(help="Name of the project.")]) -> None:
    """Create a project in the database of ORDINAUT_DATABASE_URL and print its admin token, which is not stored."""
    from ordinaut.embedded.database import new_project  # noqa: PLC0415 - as above

    token = _run(lambda url: new_project(url, name))
    print_json({"project": name, "token": token}) if session_of(context).as_json else typer.echo(token)


@project.command("quota")
def quota(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the project.")],
    quota: Annotated[str, typer.Argument(help="Quota to set, such as tasks; none: print all quotas.")] = "",
    per_agent: Annotated[int | None, typer.Option(min=0, help="Limit of each agent; omitted: the default.")] = None,
    in_project: Annotated[int | None, typer.Option(min=0, help="Limit of the project; omitted: the default.")] = None,
) -> None:
    """Print or set the quotas of a project in the database of ORDINAUT_DATABASE_URL; gateways apply them in 5 s."""
    from ordinaut.embedded.database import quotas_of, set_quota  # noqa: PLC0415 - as above

    if quota and quota not in DEFAULTS:
        raise typer.BadParameter(f"the quota must be one of {', '.join(DEFAULTS)} (got {quota!r})")
    if quota:
        _run(lambda url: set_quota(url, name, quota, Limit(per_agent, in_project)))
    overrides = _run(lambda url: quotas_of(url, name))
    rows = {each: default.overridden_by(overrides.get(each)) for each, default in DEFAULTS.items()}
    if session_of(context).as_json:
        print_json({each: {"agent": limit.agent, "project": limit.project} for each, limit in rows.items()})
        return
    cells = [(each, _limit(limit.agent), _limit(limit.project)) for each, limit in rows.items()]
    print_table(("QUOTA", "AGENT", "PROJECT"), cells, "")


def _limit(value: int | None) -> str:
    return "" if value is None else str(value)


def _run(work: Callable[[str], Coroutine[Any, Any, Result]]) -> Result:
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

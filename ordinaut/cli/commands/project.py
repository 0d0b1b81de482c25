"""`ordinaut project`: projects of an installation, and the data of one person in a project."""

import os
from collections import Counter
from typing import Annotated, Any

import typer

from ordinaut.cli.commands.database import run_on_database
from ordinaut.cli.output import UsageError, echo, local_time, print_json, print_table
from ordinaut.cli.pagination import collect
from ordinaut.cli.session import session_of, with_prefix
from ordinaut.client import Client
from ordinaut.quotas import DEFAULTS, Limit
from ordinaut.v1 import project_service_pb2 as requests
from ordinaut.v1.project_pb2 import Project

app = typer.Typer(no_args_is_help=True, help="Manage projects, the isolated tenants of an installation.")
Name = Annotated[str, typer.Argument(help="Project: `payroll` or `projects/payroll`.")]
COLUMNS = ("PROJECT", "STATE", "CREATED", "DELETED")
EXPORT_SECONDS = 3600.0


@app.callback()
def group() -> None:
    """Manage projects. The token must be an operator's (`project operator`), except for `erase`."""


@app.command("operator")
def create_operator(context: typer.Context) -> None:
    """Print a new token of an operator, made in the database of ORDINAUT_DATABASE_URL; it is not stored.

    The token does not expire, and its creation is recorded in the audit log of the project `_`.
    """
    from ordinaut.embedded.database import new_operator  # noqa: PLC0415 - needs the database driver

    token = run_on_database(new_operator)
    print_json({"project": "_", "token": token}) if session_of(context).as_json else echo(token)


@app.command("create")
def create_project(context: typer.Context, name: Name) -> None:
    """Create a project and print its admin token, which is not stored.

    With ORDINAUT_DATABASE_URL it is created in this database, which needs no token.
    """
    session, name = session_of(context), name.removeprefix("projects/")
    if os.environ.get("ORDINAUT_DATABASE_URL"):
        from ordinaut.embedded.database import new_project  # noqa: PLC0415 - needs the database driver

        token = run_on_database(lambda url: new_project(url, name))
    else:
        request = requests.CreateProjectRequest(project_id=name)
        token = session.call(lambda client: client.projects.CreateProject(request)).admin_token
    print_json({"project": name, "token": token}) if session.as_json else echo(token)


@app.command("list")
def list_projects(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of results.")] = 100,
) -> None:
    """List the projects, also those that are being deleted."""
    session = session_of(context)

    async def work(client: Client) -> list[Project]:
        async def page(size: int, token: str) -> tuple[list[Any], str]:
            request = requests.ListProjectsRequest(page_size=size, page_token=token)
            answer = await client.projects.ListProjects(request)
            return list(answer.projects), answer.next_page_token

        return await collect(limit, page)

    projects = session.call(work)
    if session.as_json:
        print_json(requests.ListProjectsResponse(projects=projects))
    else:
        print_table(COLUMNS, map(_row, projects), "no projects")


@app.command("get")
def get_project(context: typer.Context, name: Name) -> None:
    """Print one project."""
    request = requests.GetProjectRequest(name=with_prefix("projects", name))
    _print(context, session_of(context).call(lambda client: client.projects.GetProject(request)))


@app.command("delete")
def delete_project(
    context: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a project with everything in it; it cannot be restored."""
    request = requests.DeleteProjectRequest(name=with_prefix("projects", name))
    if not yes:
        typer.confirm(f"Delete {request.name} with all its tasks, runs, events and state?", abort=True, err=True)
    _print(context, session_of(context).call(lambda client: client.projects.DeleteProject(request)))


@app.command("export")
def export_project(context: typer.Context, name: Name) -> None:
    """Print everything in a project as JSON lines `{"table": …, "row": …}`, without secrets."""
    request = requests.ExportProjectRequest(name=with_prefix("projects", name))

    async def work(client: Client) -> None:
        export: Any = client.projects.ExportProject
        async for response in export(request, timeout=EXPORT_SECONDS):
            print_json(response)

    session_of(context).call(work)


@app.command("erase")
def erase_subject(
    context: typer.Context,
    subject: Annotated[str, typer.Option(help="Identifier of the person, such as an e-mail address.")],
    yes: Annotated[bool, typer.Option("--yes", help="Erase; without it, records are only counted.")] = False,
) -> None:
    """Erase the data of one person in the project of the token: every record that contains the identifier.

    Exit code 1 if records that are in use contain it as well.
    """
    session = session_of(context)

    async def work(client: Client) -> tuple[Counter[str], list[str]]:
        erased: Counter[str] = Counter()
        in_use: list[str] = []
        request = requests.EraseSubjectRequest(subject=subject, validate_only=not yes)
        while True:
            answer = await client.projects.EraseSubject(request)
            erased.update(dict(answer.erased))
            in_use.extend(answer.in_use)
            if not answer.next_page_token:
                return erased, list(dict.fromkeys(in_use))
            request.page_token = answer.next_page_token

    erased, in_use = session.call(work)
    if session.as_json:
        print_json({"erased" if yes else "would_erase": dict(erased), "in_use": in_use})
    else:
        rows = [(kind, str(count)) for kind, count in erased.items()]
        print_table(("RECORDS", "ERASED" if yes else "FOUND"), rows, "no records")
        for name in in_use:
            echo(f"in use, not erased: {name}", err=True)
    if in_use:
        raise typer.Exit(1)


def _print(context: typer.Context, project: Project) -> None:
    if session_of(context).as_json:
        print_json(project)
    else:
        print_table(COLUMNS, [_row(project)], "")


def _row(project: Project) -> tuple[str, ...]:
    deleted = local_time(project.delete_time) if project.HasField("delete_time") else ""
    return project.name, Project.State.Name(project.state), local_time(project.create_time), deleted


@app.command("quota")
def project_quota(
    context: typer.Context,
    name: Name,
    quota: Annotated[str, typer.Argument(help="Quota to set, such as tasks; none: print all quotas.")] = "",
    per_agent: Annotated[int | None, typer.Option(min=0, help="Limit of each agent; omitted: the default.")] = None,
    in_project: Annotated[int | None, typer.Option(min=0, help="Limit of the project; omitted: the default.")] = None,
) -> None:
    """Print or set the quotas of a project in the database of ORDINAUT_DATABASE_URL; gateways apply them in 5 s."""
    from ordinaut.embedded.database import quotas_of, set_quota  # noqa: PLC0415 - needs the database driver

    name = name.removeprefix("projects/")
    if quota and quota not in DEFAULTS:
        raise UsageError(f"the quota must be one of {', '.join(DEFAULTS)} (got {quota!r})")
    if quota:
        run_on_database(lambda url: set_quota(url, name, quota, Limit(per_agent, in_project)))
    overrides = run_on_database(lambda url: quotas_of(url, name))
    rows = {each: default.overridden_by(overrides.get(each)) for each, default in DEFAULTS.items()}
    if session_of(context).as_json:
        print_json({each: {"agent": limit.agent, "project": limit.project} for each, limit in rows.items()})
        return
    cells = [(each, _limit(limit.agent), _limit(limit.project)) for each, limit in rows.items()]
    print_table(("QUOTA", "AGENT", "PROJECT"), cells, "")


def _limit(value: int | None) -> str:
    return "" if value is None else str(value)

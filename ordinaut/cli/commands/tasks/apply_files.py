"""`ordinaut task apply`: applies files."""

from typing import Annotated

import typer

from ordinaut.cli.commands.tasks.apply import apply_tasks
from ordinaut.cli.commands.tasks.documents import read_tasks
from ordinaut.cli.commands.tasks.draft import apply_certain
from ordinaut.cli.session import session_of


def apply_files(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Option("--file", "-f", help="File with one or more tasks, YAML or JSON (-: standard input). Repeatable."),
    ],
    fix: Annotated[
        bool, typer.Option("--fix", help="Make the changes that are certain, and show them; refuse all others.")
    ] = False,
) -> None:
    """Create tasks, or update them to match the files."""
    session = session_of(context)
    if fix:
        apply_certain(session, files)
    else:
        read = read_tasks(session, files)
        apply_tasks(session, [each.task for each in read], [each.source for each in read])

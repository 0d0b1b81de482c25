"""A run that a command has just started: named, or followed to its end."""

from collections.abc import Awaitable, Callable

import typer

from ordinaut.cli.output import print_json
from ordinaut.cli.run_display import follow
from ordinaut.cli.session import Session
from ordinaut.client import Client
from ordinaut.v1.run_pb2 import Run


def show_started(session: Session, start: Callable[[Client], Awaitable[Run]], *, watch: bool) -> None:
    """Starts a run and prints it; with `watch` until its end.

    Raises:
        typer.Exit: 1: it was watched and did not succeed.
    """

    async def work(client: Client) -> Run:
        run = await start(client)
        return await follow(client, run.name, as_json=session.as_json) if watch else run

    run = session.call(work)
    if watch:
        if run.state != Run.SUCCEEDED:
            raise typer.Exit(1)
    elif session.as_json:
        print_json(run)
    else:
        typer.echo(run.name)

"""`ordinaut run`: single executions of pipelines."""

from typing import Annotated, Any

import typer

from ordinaut.cli.commands.run_replay import replay
from ordinaut.cli.output import lasted, moment, print_details, print_json, print_table
from ordinaut.cli.pages import first
from ordinaut.cli.run_display import follow, in_short, picture
from ordinaut.cli.session import interactive, session_of, with_prefix
from ordinaut.cli.started import show_started
from ordinaut.client import Client
from ordinaut.v1 import run_service_pb2 as requests
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.view_pb2 import FULL

app = typer.Typer(no_args_is_help=True, help="Runs: look at them, follow them, cancel them, retry them, replay them.")
app.command("replay")(replay)
Name = Annotated[str, typer.Argument(help="The run, as its id or `runs/…`.")]
COLUMNS = ("RUN", "TASK", "STATE", "KIND", "CREATED", "TOOK", "ERROR")


@app.command("list")
def list_runs(
    context: typer.Context,
    task: Annotated[str, typer.Option(help="Only of this task.")] = "",
    state: Annotated[list[str] | None, typer.Option(help="Only in this state; may be repeated.")] = None,
    parent: Annotated[str, typer.Option(help="Only those that steps of this run have started.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
) -> None:
    """List runs, the newest first."""
    session = session_of(context)
    states = [_state(name) for name in state or []]

    async def work(client: Client) -> list[Run]:
        async def page(size: int, token: str) -> tuple[list[Any], str]:
            request = requests.ListRunsRequest(states=states, page_size=size, page_token=token)
            request.task = with_prefix("tasks", task) if task else ""
            request.filter = f'parent = "{with_prefix("runs", parent)}"' if parent else ""
            answer = await client.runs.ListRuns(request)
            return list(answer.runs), answer.next_page_token

        return await first(limit, page)

    runs = session.call(work)
    if session.as_json:
        print_json(requests.ListRunsResponse(runs=runs))
    else:
        print_table(COLUMNS, map(_row, runs), "no runs")


@app.command("get")
def get_run(context: typer.Context, name: Name) -> None:
    """Show one run with all its steps."""
    session = session_of(context)
    request = requests.GetRunRequest(name=with_prefix("runs", name), view=FULL)
    run = session.call(lambda client: client.runs.GetRun(request))
    if session.as_json:
        print_json(run)
        return
    if interactive():
        from rich.console import Console  # noqa: PLC0415 - only here

        Console().print(picture(run))
    print_details(run)


@app.command("watch")
def watch_run(context: typer.Context, name: Name) -> None:
    """Follow a run to its end; exit 1 unless it succeeds."""
    session = session_of(context)
    run = session.call(lambda client: follow(client, with_prefix("runs", name), as_json=session.as_json))
    if run.state != Run.SUCCEEDED:
        raise typer.Exit(1)


@app.command("cancel")
def cancel_run(
    context: typer.Context, name: Name, reason: Annotated[str, typer.Option(help="Kept with the run.")] = ""
) -> None:
    """End a run, or ask its worker to."""
    session = session_of(context)
    request = requests.CancelRunRequest(name=with_prefix("runs", name), reason=reason)
    run = session.call(lambda client: client.runs.CancelRun(request))
    print_json(run) if session.as_json else typer.echo(f"{run.name} {Run.State.Name(run.state)}")


@app.command("retry")
def retry_run(
    context: typer.Context,
    name: Name,
    watch: Annotated[bool, typer.Option(help="Follow the new run to its end; exit 1 unless it succeeds.")] = False,
) -> None:
    """Take up a run that failed or was cancelled, behind the steps that it had finished: a new run."""
    session = session_of(context)
    request = requests.RetryRunRequest(name=with_prefix("runs", name))
    show_started(session, lambda client: client.runs.RetryRun(request), watch=watch)


def _state(name: str) -> Run.State.ValueType:
    try:
        return Run.State.Value(name.upper())
    except ValueError:
        known = ", ".join(key for key in Run.State.keys() if key != "STATE_UNSPECIFIED")  # noqa: SIM118 - no dict
        raise typer.BadParameter(f"{name!r} is none of {known}") from None


def _row(run: Run) -> tuple[str, ...]:
    return (
        run.name,
        run.task,
        Run.State.Name(run.state),
        Run.Kind.Name(run.kind),
        moment(run.create_time),
        lasted(run.start_time, run.end_time),
        in_short(run.error),
    )

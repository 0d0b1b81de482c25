"""`ordinaut run`: inspects and controls runs."""

from typing import Annotated, Any

import typer

from ordinaut.cli.commands.run_replay import replay
from ordinaut.cli.output import UsageError, echo, elapsed, local_time, print_details, print_json, print_table
from ordinaut.cli.pagination import collect
from ordinaut.cli.run_display import error_summary, follow, render, show_started
from ordinaut.cli.session import interactive, session_of, with_prefix
from ordinaut.client import Client
from ordinaut.v1 import run_service_pb2 as requests
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.view_pb2 import FULL

app = typer.Typer(no_args_is_help=True, help="List, watch, cancel, retry and replay runs.")
app.command("replay")(replay)
Name = Annotated[str, typer.Argument(help="Run id or `runs/ID`.")]
COLUMNS = ("RUN", "TASK", "STATE", "KIND", "CREATED", "TOOK", "ERROR")


@app.command("list")
def list_runs(
    context: typer.Context,
    task: Annotated[str, typer.Option(help="Only runs of this task.")] = "",
    state: Annotated[list[str] | None, typer.Option(help="Only runs in this state. Repeatable.")] = None,
    parent: Annotated[str, typer.Option(help="Only runs started by steps of this run.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of results.")] = 50,
) -> None:
    """List runs, newest first."""
    session = session_of(context)
    states = [_state(name) for name in state or []]

    async def work(client: Client) -> list[Run]:
        async def page(size: int, token: str) -> tuple[list[Any], str]:
            request = requests.ListRunsRequest(states=states, page_size=size, page_token=token)
            request.task = with_prefix("tasks", task) if task else ""
            request.filter = f'parent = "{with_prefix("runs", parent)}"' if parent else ""
            answer = await client.runs.ListRuns(request)
            return list(answer.runs), answer.next_page_token

        return await collect(limit, page)

    runs = session.call(work)
    if session.as_json:
        print_json(requests.ListRunsResponse(runs=runs))
    else:
        print_table(COLUMNS, map(_row, runs), "no runs")


@app.command("get")
def get_run(context: typer.Context, name: Name) -> None:
    """Print one run with all its steps."""
    session = session_of(context)
    request = requests.GetRunRequest(name=with_prefix("runs", name), view=FULL)
    run = session.call(lambda client: client.runs.GetRun(request))
    if session.as_json:
        print_json(run)
        return
    if interactive():
        from rich.console import Console  # noqa: PLC0415 - used only here

        Console().print(render(run))
    print_details(run)


@app.command("watch")
def watch_run(context: typer.Context, name: Name) -> None:
    """Display a run until it has ended. Exit code 1 if it does not succeed."""
    session = session_of(context)
    run = session.call(lambda client: follow(client, with_prefix("runs", name), as_json=session.as_json))
    if run.state != Run.SUCCEEDED:
        raise typer.Exit(1)


@app.command("cancel")
def cancel_run(
    context: typer.Context, name: Name, reason: Annotated[str, typer.Option(help="Reason, stored with the run.")] = ""
) -> None:
    """Cancel a run."""
    session = session_of(context)
    request = requests.CancelRunRequest(name=with_prefix("runs", name), reason=reason)
    run = session.call(lambda client: client.runs.CancelRun(request))
    print_json(run) if session.as_json else echo(f"{run.name} {Run.State.Name(run.state)}")


@app.command("retry")
def retry_run(
    context: typer.Context,
    name: Name,
    latest: Annotated[bool, typer.Option("--latest", help="Execute the current version of the task.")] = False,
    from_step: Annotated[
        str, typer.Option(help="Id of a step: execute it and those after it again, with new idempotency keys.")
    ] = "",
    watch: Annotated[
        bool, typer.Option(help="Display the new run until it has ended; exit code 1 if it does not succeed.")
    ] = False,
) -> None:
    """Start a new run that resumes a failed or cancelled run after its last completed step."""
    session = session_of(context)
    version = requests.RetryRunRequest.LATEST if latest else requests.RetryRunRequest.VERSION_UNSPECIFIED
    request = requests.RetryRunRequest(name=with_prefix("runs", name), version=version, from_step=from_step)
    show_started(session, lambda client: client.runs.RetryRun(request), watch=watch)


def _state(name: str) -> Run.State.ValueType:
    try:
        return Run.State.Value(name.upper())
    except ValueError:
        states = ", ".join(key for key in Run.State.keys() if key != "STATE_UNSPECIFIED")  # noqa: SIM118 - not a dict
        raise UsageError(f"must be one of {states} (got {name!r})") from None


def _row(run: Run) -> tuple[str, ...]:
    return (
        run.name,
        run.task,
        Run.State.Name(run.state),
        Run.Kind.Name(run.kind),
        local_time(run.create_time),
        elapsed(run.start_time, run.end_time),
        error_summary(run.error),
    )
